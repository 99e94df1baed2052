"""bench/soak: a short run on a real server, runs in which a promise is broken, and the parts that judge."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
from types import SimpleNamespace
from xml.etree import ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLINT = os.environ.get("GLINT", os.path.join(ROOT, "build", "glint"))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from parts import pictures, soak_bombs, soak_good, soak_hostile, soak_report, soak_wire, soak_world, svg  # noqa: E402

if not shutil.which("redis-server"):
    print("SKIPPED: no redis-server; tools/setup test installs it")
    raise SystemExit(77)

# Kinds that end by themselves within moments.
QUICK = ["broken picture", "bad JSON", "bad form", "bad token", "smuggling", "large headers", "gone while waiting",
         "gone mid stream", "SSRF", "unknown routes", "schema bomb"]


class SoakTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="glint-soak-test-")
        self.addCleanup(shutil.rmtree, self.dir)

    def soak(self, *args, glint=GLINT, seconds=4):
        path = os.path.join(self.dir, "report.json")
        done = subprocess.run(
            [os.path.join(ROOT, "bench", "soak"), "--glint", glint, "--minutes", str(seconds / 60), "--json", path,
             "--rate", "8", "--patience-s", "240", "--hang-s", "240", *args],
            capture_output=True, text=True, timeout=500, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        if not os.path.exists(path):
            return done, None
        with open(path, encoding="utf-8") as f:
            return done, json.load(f)

    def wrapped(self, script):
        """A glint that is the real one but for `serve`, which is `script`; $GLINT and "$@" are there."""
        path = os.path.join(self.dir, "glint")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nGLINT={GLINT}\n[ "$1" = serve ] || exec "$GLINT" "$@"\n{script}\n')
        os.chmod(path, 0o755)
        return path

    def test_promises_kept(self):
        done, report = self.soak("--hostile-share", "0.5", "--kill-redis-at", "1", "--redis-away", "1.5", "--only", *QUICK)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(report["good"]["requests"], 4)
        self.assertEqual(report["good"]["errors"], 0)
        self.assertGreater(report["hostile"]["answers"], 4)
        self.assertGreaterEqual(report["audit"]["lines"], report["good"]["requests"])
        self.assertEqual(report["end"]["exit"], 0)
        self.assertEqual(sum(report["end"]["drain_answers"].values()), 24)
        self.assertGreater(report["samples"][0]["rss_bytes"], 1 << 20)
        self.assertIn("every promise kept", done.stdout)
        root = ElementTree.fromstring(svg.draw(report))
        self.assertEqual(len([e for e in root.iter() if e.tag.endswith("polyline")]), 5)

    def test_refused_good_clients_are_errors(self):
        glint = self.wrapped('exec "$GLINT" "$@" --limit-requests-per-s 1 --limit-requests-burst 14')
        done, report = self.soak("--hostile-share", "0", glint=glint, seconds=6)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("status 429", report["good"]["examples"][0])
        self.assertIn("errors to good clients", done.stdout)

    def test_a_server_that_dies(self):
        # Behind the first requests, which have to be answered for a report.
        glint = self.wrapped('for a; do [ "$last" = --audit-log ] && log=$a; last=$a; done\n'
                             '(until [ "$(grep -c inference "$log")" -gt 60 ]; do sleep 0.1; done; kill -9 $$) 2>&- &\n'
                             'exec "$GLINT" "$@"')
        done, report = self.soak("--hostile-share", "0", glint=glint, seconds=10)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(any("the server died" in line for line in report["broken"]), report["broken"])


def reply(status=200, body=b"{}", **headers):
    return soak_wire.Reply(status, {"content-type": "application/json", **headers}, body)


ANSWER = {"id": "a", "model": "default", "task": "audit", "result": "pass", "reasons": [], "confidence": 0.5,
          "finish_reason": "stop", "tokens_generated": 3, "usage": dict.fromkeys(soak_good.USAGE, 3),
          "timing_ms": dict.fromkeys(soak_good.TIMES, 1.0)}


class GoodTest(unittest.TestCase):
    def question(self, kind="audit json", path=soak_good.ROUTE, **more):
        return soak_good.Question(kind, path, "application/json", b"{}", **more)

    def test_answers(self):
        self.assertEqual(self.question().check(reply(body=json.dumps(ANSWER).encode())), ["pass", []])
        for change in ({"result": "maybe"}, {"confidence": 1.5}, {"reasons": [1]}, {"finish_reason": "tired"},
                       {"tokens_generated": 4}, {"usage": {**ANSWER["usage"], "image_tokens": None}}):
            with self.subTest(change), self.assertRaises(soak_good.Wrong):
                self.question().check(reply(body=json.dumps(ANSWER | change).encode()))
        with self.assertRaises(soak_good.Wrong):
            self.question().check(reply(503))
        with self.assertRaises(KeyError):
            self.question().check(reply(body=json.dumps({"result": "pass"}).encode()))

    def test_extract(self):
        answer = {**ANSWER, "task": "extract"}
        question = self.question("extract")
        self.assertEqual(question.check_answer({**answer, "data": {"name": "x", "count": 1}}), {"name": "x", "count": 1})
        for data in ({"name": "x"}, {"name": 1, "count": 1}, None):
            with self.subTest(data), self.assertRaises(soak_good.Wrong):
                question.check_answer({**answer, "data": data})

    def test_streams(self):
        def stream(*parts, end="[DONE]"):
            return [("message", json.dumps(part)) for part in parts] + [("message", end)]

        question = self.question("audit stream", is_stream=True)
        whole = stream({"id": "a"}, {"delta": '{"result":"pa'}, {"delta": 'ss","reasons":[]}'}, ANSWER)
        self.assertEqual(question.check_events(whole), ["pass", []])
        for wrong in (whole[:-1], [], [*whole[:2], ("error", "{}"), ("message", "[DONE]")],
                      stream({"id": "b"}, ANSWER), stream({"id": "a"}, {"delta": '{"result":"reject"}'}, ANSWER)):
            with self.subTest(wrong), self.assertRaises(soak_good.Wrong):
                question.check_events(wrong)

    def test_every_kind_is_drawn(self):
        maker = soak_good.Maker([{"picture": pictures.blocks_png(56, 28, 1), "prompt": "?"}] * 3, lambda n: f"http://x/{n}")
        drawn = [maker.question(random.Random(i)) for i in range(400)]
        self.assertEqual({q.kind for q in drawn}, set(soak_good.MIX))
        again = maker.question(random.Random(7))
        self.assertEqual((again.body, again.kind), (drawn[7].body, drawn[7].kind))
        self.assertLess(len({q.same for q in drawn}), 40)


class HostileTest(unittest.TestCase):
    def test_bombs_are_small(self):
        for name, data in soak_bombs.picture_bombs().items():
            self.assertLess(len(data), 600_000, name)

    def test_tokens_are_bad(self):
        good = ".".join(("eyJhbGciOiJFUzI1NiIsImtpZCI6InNvYWsifQ", "eyJ0ZW5hbnQiOiJhIn0", "A" * 40 + "B" * 46))
        drawn = {soak_bombs.bad_tokens(random.Random(i), good) for i in range(200)}
        self.assertGreater(len(drawn), 20)
        self.assertNotIn(good, drawn)

    def test_what_is_right(self):
        self.assertTrue(soak_hostile.is_right({400, 401}, 401))
        self.assertFalse(soak_hostile.is_right({400, 401}, 500))
        self.assertFalse(soak_hostile.is_right({400}, "closed"))
        for status, right in ((404, True), (500, False), ("hang", False)):
            self.assertEqual(soak_hostile.is_right({"any below 500"}, status), right)
        for name, (weight, allowed, _) in soak_hostile.KINDS.items():
            self.assertGreater(weight, 0, name)
            self.assertFalse({500, 502, "hang"} & allowed, name)

    def test_suites(self):
        folder = tempfile.mkdtemp(prefix="glint-soak-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.makedirs(os.path.join(folder, "jpeg-misc"))
        for name in ("a.jpg", "ORACLE.tsv"):
            with open(os.path.join(folder, "jpeg-misc", name), "w", encoding="ascii") as f:
                f.write(name)
        suites = soak_bombs.Suites(folder)
        self.assertEqual(suites.draw(random.Random(1), "pictures"), b"a.jpg")
        self.assertIsNone(suites.draw(random.Random(1), "raw"))


class ReportTest(unittest.TestCase):
    def facts(self, **changes):
        return {"seconds": 600, "rate": 20, "hostile_share": 0.3, "seed": 1, "witnessed": 0,
                "end": {"died": "", "exit": 0, "drain_s": 1, "drain_errors": [], "drain_answers": {}},
                "fds": {"before": 20, "most": 30, "after": 21},
                "audit": {"lines": 5, "answers": 5, "expected": 5, "faults": []},
                "redis": {"killed_at_s": 5, "back_at_s": 9, "noticed": True, "back": True}} | changes

    def broken(self, tally=None, **changes):
        return soak_report.make(tally or soak_report.Tally(), self.facts(**changes))["broken"]

    def test_each_promise_can_be_broken(self):
        self.assertEqual(self.broken(), [])
        end = self.facts()["end"]
        for changes, words in (
                ({"witnessed": 1}, "not allowed"), ({"end": end | {"exit": 1}}, "exit status"),
                ({"end": end | {"died": "x"}}, "died"), ({"end": end | {"drain_errors": ["x"]}}, "drained"),
                ({"fds": {"before": 20, "most": 90, "after": 60}}, "descriptors"),
                ({"audit": {"lines": 4, "answers": 5, "expected": 5, "faults": []}}, "audit"),
                ({"audit": {"lines": 5, "answers": 5, "expected": 5, "faults": ["x"]}}, "audit"),
                ({"redis": {"killed_at_s": 5, "back_at_s": 9, "noticed": False, "back": True}}, "noticed"),
                ({"redis": {"killed_at_s": 5, "back_at_s": 9, "noticed": True, "back": False}}, "return")):
            with self.subTest(changes):
                found = self.broken(**changes)
                self.assertIn(words, " ".join(found))
        tally = soak_report.Tally()
        tally.good_error(7, "audit json", "status 500")
        tally.hostile_faults.append("SSRF (act 3): answered [500]")
        self.assertEqual([line[:8] for line in self.broken(tally)], ["1 errors", "1 wrong "])

    def test_memory(self):
        def run(growth, seconds=600):
            tally = soak_report.Tally()
            # Caches fill for a third of the time; then so much more, share by share.
            for s in range(seconds):
                settled = min(s / (seconds / 3), 1)
                tally.samples.append({"s": s, "fds": 20, "rss_bytes": 2e8 * (settled + growth * s / seconds),
                                      "decoders": 1, "decoders_rss_bytes": 0, "redis_rss_bytes": 0})
            return self.broken(tally, seconds=seconds)

        self.assertEqual(run(0), [])
        self.assertEqual(run(0.02), [])
        self.assertIn("memory grew", run(0.1)[0])
        self.assertEqual(run(0.1, seconds=60), [])  # too short to say
        self.assertEqual(soak_world.slope([(0, 1), (1, 3), (2, 5)]), 2)
        self.assertEqual(soak_world.slope([(0, 1)]), 0)

    def test_audit(self):
        folder = tempfile.mkdtemp(prefix="glint-soak-test-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "audit.log")

        def faults(answers, *lines):
            with open(path, "w", encoding="utf-8") as f:
                f.write("".join(line + "\n" for line in lines))
            return soak_report.audit_faults(answers, path)

        lines = ['{"id":"a","status":200}', '{"id":"b","status":499}']
        self.assertEqual(faults({"a": [200]}, *lines), (2, []))
        for answers, more in (({"a": [200], "c": [401]}, []), ({"a": [503]}, []), ({"a": [200]}, [lines[0]]),
                              ({"a": [200]}, [lines[1]]), ({"a": [200]}, ['{"id":"d","sta'])):
            with self.subTest(answers=answers, more=more):
                self.assertEqual(len(faults(answers, *lines, *more)[1]), 1)

    def test_same_questions(self):
        tally = soak_report.Tally()
        self.assertFalse(tally.differs(("audit", 1), ["pass", []]))
        self.assertFalse(tally.differs(("audit", 1), ["pass", []]))
        self.assertTrue(tally.differs(("audit", 1), ["reject", []]))
        self.assertFalse(tally.differs(None, "x"))

    def test_descendants(self):
        child = subprocess.Popen(["sh", "-c", "sleep 30 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        try:
            grandchild = int(child.stdout.readline())
            self.assertLessEqual({child.pid, grandchild}, soak_world.descendants(os.getpid()))
            redis = SimpleNamespace(process=child)
            self.assertGreater(soak_world.sample(SimpleNamespace(process=child), redis)["decoders_rss_bytes"], 0)
        finally:
            os.kill(grandchild, 9)
            child.wait()
            child.stdout.close()


if __name__ == "__main__":
    unittest.main()
