"""bench/versus and bench/plot on stub programs: which figure lands where, and what a ratio is."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib
from xml.etree import ElementTree

import stub_programs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from parts import audits, llama, pictures, quiet, report, svg  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


class VersusTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="glint-versus-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.llama, self.glint = stub_programs.make(self.dir)
        self.gguf, self.cases = os.path.join(self.dir, "gguf"), os.path.join(self.dir, "pictures")
        os.mkdir(self.gguf)
        for name in ("text-q8_0.gguf", "mmproj-f16.gguf"):
            with open(os.path.join(self.gguf, name), "wb"):
                pass
        os.mkdir(self.cases)
        with open(os.path.join(self.cases, "a.png"), "wb") as f:
            f.write(pictures.noise_png(28, 1))
        case = {"image": "a.png", "task": "audit", "prompt": "?", "answer": '{"result":"pass","reasons":[]}'}
        with open(os.path.join(self.cases, "cases.json"), "w", encoding="utf-8") as f:
            json.dump([case, case | {"task": "ocr"}], f)

    def versus(self, *args):
        out = os.path.join(self.dir, "out")
        done = subprocess.run(
            [os.path.join(ROOT, "bench", "versus"), "--llama", self.llama, "--gguf", self.gguf,
             "--glint", self.glint, "--rounds", "2", "--tries", "1", "--out", out, *args],
            capture_output=True, text=True, timeout=120, check=False)
        return done, out

    def rows(self, *args):
        done, out = self.versus(*args)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(out, "versus.json"), encoding="utf-8") as f:
            found = json.load(f)
        with open(os.path.join(out, "versus.svg"), encoding="utf-8") as f:
            ElementTree.fromstring(f.read())
        with open(os.path.join(out, "versus.md"), encoding="utf-8") as f:
            cells = [line.split(" | ") for line in f if line.startswith("| ")]
        self.assertEqual([c[0] for c in cells[1:]], ["| " + row["name"] for row in found["rows"]])
        return {row["name"]: row for row in found["rows"]}, found, done.stdout

    def test_speeds(self):
        rows, found, text = self.rows("--only", "text", "together", "vision", "--sequences", "1", "8",
                                      "--pixels", "224", "--repeats", "2")
        medians = {name: (row["ours"]["median"], row["peer"]["median"]) for name, row in rows.items()}
        self.assertEqual(medians["prefill 512 tokens"], (4000, 900))
        self.assertEqual(medians["decode 128 tokens"], (100, 45))
        self.assertEqual(medians["decode 1 sequence after 128"], (100, 40))
        self.assertEqual(medians["decode 8 sequences after 128"], (800, 100))
        self.assertEqual(medians["vision 224 px (64 tokens)"], (10, 55))  # the first run warms up
        self.assertAlmostEqual(rows["vision 224 px (64 tokens)"]["ratio"], 5.5)
        self.assertAlmostEqual(rows["decode 8 sequences after 128"]["ratio"], 8.0)
        self.assertEqual(len(rows["prefill 512 tokens"]["peer"]["runs"]), 2)  # one a round
        self.assertEqual(len(found["disturbed"]), 2 * 2 * 3)
        self.assertIn("build 10587, commit 3f545becc", text)
        self.assertIn("8.00x", text)

    def test_audits(self):
        rows, _, _ = self.rows("--only", "audits", "--cases", self.cases, "--clients", "1", "2",
                               "--requests", "6")
        for clients in ("1 client", "2 clients"):
            row = rows[f"audit, pictures, {clients}, right"]
            self.assertEqual((row["ours"]["median"], row["peer"]["median"]), (100, 100))
            self.assertGreater(rows[f"audit, pictures, {clients}"]["ratio"], 0)
        self.assertIsNone(rows["chat, pictures, 1 client"]["ours"])  # the stub has no such route
        self.assertGreater(rows["peak memory, audit, pictures"]["peer"]["median"], 1)

    def test_failures_are_one_line(self):
        stub_programs.write(os.path.join(self.llama, "llama-bench"), "import sys; sys.exit('no model')")
        done, _ = self.versus("--only", "text")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no model", done.stderr.splitlines()[-1])


class PartsTest(unittest.TestCase):
    def test_encodes_need_their_pictures(self):
        with self.assertRaises(quiet.Failure):
            llama.parse_encodes("mtmd batch encoding done in 5 ms\n")

    def test_marked_pictures_differ_and_stay_whole(self):
        png = pictures.noise_png(28, 1)
        marked = pictures.marked(png, "x 1")
        self.assertNotEqual(marked, pictures.marked(png, "x 2"))
        at, kinds = 8, []
        while at < len(marked):
            size = int.from_bytes(marked[at : at + 4], "big")
            body = marked[at + 4 : at + 8 + size]
            self.assertEqual(zlib.crc32(body).to_bytes(4, "big"), marked[at + 8 + size : at + 12 + size])
            kinds.append(body[:4])
            at += 12 + size
        self.assertEqual(kinds, [b"IHDR", b"tEXt", b"IDAT", b"IEND"])
        self.assertEqual(pictures.marked(b"\xff\xd8\xff\xe0", "ab"), b"\xff\xd8\xff\xfe\0\x04ab\xff\xe0")
        with self.assertRaises(ValueError):
            pictures.marked(b"GIF89a", "x")

    def test_percentiles(self):
        values = list(range(1, 101))
        self.assertEqual([audits.percentile(values, p) for p in (0.5, 0.99, 1.0)], [50, 99, 100])
        self.assertEqual(audits.percentile([7.0], 0.99), 7.0)

    def test_wrong_answers_count_as_wrong(self):
        case = {"answer": '{"result":"pass","reasons":[]}'}
        self.assertFalse(audits.is_right("audit", {"result": "pass"}, case))
        self.assertFalse(audits.is_right("audit", {"result": "reject", "reasons": []}, case))
        self.assertFalse(audits.is_right("chat", {"choices": []}, case))
        reply = {"choices": [{"message": {"content": ' {"result":"pass","reasons":[]}\n'}}]}
        self.assertTrue(audits.is_right("chat", reply, case))

    def test_ratio_is_how_much_better(self):
        table = report.Table()
        table.add("ours", "t", "ms", False, [2.0, 9.0, 4.0])
        table.add("peer", "t", "ms", False, [12.0])
        table.add("ours", "s", "tokens/s", True, [10.0])
        by_name = {row["name"]: row for row in table.json()}
        self.assertEqual(by_name["t"]["ratio"], 3.0)
        self.assertIsNone(by_name["s"]["ratio"])
        self.assertIn("3.00x", table.text())

    def test_others_are_seen(self):
        """A child nobody waits for is a stranger; one's own work is not."""
        loop = [sys.executable, "-c", "while True: pass"]
        with quiet.Watch() as alone:
            sum(i * i for i in range(3_000_000))
        stranger = subprocess.Popen(loop, start_new_session=True)
        try:
            with quiet.Watch() as watch:
                sum(i * i for i in range(8_000_000))
            with quiet.Watch(session=stranger.pid) as known:
                sum(i * i for i in range(8_000_000))
        finally:
            stranger.kill()
            stranger.wait()
        self.assertTrue(0 <= alone.share <= 1)
        self.assertGreater(watch.share, 0)
        self.assertTrue(0 <= known.share <= 1)

    def test_kv_chart(self):
        points = [{"tokens": n, "on_ms": {"median": 2.0 * n}, "off_ms": {"median": 1.0 * n * n}}
                  for n in (32, 64)]
        root = ElementTree.fromstring(svg.draw({"kind": "kv", "prompt_tokens": 200, "points": points}))
        lines = [e.get("points").split() for e in root.iter(f"{SVG}polyline")]
        self.assertEqual([len(line) for line in lines], [2, 2])
        ends = [float(line[-1].split(",")[1]) for line in lines]
        self.assertLess(ends[0], ends[1])  # off takes longer, so it is drawn higher
        with self.assertRaises(KeyError):
            svg.draw({"kind": "model"})


if __name__ == "__main__":
    unittest.main()
