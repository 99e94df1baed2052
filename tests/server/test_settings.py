"""What a running server takes over of its configuration file, and what it says about the rest."""
import hashlib
import json
import re
import signal
import subprocess
import threading
import time

from harness import FAKE, PATIENCE_S, Server, b64, png, wait_until
from test_reload import ReloadTest, unittest

ASK = {"task": "ask", "prompt": "say=x"}


def api_key(seed):
    digest = hashlib.sha256(seed.encode()).hexdigest()[:43]
    return "gk_" + digest


class SettingsTest(ReloadTest):
    def serve(self, options, *flags, **kwargs):
        self.path = self.write("serve.json", options)
        return self.start("--config", self.path, *flags, binary=FAKE, model="fake", **kwargs)

    def change(self, server, options, words="settings were read again"):
        self.write("serve.json", options)
        return self.reload(server, words)

    def keys(self, *tenants):
        entries = [{"id": name, "sha256": hashlib.sha256(api_key(name).encode()).hexdigest(), "tenant": name,
                    "scopes": ["infer"]} for name in tenants]
        return self.write("keys.json", {"keys": entries, "tenants": {"own": {"requests_per_s": 1000, "requests_burst": 1000}}})

    def statuses(self, server, n, **headers):
        return [server.post(ASK, **headers).status for _ in range(n)]


class Limits(SettingsTest):
    def test_requests(self):
        server = self.serve({})
        self.assertEqual(self.statuses(server, 4), [200] * 4)
        line = self.change(server, {"limit_requests_per_s": 0.001, "limit_requests_burst": 2})
        self.assertRegex(line, r"again: limit-requests-per-s 0.001, limit-requests-burst 2$")
        self.assertEqual(self.statuses(server, 3), [200, 200, 429])
        self.assertEqual(server.post(ASK).error["code"], "rate_limited")
        self.change(server, {"limit_requests_per_s": 500})  # ten seconds' worth, and filled at 500 a second
        wait_until(lambda: server.post(ASK).status == 200, "the bucket fills")
        self.assertIn("again: limit-requests-per-s 0", self.change(server, {}))
        self.assertEqual(self.statuses(server, 4), [200] * 4)
        self.assertIn("again: nothing changed", self.change(server, {}))

    def test_tenants_without_an_entry(self):
        server = self.serve({"api_keys": self.keys("own", "other")})
        limits = {"limit_requests_per_s": 0.001, "limit_requests_burst": 1}
        self.change(server, {"api_keys": self.path.replace("serve.json", "keys.json"), **limits})
        self.assertEqual(self.statuses(server, 3, **{"X-API-Key": api_key("other")}), [200, 429, 429])
        self.assertEqual(self.statuses(server, 3, **{"X-API-Key": api_key("own")}), [200] * 3)

    def test_megapixels(self):
        server = self.serve({})
        fields = {**ASK, "image": b64(png(1000, 1000))}
        self.change(server, {"limit_megapixels_per_s": 0.001, "limit_megapixels_burst": 1})
        self.assertEqual([server.post(fields).status for _ in range(2)], [200, 429])
        self.change(server, {})
        self.assertEqual(server.post(fields).status, 200)

    def test_wrong_credentials_and_proxies(self):
        common = {"api_keys": self.keys("own")}
        server = self.serve({**common, "limit_failures_per_s": 0})

        def tries(address):
            wrong = {"X-API-Key": api_key("wrong"), "X-Forwarded-For": address}
            return [server.post(ASK, **wrong).status for _ in range(3)]

        self.assertEqual(tries("192.0.2.1"), [401] * 3)
        self.change(server, {**common, "limit_failures_per_s": 0.1, "proxies": 1})
        self.assertEqual(tries("192.0.2.1"), [401, 429, 429])
        self.assertEqual(tries("192.0.2.2"), [401, 429, 429])
        self.change(server, {**common, "limit_failures_per_s": 0.1})
        self.assertEqual(tries("192.0.2.3"), [401, 429, 429])
        self.assertEqual(tries("192.0.2.4"), [429] * 3)  # all come from one address again

    def test_line(self):
        common = {"prepare_threads": 1, "sequences_max": 1}
        server = self.serve({**common, "queue_max": 1})
        busy = [server.in_background({"prompt": "run_ms=3000"})]
        self.in_state(server, "running", 1)
        busy.append(server.in_background(ASK))
        self.in_state(server, "ready", 1)
        self.assertEqual(server.post(ASK).error["code"], "queue_full")
        self.change(server, {**common, "queue_max": 3})
        busy += [server.in_background(ASK) for _ in range(2)]
        self.in_state(server, "ready", 3)  # places and room for decoded pictures, both had been 1
        self.assertEqual(server.post(ASK).error["code"], "queue_full")
        self.change(server, {**common, "queue_max": 1})  # who is in the line stays
        self.assertEqual(server.post(ASK).error["code"], "queue_full")
        self.assertEqual([b.result().status for b in busy], [200] * 4)
        self.assertEqual(server.post(ASK).status, 200)

    def in_state(self, server, state, n):
        wait_until(lambda: f'glint_requests_in_state{{state="{state}"}} {n}\n' in server.get("/metrics").body.decode(),
                   f"{n} {state}")

    def test_decoded_pictures(self):
        common = {"prepare_threads": 1, "sequences_max": 1}
        server = self.serve({**common, "ready_max": 1})
        busy = [server.in_background({"prompt": "run_ms=3000"})]
        self.in_state(server, "running", 1)
        busy += [server.in_background(ASK) for _ in range(3)]
        self.in_state(server, "waiting", 2)
        self.change(server, {**common, "ready_max": 2})
        self.in_state(server, "ready", 2)
        self.assertEqual([b.result().status for b in busy], [200] * 4)

    def test_deadline(self):
        server = self.serve({"timeout_ms": 60000})
        self.change(server, {"timeout_ms": 300})
        self.assertEqual(server.post({"prompt": "run_ms=20000"}).error["code"], "deadline_exceeded")
        self.assertIn("300", server.post({**ASK, "timeout_ms": 301}).error["message"])
        self.assertEqual(server.get("/openapi.json").json["info"]["x-limits"]["timeout_ms"], 300)
        self.change(server, {"timeout_ms": 90000})
        self.assertEqual(server.post({**ASK, "timeout_ms": 90000}).status, 200)

    def test_draining(self):
        server = self.serve({"drain_ms": 0})
        self.change(server, {"drain_ms": 20000, "drain_delay_ms": 1000})
        under_way = server.in_background({"prompt": "run_ms=2500"})
        self.in_state(server, "running", 1)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/ready").status == 503, "not ready")
        self.assertEqual(server.post(ASK).status, 200)
        self.assertEqual(under_way.result().status, 200)
        self.assertEqual(server.process.wait(PATIENCE_S), 0)

    def test_while_loading(self):
        self.path = self.write("serve.json", {})
        server = self.start("--config", self.path, binary=FAKE, model="load_ms=1500", wait=False)
        self.change(server, {"timeout_ms": 300, "limit_requests_per_s": 0.001})
        server.wait_ready()
        self.assertIn("300", server.post({**ASK, "timeout_ms": 301}).error["message"])
        self.assertEqual(server.post(ASK).status, 429)

    def test_flags_and_variables_win(self):
        server = self.serve({}, "--limit-requests-per-s", "0.001", env={"GLINT_TIMEOUT_MS": "1000"})
        line = self.change(server, {"limit_requests_per_s": 0, "timeout_ms": 2000, "queue_max": 5})
        self.assertTrue(line.endswith("again: queue-max 5"), line)
        self.assertEqual(self.statuses(server, 2), [200, 429])

    def test_under_load(self):
        """Requests of all kinds while every setting that can change does."""
        common = {"api_keys": self.keys("own", "other"), "queue_max": 200}
        server = self.serve(common)
        ended, wrong = threading.Event(), []

        def client(tenant):
            while not ended.is_set():
                headers = {"X-API-Key": api_key(tenant), "X-Forwarded-For": "192.0.2.9"}
                status = server.post({**ASK, "image": b64(png())}, **headers).status
                if status not in ((401, 429) if tenant == "wrong" else (200, 429)):
                    wrong.append((tenant, status))

        threads = [threading.Thread(target=client, args=(tenant,)) for tenant in ("own", "other", "wrong", "own")]
        for thread in threads:
            thread.start()
        for i in range(30):
            odd = i % 2
            self.change(server, {**common, "queue_max": 100 + i, "ready_max": 1 + odd, "timeout_ms": 20000 + i,
                                 "limit_requests_per_s": 50 * odd, "limit_megapixels_per_s": 50 * odd, "proxies": odd,
                                 "limit_failures_per_s": 10 * odd, "drain_ms": 1000 + i, "drain_delay_ms": odd,
                                 "log_format": ("text", "json")[odd]})
            server.get("/openapi.json", **{"X-API-Key": api_key("own")})
        ended.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual(wrong, [])
        self.assertEqual(server.stop(), 0)


class Logs(SettingsTest):
    def test_level(self):
        server = self.serve({"log_level": "debug"}, "--log-level", "info")  # the flag wins
        self.assertIn("nothing changed", self.change(server, {"log_level": "warn"}))
        server = self.serve({"log_level": "info"})
        self.change(server, {"log_level": "debug"}, "log-level debug")
        self.change(server, '{"log_level": "debug",\n"queue_max": 0}', "the old settings stay")
        self.assertIn("serve.json:2: queue_max is 0", server.lines[-1])

    def test_format(self):
        server = self.serve({})
        line = self.change(server, {"log_format": "json"})
        self.assertIn("log-format json", json.loads(line)["message"])


class Restart(SettingsTest):
    def test_every_option(self):
        """Each is taken over, or its line of the file is named."""
        told = subprocess.run([FAKE, "serve", "--list", "options"], capture_output=True, text=True, timeout=PATIENCE_S).stdout
        rows = re.findall(r"^\| `--([a-z-]+)[^`]*` \| `(\w+)` \| (.*?) \| (.*?) \| .*\| (\w*) \|$", told, re.M)
        self.assertGreater(len(rows), 50)
        texts = {"listen": "127.0.0.1:1", "jwt_keys": "other.json", "redis": "redis://127.0.0.1:1", "redis_share": ["limits"],
                 "allow_image_host": ["a.example"], "allow_image_port": ["8443"]}
        changed = {}
        for _, key, default, values, _ in rows:
            if values == "true, false":
                changed[key] = True
            elif values in ("text", "list of texts"):
                changed[key] = texts.get(key, "other")
            elif match := re.fullmatch(r"(\d+) to (\d+)", values):
                changed[key] = int(match[1]) if match[1] != default else int(match[1]) + 1
            else:
                changed[key] = [choice for choice in values.split(", ") if choice != default][0]
        changed["log_format"] = "text"  # as before, for the lines looked at here
        self.path = self.write("serve.json", {})
        server = Server("--config", self.path, model=None, listen="127.0.0.1:0", env={"GLINT_MODEL": "fake"})
        self.addCleanup(server.stop, signal.SIGKILL)
        before = len(server.lines)
        text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in changed.items())
        line = self.change(server, "{\n" + text + "}")
        self.reload(server, "nothing changed")  # and the warnings again: they still hold
        self.change(server, {})
        lines = server.lines[before:]
        for name, key, _, _, reload in rows:
            number = 2 + list(changed).index(key)
            warning = f"{self.path}:{number}: {key} changed; takes a restart"
            n_warned = sum(warn.endswith(f" warn serve SIGHUP: {warning}") for warn in lines)
            if reload == "value":
                self.assertTrue(name == "log-format" or f" {name} {changed[key]}" in line, name)
                self.assertEqual(n_warned, 0, name)
            else:
                # --listen and --allow-host are flags and GLINT_MODEL a variable: the file has nothing to say.
                self.assertEqual(n_warned, 0 if key in ("listen", "model", "allow_host") else 2, warning)
        self.assertIn("settings were read again", lines[-1])  # no warning behind it

    def test_back_to_the_default(self):
        server = self.serve({"sequences_max": 2})
        line = self.change(server, {}, "takes a restart")
        self.assertIn("SIGHUP: sequences-max is not set any more; takes a restart", line)
        before = len(server.lines)
        self.change(server, {"sequences_max": 2}, "nothing changed")
        time.sleep(0.1)
        self.assertEqual([line for line in server.lines[before:] if "restart" in line], [])

    def test_a_mistake_changes_nothing(self):
        server = self.serve({})
        for options in ({"limit_requests_per_s": 0.001, "audit_durable": True}, {"limit_requests_per_s": -1},
                        {"limit_requests_per_s": 0.001, "jwt_issuer": "x"}):
            self.change(server, options, "the old settings stay")
            self.assertEqual(self.statuses(server, 3), [200] * 3)
        self.assertIn('glint_reloads_total{outcome="failed"} 3\n', server.get("/metrics").body.decode())


if __name__ == "__main__":
    unittest.main()
