"""Where nobody is asked who he is: names that were made to point here, and pages of other sites."""
import unittest

from harness import ROUTE, Server

PROMPT = {"task": "ask", "prompt": "say=x"}


class Sites(unittest.TestCase):
    def setUp(self):
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.stop()

    def start(self, *options, **more):
        self.servers.append(Server(*options, **{"host": None, **more}))
        return self.servers[-1]

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.error["code"]), (status, code))

    def test_names(self):
        server = self.start()
        for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3", "glint.localhost:80"):
            self.assertEqual(server.post(PROMPT, Host=host).status, 200, host)
        for host in ("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost",
                     ".localhost", "[::1", "", "1.2.3", "0x7f.1"):
            self.refused(server.post(PROMPT, Host=host), 421, "unknown_host")
        # What nobody may read either; what holds no secret stays open.
        for path in ("/metrics", "/v1/models", "/v1/tasks"):
            self.refused(server.get(path, Host="evil.example"), 421, "unknown_host")
        for path in ("/", "/health", "/live", "/ready"):
            self.assertEqual(server.get(path, Host="evil.example").status, 200, path)
        self.assertIn('reason="the name is not this server', server.get("/metrics").body.decode())

    def test_allowed_names(self):
        server = self.start("--allow-host", "other.example", host="glint.example")
        self.assertEqual(server.post(PROMPT, Host="Glint.Example:443").status, 200)
        self.assertEqual(server.post(PROMPT, Host="other.example").status, 200)
        self.refused(server.post(PROMPT, Host="a.glint.example"), 421, "unknown_host")

    def test_a_name_that_cannot_be(self):
        for name in ("https://glint.example", "glint.example:443", "", "a b"):
            with self.assertRaisesRegex(AssertionError, "exit 2.*--allow-host: \"[^\"]*\" is not a name such as"):
                Server("--allow-host", name)

    def test_pages_of_other_sites(self):
        server = self.start()
        here = f"127.0.0.1:{server.port}"
        for origin in (f"http://{here}", "https://127.0.0.1", "http://127.0.0.1:3000"):
            self.assertEqual(server.post(PROMPT, Origin=origin).status, 200, origin)
        for origin in ("https://evil.example", "null", "", "http://localhost", "http://127.0.0.1.evil.example", "http://"):
            self.refused(server.post(PROMPT, Origin=origin), 403, "foreign_origin")
        # A form that a page may send without asking first.
        form = b"--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nsay=x\r\n--b--\r\n"
        self.refused(server.request("POST", ROUTE, form, {"Content-Type": "multipart/form-data; boundary=b",
                                                          "Origin": "https://evil.example"}), 403, "foreign_origin")

    def test_reached_by_others(self):
        """Every name may be right there; another site's page may still not ask."""
        server = self.start("--insecure-no-auth", listen="0.0.0.0:0")
        self.assertEqual(server.post(PROMPT, Host="glint.example").status, 200)
        self.assertEqual(server.post(PROMPT, Host="glint.example", Origin="https://glint.example").status, 200)
        self.refused(server.post(PROMPT, Host="glint.example", Origin="https://evil.example"), 403, "foreign_origin")


if __name__ == "__main__":
    unittest.main()
