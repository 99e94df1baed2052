"""bench/versus-serve on stub programs: settings, order of things, which figure lands where."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import stub_programs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from parts import llama, serving  # noqa: E402

# glint bench serve as a stub: what it reports follows from which server it is pointed at (the
# stub servers write their arguments beside themselves) and from what it is told to do.
GLINT = """import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1] == "serve":
    json.dump(sys.argv[2:], open(os.path.join(here, "ours.json"), "w"))
    exec(open(__file__ + "-serve").read()); sys.exit()
card = {"cpu": "Stub", "tier": "avx2", "system": "Linux", "governor": "none", "glint": "0",
        "revision": "abc", "compiler": "gcc"}
if sys.argv[2] == "machine": print(json.dumps({"card": card, "ceilings": {}})); sys.exit()
def value(name): return sys.argv[sys.argv.index(name) + 1]
assert (value("--task"), value("--max-tokens"), value("--warmup")) in (
    ("audit", "160", "16"), ("ask", "64", "4"))
ours = value("--api") == "glint"
server = json.load(open(os.path.join(here, "ours.json" if ours else "peer.json")))
capacity = 40.0 if ours else 8.0
if "--sequences-max" in server: capacity = 20.0
if "-np" in server and server[server.index("-np") + 1] == "4": capacity = 5.0
if "--same-picture" in sys.argv:
    assert "--no-cache" not in sys.argv and "--no-cache-prompt" not in server
    capacity *= 3
else: assert "--no-cache" in sys.argv and (ours or "--no-cache-prompt" in server)
rate = float(value("--rate")) if "--rate" in sys.argv else None
p99 = 100.0 if rate and rate < 0.6 * capacity else 500.0
print(json.dumps({"loads": [{"answers_per_s": capacity, "requests": 50, "answered": 50, "errors": {},
    "latency_ms": {"p50": p99 / 2, "p99": p99}, "right": {"n": 49, "of": 50}}]}))
"""


class VersusServeTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="glint-versus-serve-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.llama, self.glint = stub_programs.make(self.dir)
        stub_programs.write(self.glint, GLINT)
        with open(os.path.join(self.llama, "llama-server"), encoding="utf-8") as f:
            server = f.read().split("\n", 1)[1]
        note = (f"import json, sys\nif '--version' not in sys.argv:\n"
                f"    json.dump(sys.argv[1:], open({os.path.join(self.dir, 'peer.json')!r}, 'w'))\n")
        stub_programs.write(os.path.join(self.llama, "llama-server"), note + server)
        self.gguf = os.path.join(self.dir, "gguf")
        os.mkdir(self.gguf)
        for name in ("text-q8_0.gguf", "mmproj-f16.gguf"):
            with open(os.path.join(self.gguf, name), "wb"):
                pass

    def versus(self, *args):
        out = os.path.join(self.dir, "out")
        done = subprocess.run(
            [os.path.join(ROOT, "bench", "versus-serve"), "--llama", self.llama, "--gguf", self.gguf,
             "--glint", self.glint, "--pictures", self.dir, "--rounds", "2", "--tries", "1",
             "--peer-settings", "-np 4", "-np 8", "--out", out, *args],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(out, "versus-serve.json"), encoding="utf-8") as f:
            report = json.load(f)
        return report, {r["name"]: r for r in report["rows"]}, done.stdout

    def test_rows(self):
        report, rows, text = self.versus("--rate-steps", "6")

        def medians(name):
            return tuple(rows[name][side]["median"] for side in ("ours", "peer"))

        self.assertEqual(report["peer_settings"], "-np 8")  # 8 answers/s against 5
        self.assertEqual(report["peer_settings_tried"], {"-np 4": 5.0, "-np 8": 8.0})
        self.assertEqual(medians("new pictures, 8 clients"), (40, 8))
        self.assertEqual(rows["new pictures, 8 clients"]["ratio"], 5)
        self.assertEqual(medians("new pictures, 8 clients, P99"), (500, 500))
        self.assertEqual(medians("new pictures, 8 clients, right"), (98, 98))
        self.assertEqual(medians("same picture, new question, 8 clients"), (120, 24))
        self.assertEqual(rows["batching on over off"]["ours"]["median"], 2)
        self.assertIsNone(rows["batching on over off"]["peer"])
        for side, limit in zip(medians("sustained with P99 under 300 ms"), (24, 4.8)):
            self.assertTrue(0.95 * limit < side < limit, (side, limit))
        self.assertEqual(len(rows["new pictures, 8 clients"]["peer"]["runs"]), 2)
        self.assertIn("-np 8, the best of 2 settings", text)
        self.assertIn("5.00x", text)

    def test_batching_needs_no_peer(self):
        out = os.path.join(self.dir, "alone")
        argv = [os.path.join(ROOT, "bench", "versus-serve"), "--glint", self.glint, "--pictures", self.dir,
                "--rounds", "1", "--out", out, "--task", "ask", "--max-tokens", "64", "--warm-up", "4"]
        done = subprocess.run([*argv, "--only", "batching"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2.00", done.stdout)
        self.assertNotIn("beside", done.stdout)
        with open(os.path.join(out, "versus-serve.json"), encoding="utf-8") as f:
            self.assertIsNone(json.load(f)["peer_build"])
        done = subprocess.run([*argv, "--only", "cold"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--llama", done.stderr)

    def test_no_server_is_left(self):
        """Ended while a load runs: its server ends too."""
        # A load that does not end by itself, and says that it began.
        began = os.path.join(self.dir, "began")
        with open(self.glint, encoding="utf-8") as f:
            stub = f.read().split("\n", 1)[1]
        hang = f"open({began!r}, 'w').close(); import time; time.sleep(60)\n"
        stub_programs.write(self.glint, stub.replace("ours = value", hang + "ours = value"))
        versus = subprocess.Popen(
            [os.path.join(ROOT, "bench", "versus-serve"), "--llama", self.llama, "--gguf", self.gguf,
             "--glint", self.glint, "--pictures", self.dir],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while not os.path.exists(began) and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertTrue(os.path.exists(began))
            with open(os.path.join(self.dir, "peer.json"), encoding="utf-8") as f:
                argv = json.load(f)
            port = int(argv[argv.index("--port") + 1])
            socket.create_connection(("127.0.0.1", port), 5).close()  # it runs
            versus.terminate()
            self.assertEqual(versus.wait(30), 128 + 15)
        finally:
            versus.kill()
            versus.wait()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)

    def test_sections(self):
        _, rows, _ = self.versus("--only", "question")
        self.assertEqual({name.split(",")[0] for name in rows}, {"same picture"})


class PartsTest(unittest.TestCase):
    def test_bisection(self):
        asked = []

        def keeps(rate):
            asked.append(rate)
            return rate <= 6.5
        found = serving.bisect(keeps, 10.0, 12)
        self.assertTrue(6.49 < found <= 6.5, found)
        self.assertEqual(len(asked), 12)
        self.assertEqual(serving.bisect(lambda _: False, 10.0, 5), 0)
        self.assertGreater(serving.bisect(lambda _: True, 10.0, 8), 9.9)

    def test_a_rate_is_kept_only_when_all_are_answered(self):
        load = {"requests": 100, "answered": 100, "latency_ms": {"p99": 299.0}}
        self.assertTrue(serving.keeps(load, 300))
        self.assertFalse(serving.keeps(load | {"answered": 99}, 300))
        self.assertFalse(serving.keeps(load | {"latency_ms": {"p99": 300.0}}, 300))

    def test_only_a_cold_peer_is_told_to_forget(self):
        peer = llama.Llama.__new__(llama.Llama)
        peer.bin_dir, peer.text, peer.mmproj, peer.threads, peer.model_dir = "b", "t", "m", 2, "d"
        self.assertIn("--no-cache-prompt", peer.server_argv(1))
        self.assertNotIn("--no-cache-prompt", peer.server_argv(1, cached=True))


if __name__ == "__main__":
    unittest.main()
