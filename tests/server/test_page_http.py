"""The page's files and GET /v1/tasks, as HTTP; tests/web has the page in a browser."""
import gzip
import os
import re
import unittest

from harness import ROOT, Server

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def on_disk(name):
    with open(os.path.join(ROOT, "web", name), "rb") as file:
        return file.read()


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--body-max-mib", "3", "--max-side", "700", "--timeout-ms", "9000")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_every_file(self):
        """As it is on disk, of the right type, with every rule; no file of web/ is forgotten."""
        for name in sorted(os.listdir(os.path.join(ROOT, "web"))):
            for path in ["/page/" + name] + ["/"] * (name == "index.html"):
                got = self.server.get(path)
                self.assertEqual((got.status, got.body), (200, on_disk(name)), path)
                self.assertEqual(got.headers["Content-Type"], TYPES[os.path.splitext(name)[1]])
                self.assertEqual(got.headers["Content-Security-Policy"], POLICY)
                self.assertEqual(got.headers["X-Content-Type-Options"], "nosniff")
                self.assertEqual(got.headers["Referrer-Policy"], "no-referrer")
                self.assertEqual(got.headers["Permissions-Policy"], "camera=(self)")
                self.assertEqual(got.headers["Vary"], "Accept-Encoding")
        sample = self.server.get("/page/sample-listing.png")
        self.assertEqual((sample.headers["Content-Type"], sample.body[:4]), ("image/png", b"\x89PNG"))

    def test_what_it_refers_to_is_there(self):
        source = on_disk("index.html").decode() + on_disk("main.js").decode() + on_disk("answer.js").decode()
        names = set(re.findall(r'"page/([\w.-]+)"', source))
        for name in os.listdir(os.path.join(ROOT, "web")):
            names |= set(re.findall(r'from "\./([\w.-]+)"', on_disk(name).decode()))
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertEqual(self.server.get("/page/" + name).status, 200, name)

    def test_compressed(self):
        plain = self.server.get("/page/words.js")
        small = self.server.get("/page/words.js", **{"Accept-Encoding": "gzip, deflate, br"})
        self.assertIsNone(plain.headers["Content-Encoding"])
        self.assertEqual(small.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(small.body), plain.body)
        self.assertLess(len(small.body), len(plain.body) / 2)
        self.assertNotEqual(small.headers["ETag"], plain.headers["ETag"])

    def test_sent_once(self):
        for path in ("/", "/page/main.js", "/page/sample-listing.png"):
            first = self.server.get(path)
            self.assertEqual(first.headers["Cache-Control"], "no-cache")
            etag = first.headers["ETag"]
            for known in (etag, f'"x", {etag}', f"W/{etag}"):
                again = self.server.get(path, **{"If-None-Match": known})
                self.assertEqual((again.status, again.body, again.headers["ETag"]), (304, b"", etag))
                self.assertEqual(again.headers["Content-Length"], str(len(first.body)))
            for other in ('"x"', etag.strip('"'), etag[:-2] + '"', ""):
                self.assertEqual(self.server.get(path, **{"If-None-Match": other}).status, 200)
            head = self.server.request("HEAD", path)
            self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", str(len(first.body))))

    def test_what_is_not_there(self):
        for path in ("/page", "/page/", "/page/nothing.js", "/page/main.js.gz", "/page/../server.c", "/page/a/b",
                     "/page/%69ndex.html", "/index.html", "/page/INDEX.HTML"):
            self.assertEqual(self.server.get(path).status, 404, path)
        self.assertEqual(self.server.request("POST", "/").status, 405)
        self.assertEqual(self.server.request("DELETE", "/page/main.js").status, 405)

    def test_before_the_model(self):
        with Server(model="load_ms=3000", wait=False) as server:
            self.assertEqual(server.get("/").status, 200)
            tasks = server.get("/v1/tasks")
            self.assertEqual((tasks.status, tasks.error["code"]), (503, "loading"))
            self.assertIsNotNone(tasks.headers["Retry-After"])

    def test_tasks(self):
        got = self.server.get("/v1/tasks")
        self.assertEqual(got.headers["Cache-Control"], "no-store")
        tasks = {task["name"]: task for task in got.json["tasks"]}
        self.assertEqual(list(tasks), ["audit", "ask", "describe", "ocr", "extract"])
        self.assertEqual(tasks["audit"], {"name": "audit", "description": 'A "task".', "languages": ["zh", "en"],
                                          "default_prompt": "say=ok", "max_tokens": 256, "answer": "verdict"})
        self.assertEqual([task["answer"] for task in tasks.values()], ["verdict", "text", "text", "text", "data"])
        self.assertIsNone(tasks["ask"]["default_prompt"])
        self.assertEqual(got.json["limits"],
                         {"body_bytes": 3 << 20, "timeout_ms": 9000, "max_side_px": 700, "images": 8})


if __name__ == "__main__":
    unittest.main(verbosity=1)
