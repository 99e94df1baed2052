"""What SIGHUP reads again while requests run, and what a start says about a mistake in a file."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import GLINT, PATIENCE_S, ROOT, ROUTE, Server, read_all, wait_until

TINY = os.path.join(ROOT, "tests/golden/tiny/model")


class ReloadTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="glint-reload-")
        self.addCleanup(self.folder.cleanup)
        self.templates = os.path.join(self.folder.name, "templates")
        os.mkdir(self.templates)

    def write(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content, indent=1))
        os.replace(path + ".new", path)
        return path

    def template(self, name="mine", **members):
        return self.write(f"templates/{name}.json", {"name": name, "description": "x", "prompt": "{prompt}",
                                                     "max_tokens": 3, **members})

    def start(self, *options, binary=GLINT, model=TINY, **kwargs):
        server = Server(*options, binary=binary, model=model, **kwargs)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def reload(self, server, words):
        """SIGHUP, and the line of the log that it leads to."""
        before = len(server.lines)
        server.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: [line for line in server.lines[before:] if "SIGHUP" in line and words in line],
                          words)[0]


class Templates(ReloadTest):
    def ask(self, server, task="mine"):
        return server.post({"task": task, "prompt": "x"})

    def test_new_ones_hold_from_then_on(self):
        self.template()
        server = self.start("--templates", self.templates, "--answer-cache-mib", "1")
        for _ in range(2):  # the second is a kept answer
            self.assertEqual(self.ask(server).json["tokens_generated"], 3)
        self.template(max_tokens=7)
        self.template("other")
        self.assertEqual(self.ask(server, "other").error["code"], "unknown_task")
        self.reload(server, "templates were read again")
        self.assertEqual(self.ask(server).json["tokens_generated"], 7)
        self.assertEqual(self.ask(server, "other").status, 200)
        names = [task["name"] for task in server.get("/v1/tasks").json["tasks"]]
        self.assertEqual(names[5:], ["mine", "other"])
        metrics = server.get("/metrics").body.decode()
        self.assertIn('task="other"', metrics)
        self.assertRegex(metrics, r'glint_reloads_total\{outcome="ok"\} 2\n')
        os.remove(os.path.join(self.templates, "mine.json"))
        self.reload(server, "templates were read again")
        self.assertEqual(self.ask(server).error["code"], "unknown_task")

    def test_a_mistake_leaves_the_old_ones(self):
        self.template()
        server = self.start("--templates", self.templates)
        for content, words in (('{"name": "mine",\n "description": "x"\n "prompt": "{prompt}"}', "mine.json:3: not valid JSON"),
                               ('{"name": "mine", "description": "x",\n "prompt": "{prompt}",\n "max_tokens": 0}',
                                'mine.json:3: "max_tokens" is 0')):
            self.write("templates/mine.json", content)
            line = self.reload(server, "the old templates stay")
            self.assertIn(words, line)
            self.assertIn(" error ", line)
            self.assertEqual(self.ask(server).json["tokens_generated"], 3)
        self.assertRegex(server.get("/metrics").body.decode(), r'glint_reloads_total\{outcome="failed"\} 2\n')
        self.template(max_tokens=4)
        self.reload(server, "templates were read again")
        self.assertEqual(self.ask(server).json["tokens_generated"], 4)

    def test_a_running_request_keeps_its_own(self):
        """An array of so many numbers: what the schema forces takes its time, whatever the model."""
        rule = {"type": "array", "items": {"type": "integer", "minimum": 100, "maximum": 999}, "minItems": 300,
                "maxItems": 300}
        self.template(max_tokens=4096, schema=rule)
        server = self.start("--templates", self.templates, "--timeout-ms", "600000", "--threads", "1")
        body = json.dumps({"task": "mine", "prompt": "x", "stream": True}).encode()
        with server.socket() as s:
            s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            begun = b""
            while b"delta" not in begun:
                begun += s.recv(4096)
            os.remove(os.path.join(self.templates, "mine.json"))
            self.reload(server, "templates were read again")
            self.assertEqual(self.ask(server).error["code"], "unknown_task")
            self.assertIn('glint_requests_in_state{state="running"} 1\n', server.get("/metrics").body.decode())
            text = (begun + read_all(s)).decode()
        events = [json.loads(event) for event in re.findall(r"^data: (\{.*\})", text, re.M)]
        self.assertEqual(len(events[-1]["data"]), 300)
        self.assertEqual(events[-1]["finish_reason"], "stop")

    def test_under_load(self):
        self.template()
        server = self.start("--templates", self.templates)
        allowed = {3}
        for round_ in range(20):
            answers = [server.in_background({"task": "mine", "prompt": "x", "cache": False}) for _ in range(4)]
            allowed.add(4 + round_ % 2)
            self.template(max_tokens=4 + round_ % 2)
            self.reload(server, "templates were read again")
            for answer in answers:
                self.assertIn(answer.result().json["tokens_generated"], allowed)

    def test_while_loading(self):
        """The templates that are read first may be the old ones; those at the end are not."""
        self.template()
        server = self.start("--templates", self.templates, wait=False)
        self.template(max_tokens=5)
        server.process.send_signal(signal.SIGHUP)
        server.wait_ready()
        wait_until(lambda: any("templates were read again" in line for line in server.lines), "templates")
        self.assertEqual(self.ask(server).json["tokens_generated"], 5)


class Mistakes(ReloadTest):
    """A start names file and line, before anything is served."""

    def refuse(self, code, words, *options, env=None, listen=("--listen", "127.0.0.1:0")):
        done = subprocess.run([GLINT, "serve", *listen, "--model", TINY, *options],
                              capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, **(env or {})})
        last = done.stderr.splitlines()[-1]
        self.assertIn(words, last)
        self.assertEqual(done.returncode, code, last)

    def test_config_file(self):
        for text, words in (('{"queue_max": 8,\n "queue_max": 9}', "serve.json:2: not valid JSON"),
                            ("", "serve.json:1: not valid JSON"), ("[]", "serve.json:1: must be a JSON object"),
                            ('{\n"queue_max": 0}', "serve.json:2: queue_max is 0, must be 1 to 65536"),
                            ('{\n"log_level": "loud",\n"queue_max": 5}', 'serve.json:2: log_level: "loud" is not one of'),
                            ('{"queue_max": 5,\n\n"queue_mx": 5}',
                             'serve.json:3: unknown setting "queue_mx"; did you mean "queue_max"?'),
                            ('{"queue_max": 5,\n"zzz": 5}', 'serve.json:2: unknown setting "zzz"'),
                            ('{"allow_image_host": [\n"a.example",\n[]]}', "serve.json:1: allow_image_host: "),
                            ('{"queue_max":\n"5"}', "serve.json:1: queue_max: the value has the wrong type")):
            self.refuse(2, words, "--config", self.write("serve.json", text))
        self.refuse(2, "nowhere.json", "--config", "nowhere.json")

    def test_values_that_a_part_refuses(self):
        """Those that no type or range says anything about, wherever they come from."""
        secret = self.write("redis.secret", "0123456789" * 4)
        hosts = {"allow_image_host": ["a.example"]}
        redis = {"redis": "redis://127.0.0.1:1", "redis_secret_file": secret}
        audit = {"audit_log": os.path.join(self.folder.name, "audit.log")}
        for common, key, value, code, words in (
                ({}, "listen", "nowhere", 2, '"nowhere" is not an address'),
                ({}, "allow_image_host", ["a.example", "a b"], 2, '"a b" is not a host'),
                (hosts, "allow_image_port", ["8443", "65536"], 2, '"65536" is not a port'),
                (hosts, "image_ca_file", "nowhere.pem", 3, "nowhere.pem: cannot be read"),
                ({}, "jwt_keys", "nowhere.json", 3, "nowhere.json: No such file"),
                ({}, "api_keys", "nowhere.json", 3, "nowhere.json: No such file"),
                ({}, "audit_log", "/nowhere/audit.log", 3, "/nowhere/audit.log: cannot be written to"),
                (audit, "audit_salt_file", "nowhere.salt", 3, "nowhere.salt: No such file"),
                (redis, "redis", "http://secret@host", 2, "Redis: an unknown kind of address"),
                (redis, "redis_secret_file", "nowhere.secret", 3, "nowhere.secret: No such file"),
                (redis, "redis_password_file", "nowhere.txt", 3, "nowhere.txt: No such file"),
                (redis, "redis_ca_file", "nowhere.pem", 2, "nowhere.pem: roots to trust do nothing"),
                (redis, "redis_prefix", "a b", 2, '"a b" is no prefix'),
                (redis, "redis_share", ["limits", "all"], 2, '"all" is none of answers'),
                ({}, "templates", "nowhere", 4, "nowhere: templates: No such file")):
            value = value if isinstance(value, list) else [value]
            common = {name: what for name, what in common.items() if name != key}
            path = self.write("serve.json", common)
            flag = f"--{key.replace('_', '-')}"
            flags = [word for one in value for word in (flag, one)]
            self.refuse(code, f"glint serve: {flag}: {words}", "--config", path, *flags)
            no_flag = {"listen": ()} if key == "listen" else {}
            self.refuse(code, f"glint serve: GLINT_{key.upper()}: {words}", "--config", path,
                        env={f"GLINT_{key.upper()}": ",".join(value)}, **no_flag)
            text = json.dumps(value if key in ("allow_image_host", "allow_image_port", "redis_share") else value[0])
            path = self.write("serve.json", "{\n" + "".join(f"{json.dumps(name)}: {json.dumps(what)},\n"
                                                            for name, what in common.items()) + f'"{key}": {text}}}')
            self.refuse(code, f"glint serve: {path}:{2 + len(common)}: {key}: {words}", "--config", path, **no_flag)

    def test_a_value_of_two_options(self):
        """Nobody knows which of them was meant."""
        self.refuse(3, "glint serve: nowhere.json: No such file", "--jwt-keys", "nowhere.json", "--api-keys", "nowhere.json")

    def test_templates(self):
        good = {"name": "mine", "description": "x", "prompt": "{prompt}", "max_tokens": 3}
        for members, words in (({"name": "No Name"}, '2: "name" must be'), ({"prompt": "no slot"}, '4: "prompt" has no'),
                               ({"prompt": "{prompt} {what}"}, '4: "prompt": slot {what}'), ({"max_tokens": "3"}, "5: "),
                               ({"schema": {"type": "strange"}}, '6: schema: "type"'), ({"more": 1}, '6: unknown key'),
                               ({"label": "x"}, '6: "label"'), ({"languages": [1]}, '6: "languages"')):
            path = self.write("templates/mine.json", {**good, **members})
            self.refuse(4, f"{path}:{words}", "--templates", self.templates)

    def test_model(self):
        """What a checkpoint says is named by file and key."""
        model = os.path.join(self.folder.name, "model")
        shutil.copytree(TINY, model)
        self.write("model/config.json", '{"model_type": "glm4v",\n "text_config": }')
        self.refuse(4, "config.json:2: not valid JSON", "--model", model)


if __name__ == "__main__":
    unittest.main()
