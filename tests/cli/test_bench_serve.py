"""glint bench serve against a stub with known delays and faults: it must report what happened.

Lower bounds are what the stub waits; upper bounds leave room for a busy machine.
"""
import base64
import json
import os
import subprocess
import sys
import unittest
from xml.etree import ElementTree

import stub_server
from glint_cli import ROOT, CliTest

sys.path.insert(0, os.path.join(ROOT, "bench"))
from parts import pictures  # noqa: E402


class ServeTest(CliTest):
    def setUp(self):
        super().setUp()
        self.stub = stub_server.Stub()
        self.addCleanup(self.stub.close)
        os.mkdir(self.path("pictures"))
        for i in range(3):
            self.write(f"pictures/{i}.png", pictures.noise_png(28, i))

    def args(self, mode, *args):
        return ["bench", "serve", self.stub.url(mode), "--pictures", self.path("pictures"),
                "--settle", "0", *args]

    def report(self, mode, *args):
        text = self.succeed(*self.args(mode, "--json", *args))
        report = json.loads(text)
        self.assertEqual(report["kind"], "serve")
        for load in report["loads"]:
            self.check_load(load)
        return report

    def load(self, mode, *args):
        (load,) = self.report(mode, *args)["loads"]
        return load

    def check_load(self, load):
        """What must hold whatever the stub did."""
        failed = sum(load["errors"].values())
        self.assertEqual(load["answered"] + failed, load["requests"])
        if load["answered"]:
            ms = load["latency_ms"]
            ranked = [ms[k] for k in ("min", "p50", "p90", "p99", "p999", "max")]
            self.assertEqual(ranked, sorted(ranked))
            self.assertEqual(ms["n"], load["answered"])
            cdf = load["latency_cdf"]
            self.assertEqual(cdf, sorted(cdf))
            self.assertEqual(cdf[-1], [1, ms["max"]])
        per_s = load["answers_in_window"] / load["window_s"]
        self.assertAlmostEqual(load["answers_per_s"], per_s)


class LatencyTest(ServeTest):
    def test_closed_loop(self):
        """Four clients, 50 ms each: at most 80 answers a second, and never quicker."""
        load = self.load("steady", "--clients", "4", "--seconds", "1", "--warmup", "2")
        self.assertGreaterEqual(load["latency_ms"]["min"], 50)
        self.assertLess(load["latency_ms"]["p50"], 120)
        self.assertLessEqual(load["answers_per_s"], 80)
        self.assertGreater(load["answers_per_s"], 30)
        self.assertEqual(load["generator"]["under_way_max"], 4)
        self.assertLessEqual(load["generator"]["connections"], 4)  # kept alive

    def test_think_time(self):
        load = self.load("at_once", "--clients", "5", "--think-ms", "100", "--seconds", "1")
        self.assertLessEqual(load["requests"], 50)
        self.assertGreater(load["requests"], 25)
        self.assertLess(load["latency_ms"]["p50"], 50)  # thinking is no latency

    def test_open_loop_keeps_its_rate(self):
        """The server takes 50 ms for each, one connection would give 20/s: 60/s come all the same."""
        load = self.load("steady", "--rate", "60", "--seconds", "2")
        again = self.load("steady", "--rate", "60", "--seconds", "2")
        self.assertEqual(load["requests"], again["requests"])  # the same seed
        self.assertTrue(80 < load["requests"] < 160, load["requests"])
        self.assertEqual(load["answered"], load["requests"])
        self.assertGreater(load["generator"]["under_way_max"], 1)

    def test_waiting_is_not_omitted(self):
        """While the server halts for 800 ms, requests go on being due; each counts its waiting."""
        load = self.load("halting", "--rate", "100", "--seconds", "2", "--warmup", "0")
        share_late = 1 - sum(1 for _, ms in load["latency_cdf"][:100] if ms < 100) / 100
        self.assertGreater(share_late, 0.2)  # 700 of 2000 ms; one client after another: 1 in 200
        self.assertGreater(load["latency_ms"]["max"], 700)

    def test_waiting_for_a_connection_counts(self):
        load = self.load("steady", "--rate", "40", "--connections-max", "1", "--seconds", "1")
        self.assertEqual(load["generator"]["under_way_max"], 1)
        self.assertGreater(load["latency_ms"]["max"], 300)
        self.assertGreater(load["generator"]["late_ms"]["max"], 250)

    def test_several_loads(self):
        report = self.report("at_once", "--rate", "20", "--clients", "2", "--clients", "1",
                             "--seconds", "0.3")
        self.assertEqual([load.get("clients", load.get("rate_per_s")) for load in report["loads"]],
                         [2, 1, 20])

    def test_warm_up_is_apart(self):
        report = self.report("at_once", "--rate", "10", "--seconds", "0.5", "--warmup", "7")
        (load,) = report["loads"]
        self.assertEqual(len(self.stub.of("at_once")), 7 + load["requests"])
        self.assertEqual(report["warm_up"]["requests"], 7)
        self.assertGreater(report["warm_up"]["first_answer_ms"], 0)

    def test_settling_is_apart(self):
        load = self.load("at_once", "--rate", "50", "--seconds", "0.5", "--settle", "0.5")
        self.assertGreater(len(self.stub.of("at_once")) - 8, load["requests"] + 5)


class OutcomeTest(ServeTest):
    def test_faults_are_counted(self):
        """One client, so that the stub's numbers are the order of requests."""
        load = self.load("faulty", "--clients", "1", "--seconds", "2", "--warmup", "0")
        self.assertEqual(load["status"], dict(self.stub.status))
        self.assertGreater(load["requests"], 5)
        for error in ("queue_full", "overloaded", "connection lost", "incomplete answer"):
            self.assertAlmostEqual(load["errors"][error], load["requests"] / 5, delta=1, msg=error)

    def test_deadline(self):
        load = self.load("uneven", "--clients", "2", "--seconds", "2", "--deadline-ms", "200",
                         "--warmup", "0")
        self.assertTrue(0.3 < load["goodput"] < 0.7, load["goodput"])
        self.assertEqual({json.loads(b)["timeout_ms"] for _, b in self.stub.of("uneven")}, {200})

    def test_giving_up(self):
        done = self.run_glint(*self.args("silent", "--clients", "2", "--seconds", "0.3",
                                         "--give-up-ms", "200", "--warmup", "0", "--json"))
        self.assertEqual(done.returncode, 3)
        (load,) = json.loads(done.stdout)["loads"]
        self.assertEqual(load["errors"], {"timeout": load["requests"]})
        self.assertIsNone(load["latency_ms"])

    def test_a_window_shorter_than_an_answer(self):
        done = self.run_glint(*self.args("steady", "--seconds", "0.1", "--settle", "0.03",
                                         "--think-ms", "500", "--warmup", "0"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("raise --seconds", done.stderr)

    def test_what_the_server_tells(self):
        load = self.load("at_once", "--seconds", "0.3")
        for name, ms in stub_server.ANSWER["timing_ms"].items():
            self.assertEqual((load["timing_ms"][name]["p50"], load["timing_ms"][name]["max"]),
                             (ms, ms))
        self.assertNotIn("fetch", load["timing_ms"])  # not told
        for name, n in stub_server.ANSWER["usage"].items():
            self.assertEqual(load["usage"][name]["mean"], n)
        self.assertAlmostEqual(load["tokens_per_s"], 5 * load["answers_per_s"])
        self.assertEqual(load["finish_reasons"], {"stop": load["answered"]})

    def check_stream(self, load):
        first, each = stub_server.FIRST_S * 1e3, stub_server.GAP_S * 1e3
        self.assertTrue(first <= load["first_token_ms"]["p50"] < 3 * first, load["first_token_ms"])
        self.assertTrue(0.95 * each <= load["per_token_ms"]["p50"] < 3 * each, load["per_token_ms"])
        self.assertGreater(load["latency_ms"]["min"], first + 4 * 0.95 * each)
        self.assertEqual(load["usage"]["completion_tokens"]["mean"], 5)

    def test_streams(self):
        self.check_stream(self.load("glint_stream", "--stream", "--seconds", "1"))
        self.check_stream(self.load("openai_stream", "--stream", "--api", "openai",
                                    "--seconds", "1"))
        for mode in ("glint_stream", "openai_stream"):
            self.assertTrue(all(json.loads(b)["stream"] for _, b in self.stub.of(mode)))

    def test_a_stream_without_its_end(self):
        done = self.run_glint(*self.args("endless_stream", "--stream", "--seconds", "0.3",
                                         "--warmup", "0", "--json"))
        (load,) = json.loads(done.stdout)["loads"]
        self.assertEqual((done.returncode, load["answered"]), (3, 0))
        self.assertEqual(load["errors"], {"incomplete answer": load["requests"]})


class RequestTest(ServeTest):
    def test_pictures_in_turns(self):
        self.report("at_once", "--seconds", "0.2", "--warmup", "9")
        counts = self.stub.pictures("at_once").values()
        self.assertEqual(len(counts), 3)
        self.assertLessEqual(max(counts) - min(counts), 1)
        self.assertIn("have been answered from a cache",
                      self.succeed(*self.args("at_once", "--seconds", "0.2")).replace("\n", " "))

    def test_every_picture_new(self):
        self.report("at_once", "--seconds", "0.2", "--vary")
        self.report("at_once", "--seconds", "0.2", "--vary")  # nor the same as in another run
        self.assertEqual(set(self.stub.pictures("at_once").values()), {1})
        want = pictures.noise_png(28, 0)
        body = json.loads(self.stub.of("at_once")[0][1])
        sent = base64.b64decode(body["image"], validate=True)
        self.assertEqual((sent[:33], sent[75:]), (want[:33], want[33:]))

    def test_same_picture_and_request(self):
        self.report("at_once", "--seconds", "0.2", "--same-picture")
        bodies = [json.loads(b) for _, b in self.stub.of("at_once")]
        self.assertEqual(len({b["image"] for b in bodies}), 1)
        self.assertEqual(len({b["prompt"] for b in bodies}), len(bodies))
        self.report("steady", "--seconds", "0.2", "--same-request")
        self.assertEqual(len({b for _, b in self.stub.of("steady")}), 1)

    def test_right_answers(self):
        cases = [{"image": f"{i}.png", "task": "audit", "prompt": f"question {i}",
                  "answer": json.dumps({"result": "reject" if i else "pass"})} for i in range(3)]
        self.write("pictures/cases.json", json.dumps(cases))
        for mode, api in (("at_once", "glint"), ("chat", "openai")):
            load = self.load(mode, "--api", api, "--seconds", "0.4")
            self.assertEqual(load["right"]["of"], load["answered"])
            self.assertAlmostEqual(load["right"]["n"], load["answered"] / 3, delta=1)
        prompts = {json.loads(b)["prompt"] for _, b in self.stub.of("at_once")}
        self.assertEqual(prompts, {"question 0", "question 1", "question 2"})

    def test_form_and_token(self):
        self.report("at_once", "--seconds", "0.2", "--body", "form", "--token", "s3cret",
                    "--no-cache", "--max-tokens", "7")
        headers, body = self.stub.of("at_once")[0]
        self.assertEqual(headers["authorization"], "bearer s3cret")
        boundary = headers["content-type"].split("boundary=")[1].encode()
        parts = body.lower().split(b"--" + boundary)
        self.assertEqual((parts[0], parts[-1]), (b"", b"--\r\n"))
        names = [p.split(b'name="')[1].split(b'"')[0] for p in parts[1:-1]]
        self.assertEqual(names, [b"task", b"prompt", b"max_tokens", b"cache", b"image"])
        self.assertIn(pictures.noise_png(28, 0), body)

    def test_idle_connections(self):
        report = self.report("at_once", "--seconds", "0.2", "--idle-connections", "40")
        self.assertEqual(report["idle_connections"], {"opened": 40, "open_at_end": 40})


class UseTest(ServeTest):
    def test_text(self):
        text = self.succeed(*self.args("at_once", "--clients", "1", "--rate", "20", "--seconds",
                                       "0.3", "--vary", "--deadline-ms", "1000"))
        for words in ("P99.9", "1 client, 0.3 s", "20 requests/s, 0.3 s", "status", "goodput",
                      "of a core", "not counted: 8 requests to warm up"):
            self.assertIn(words, text)

    def test_plot(self):
        report = self.succeed(*self.args("at_once", "--json", "--rate", "20", "--rate", "40",
                                         "--seconds", "0.3"))
        done = subprocess.run([os.path.join(ROOT, "bench", "plot"), self.write("s.json", report)],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        svg = ElementTree.fromstring(done.stdout)
        lines = list(svg.iter("{http://www.w3.org/2000/svg}polyline"))
        self.assertEqual(len(lines), 3 + 2)  # P50, P90, P99 over the load; two distributions

    def test_plots_of_several(self):
        path = self.write("s.json", self.succeed(*self.args("at_once", "--json", "--rate", "20", "--rate", "40",
                                                            "--seconds", "0.3")))
        plot = os.path.join(ROOT, "bench", "plot")
        for kind, at, n_lines in (("--load", "", 2 * 3), ("--cdf", "@40", 3)):
            done = subprocess.run([plot, kind, f"A:x={path}{at}", f"A:y={path}{at}", f"B:x={path}{at}"],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            svg = ElementTree.fromstring(done.stdout)
            self.assertEqual(len(list(svg.iter("{http://www.w3.org/2000/svg}polyline"))), n_lines)
            self.assertEqual(len(list(svg.iter("{http://www.w3.org/2000/svg}clipPath"))), 2)
        done = subprocess.run([plot, "--cdf", f"A:x={path}@41"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)

    def test_refusals(self):
        url = self.stub.url("refusing")
        self.assertIn("404 not_found", self.refuse(3, *self.args("refusing")))
        self.stub.close()
        self.assertIn("cannot connect", self.refuse(3, *self.args("at_once")))
        folder = ["--pictures", self.path("pictures")]
        for words, *args in (
            ("--pictures", url), ("exclude", url, *folder, "--vary", "--same-picture"),
            ("http://", "127.0.0.1:80", *folder), ("leave the last /", url + "/", *folder),
            ("--rate", url, *folder, "--rate", "0"), ("--clients", url, *folder, "--clients", "0"),
            ("--body form", url, *folder, "--api", "openai", "--body", "form"),
            ("--task", url, *folder, "--task", 'a"b'),
        ):
            self.assertIn(words, self.refuse(2, "bench", "serve", *args))
        self.assertIn("/none", self.refuse(3, "bench", "serve", url, "--pictures",
                                           self.path("none")))


if __name__ == "__main__":
    unittest.main()
