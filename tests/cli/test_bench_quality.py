"""glint bench quality against a stub that answers right, wrong and not at all, as its case says."""
import json
import os
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

from glint_cli import ROOT, CliTest

sys.path.insert(0, os.path.join(ROOT, "bench"))
from parts import pictures, svg  # noqa: E402

REJECT = {"result": "reject", "reasons": ["图中使用绝对化用语“万能”"]}
PASS = {"result": "pass", "reasons": []}
USAGE = {"usage": {"completion_tokens": 3}}


def parts_of(content_type, body):
    """{name: value} of a form; pictures stay bytes."""
    boundary = content_type.partition("boundary=")[2].encode()
    parts = {}
    for piece in body.split(b"--" + boundary)[1:-1]:
        head, _, value = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0].decode()
        parts[name] = value if name == "image" else value.decode()
    return parts


class Stub(BaseHTTPRequestHandler):
    """Answers with what the question's text stands for in `answers`: (status, body)."""

    protocol_version = "HTTP/1.1"
    answers, seen = {}, []

    def do_POST(self):
        form = parts_of(self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, dict(self.headers), form))
        status, body = self.answers[form["prompt"]]
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class QualityTest(CliTest):
    def setUp(self):
        super().setUp()
        Stub.answers, Stub.seen = {}, []
        self.cases = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        os.mkdir(self.path("scenes"))
        self.picture = pictures.noise_png(28, 1)
        self.write("scenes/a.png", self.picture)

    def case(self, task, want, status, got, **more):
        prompt = f"question {len(self.cases)}"
        answer = want if isinstance(want, str) else json.dumps(want, ensure_ascii=False)
        self.cases.append({"image": "a.png", "task": task, "prompt": prompt, "answer": answer})
        if isinstance(got, dict) and status == 200:
            got = {**got, "finish_reason": "stop", **USAGE, **more}
        Stub.answers[prompt] = (status, got)

    def ask(self, *args):
        self.write("scenes/cases.json", json.dumps(self.cases))
        return ["bench", "quality", self.path("scenes"), self.url, *args]

    def report(self, *args):
        return json.loads(self.succeed(*self.ask("--json", *args)))

    def fill(self):
        self.case("audit", REJECT, 200, REJECT, confidence=0.99)
        self.case("audit", REJECT, 200, PASS, confidence=0.95)
        self.case("none", PASS, 200, PASS, confidence=0.9)
        self.case("audit", PASS, 503, {"error": {"code": "overloaded"}})
        self.case("ocr", "茶叶\n现货", 200, {"text": "茶叶\n现货"}, confidence=0.55)
        self.case("ocr", "茶叶", 200, {"text": "茶"}, confidence=0.25, finish_reason="length")
        self.case("ocr", "茶叶", 200, b"<html>")


class Counting(QualityTest):
    def test_everything_is_counted_once(self):
        self.fill()
        report = self.report("--clients", "3")
        self.assertEqual(report["kind"], "quality")
        counts = {name: (t["asked"], t["right"]) for name, t in report["tasks"].items()}
        self.assertEqual(counts, {"audit": (3, 1), "none": (1, 1), "ocr": (3, 1)})
        self.assertEqual((report["total"]["asked"], report["total"]["right"]), (7, 3))
        self.assertAlmostEqual(report["tasks"]["ocr"]["char_error_rate"], 3 / 9)
        self.assertNotIn("char_error_rate", report["tasks"]["audit"])
        self.assertEqual(report["unanswered"], 2)
        self.assertEqual(report["verdicts"]["reject"], {"none": 0, "reject": 1, "pass": 1})
        self.assertEqual(report["verdicts"]["pass"], {"none": 1, "reject": 0, "pass": 1})
        self.assertEqual(report["finish_reasons"],
                         {"stop": 4, "overloaded": 1, "length": 1, "not a glint answer": 1})
        bins = report["verdict_calibration"]["bins"]
        self.assertEqual([b["answers"] for b in bins], [3])
        self.assertAlmostEqual(report["verdict_calibration"]["ece"], (0.99 + 0.95 + 0.9) / 3 - 2 / 3)
        self.assertAlmostEqual(report["text_calibration"]["ece"], (0.45 + 0.25) / 2)
        self.assertEqual({w["prompt"] for w in report["wrong"]},
                         {c["prompt"] for i, c in enumerate(self.cases) if i in (1, 3, 5, 6)})

    def test_text_for_people(self):
        self.fill()
        text = self.succeed(*self.ask())
        for expected in (r"audit +3 +33\.3 %", r"ocr +3 +33\.3 % .* 33\.33 %", "Not answered: 2",
                         r"Confidence of verdicts .*error 0\.280", r"reject +0 +1 +1\n"):
            self.assertRegex(text, expected)
        self.assertNotIn("Wrong answers", text)
        verbose = self.succeed(*self.ask("--verbose", "--clients", "1"))
        self.assertRegex(verbose, r"a\.png, ocr, confidence 0\.250\n  asked question 5\n  right 茶叶\n  got   茶\n")
        self.assertIn("  got   (no answer)\n", verbose)

    def test_chart(self):
        self.fill()
        root = ElementTree.fromstring(svg.draw(self.report()))
        circles = root.findall("{http://www.w3.org/2000/svg}circle")
        self.assertEqual(len(circles), 1 + 2)

    def test_limit(self):
        self.fill()
        self.assertEqual(self.report("--limit", "2")["total"]["asked"], 2)


class Requests(QualityTest):
    def test_what_is_sent(self):
        self.case("none", PASS, 200, PASS)
        self.case("describe", "x", 200, {"text": "x"})
        self.report("--token", "secret", "--no-cache", "--clients", "1")
        (path, headers, verdict), (_, _, text) = Stub.seen
        self.assertEqual((path, headers["Authorization"]), ("/v1/multimodal/inference", "Bearer secret"))
        self.assertEqual((verdict["task"], text["task"]), ("audit", "ask"))
        self.assertEqual(verdict["cache"], "false")
        self.assertEqual(verdict["image"], self.picture)


class Refusals(QualityTest):
    def test_wrong_use(self):
        self.assertIn("no folder of scenes", self.refuse(2, "bench", "quality"))
        self.assertIn("http://", self.refuse(2, "bench", "quality", self.dir, "localhost:1"))
        self.assertIn("last /", self.refuse(2, "bench", "quality", self.dir, "http://localhost/"))

    def test_what_cannot_be_read(self):
        self.assertIn("cases.json", self.refuse(3, "bench", "quality", self.path("nowhere"), self.url))
        self.case("ocr", "x", 200, {"text": "x"})
        self.cases[0]["image"] = "b.png"
        self.assertIn("b.png: no such picture", self.refuse(3, *self.ask()))

    def test_nobody_there(self):
        self.case("ocr", "x", 200, {"text": "x"})
        self.server.shutdown()
        self.server.server_close()
        self.assertIn("cannot connect", self.refuse(3, *self.ask()))

    def test_nothing_answered(self):
        self.case("ocr", "x", 401, {"error": {"code": "unauthorized"}})
        done = self.run_glint(*self.ask())
        self.assertEqual(done.returncode, 3)
        self.assertIn("no question was answered: unauthorized", done.stderr)


if __name__ == "__main__":
    unittest.main()
