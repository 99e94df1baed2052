"""GET /openapi.json: valid, complete, and true: what it says is what the server does."""
import json
import os
import re
import subprocess
import unittest

from harness import FAKE, ROOT, ROUTE, Server, b64, png

try:
    import jsonschema
    import openapi_spec_validator
except ImportError as missing:
    print(f"SKIPPED: {missing}; tools/setup test installs it")
    raise SystemExit(77) from None

CHAT = "/v1/chat/completions"
REQUESTS = {ROUTE: "InferenceRequest", CHAT: "ChatRequest"}
BASE = {ROUTE: {"prompt": "x"}, CHAT: {"messages": [{"role": "user", "content": "x"}]}}
MAX_SIDE, TIMEOUT_MS = 2000, 30000


def documented(path):
    """{field: (type, range, default)} of the table of a route in docs/api.md."""
    with open(os.path.join(ROOT, "docs/api.md")) as file:
        doc = file.read()
    part = doc[doc.index("## Asking" if path == ROUTE else "## Chat completions"):]
    table = part[part.index("| field |"):]
    rows = table[:table.index("\n\n")].split("\n")[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): (row[1], row[2], row[3]) for row in cells}


def kind_of(schema):
    """Its type, beside null."""
    kinds = schema.get("type", [])
    kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    return kinds[0] if kinds else None


class OpenAPI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--max-side", str(MAX_SIDE), "--timeout-ms", str(TIMEOUT_MS))
        cls.spec = cls.server.get("/openapi.json").json
        cls.schemas = cls.spec["components"]["schemas"]

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def valid(self, name, value):
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.spec["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    def post(self, path, fields):
        return self.server.request("POST", path, json.dumps(fields), {"Content-Type": "application/json"})

    def test_valid(self):
        openapi_spec_validator.validate(self.spec)

    def test_every_route_and_no_other(self):
        listed = subprocess.run([FAKE, "serve", "--list-routes"], capture_output=True, text=True, check=True).stdout
        routes = {tuple(line.split()[:2]) for line in listed.splitlines()}
        self.assertEqual(routes, {(method.upper(), path) for path, methods in self.spec["paths"].items()
                                  for method in methods})

    def test_every_field_and_no_other(self):
        for path, name in REQUESTS.items():
            self.assertEqual(set(self.schemas[name]["properties"]), set(documented(path)))
            self.assertIs(self.schemas[name]["additionalProperties"], False)

    def test_types_ranges_defaults(self):
        """As docs/api.md has them, which another test holds to the table."""
        words = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "string",
                 "array": "array", "object": "object"}
        n_numbers = 0
        for path, name in REQUESTS.items():
            table = documented(path)
            for field, schema in self.schemas[name]["properties"].items():
                kind, limits, default = table[field]
                if kind_of(schema):
                    self.assertEqual(words[kind_of(schema)], kind, field)
                if kind_of(schema) in ("integer", "number"):
                    n_numbers += 1
                    low, high = (float(n) for n in limits.split(" to "))
                    high = min(high, {"max_side": MAX_SIDE, "timeout_ms": TIMEOUT_MS}.get(field, high))
                    self.assertEqual((schema["minimum"], schema["maximum"]), (low, high), field)
                if "default" in schema:
                    self.assertEqual(schema["default"], json.loads(default), field)
                elif default != "none":
                    self.assertIn(f"Default: {default}.", schema["description"], field)
        self.assertEqual(n_numbers, 7 + 10)

    def test_ranges_are_true(self):
        """The server takes the ends and refuses what lies beyond; without the default nothing changes."""
        for path, name in REQUESTS.items():
            for field, schema in self.schemas[name]["properties"].items():
                if kind_of(schema) not in ("integer", "number"):
                    continue
                more = {"logprobs": True} if field == "top_logprobs" else {}
                # A deadline of 1 ms is taken, and then missed.
                for value in (schema["minimum"], schema["maximum"])[field == "timeout_ms":]:
                    self.valid(name, {**BASE[path], field: value})
                    answer = self.post(path, {**BASE[path], **more, field: value})
                    self.assertEqual(answer.status, 200, (field, value))
                step = 1 if kind_of(schema) == "integer" else 0.001
                for value in (schema["minimum"] - step, schema["maximum"] + step):
                    with self.assertRaises(jsonschema.ValidationError):
                        self.valid(name, {**BASE[path], field: value})
                    answer = self.post(path, {**BASE[path], field: value})
                    self.assertEqual((answer.status, answer.error["param"]), (400, field), value)
                    # The words name the same range.
                    self.assertIn(str(schema["maximum"]), answer.error["message"])

    def test_null(self):
        """Every field may be null, which is as if it were not there; but what must be there may not."""
        for path, name in REQUESTS.items():
            for field in self.schemas[name]["properties"]:
                if field == "messages":
                    with self.assertRaises(jsonschema.ValidationError):
                        self.valid(name, {field: None})
                    self.assertEqual(self.post(path, {field: None}).status, 400)
                    continue
                fields = {**BASE[path], field: None}
                if field == "prompt":
                    fields["image"] = b64(png())
                self.valid(name, fields)
                answer = self.post(path, fields)
                self.assertEqual(answer.status, 200, (field, answer.body))

    def test_defaults_are_true(self):
        for path, name in REQUESTS.items():
            for field, schema in self.schemas[name]["properties"].items():
                if "default" in schema:
                    answer = self.post(path, {**BASE[path], field: schema["default"]})
                    self.assertEqual(answer.status, 200, (field, answer.body))

    def test_errors(self):
        with open(os.path.join(ROOT, "docs/api.md")) as file:
            rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| `\w+` \| (.*) \|$", file.read(), re.M)
        described = {(int(status), code, words) for status, response in self.spec["components"]["responses"].items()
                     for code, words in response["x-codes"].items()}
        self.assertEqual({(int(s), c, w) for s, c, w in rows}, described)
        self.assertGreater(len(described), 30)
        for answer in (self.post(ROUTE, {}), self.post(ROUTE, {"pormpt": 1}), self.server.get("/nowhere")):
            self.valid("Error", answer.json)
            codes = self.spec["components"]["responses"][str(answer.status)]["x-codes"]
            self.assertEqual(codes[answer.error["code"]], answer.error["message"])

    def test_tasks(self):
        tasks = self.server.get("/v1/tasks").json
        for task in tasks["tasks"]:
            self.valid("Task", task)
        self.assertEqual(tasks["limits"], self.spec["info"]["x-limits"])

    def test_answers(self):
        for fields in ({"prompt": "say=x"}, {"prompt": "say=x;finish=invalid"}, {"task": "ask", "prompt": "say=x"},
                       {"task": "extract", "prompt": "say=x;finish=invalid"}):
            self.valid("InferenceAnswer", self.post(ROUTE, fields).json)
        self.valid("ChatAnswer", self.post(CHAT, {**BASE[CHAT], "n": 3}).json)
        body = self.post(CHAT, {**BASE[CHAT], "stream": True, "stream_options": {"include_usage": True}}).body
        for line in body.decode().split("\n"):
            if line.startswith("data: {"):
                self.valid("ChatChunk", json.loads(line[6:]))
        self.valid("Model", self.server.get("/v1/models/fake").json)
        for path in ("/live", "/ready"):
            self.valid("Status", self.server.get(path).json)

    def test_requests(self):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,Zm9v", "detail": "low"}}
        self.valid("ChatRequest", {"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "x"}]}]})
        for wrong in ({}, {"messages": []}, {**BASE[CHAT], "nope": 1},
                      {"messages": [{"role": "user", "content": [{"type": "x"}]}]}):
            with self.assertRaises(jsonschema.ValidationError):
                self.valid("ChatRequest", wrong)
            self.assertEqual(self.post(CHAT, wrong).status, 400)

    def test_limits(self):
        self.assertEqual(self.spec["info"]["x-limits"], {"body_bytes": 20 << 20, "timeout_ms": TIMEOUT_MS,
                                                         "max_side_px": MAX_SIDE, "images": 8})
        self.assertNotEqual(self.spec["info"]["version"], "")


if __name__ == "__main__":
    unittest.main(verbosity=1)
