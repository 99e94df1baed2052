"""Programs that answer bench/versus as glint and llama.cpp do, with figures the test knows."""
import os
import stat

# What llama.cpp build 10587 prints, shortened.
BENCH = """import json
print(json.dumps([
    {"n_prompt": 512, "n_gen": 0, "samples_ts": [1000.0, 900.0, 5.0]},
    {"n_prompt": 0, "n_gen": 128, "samples_ts": [50.0, 40.0, 45.0]},
]))
"""
BATCHED = """print('{"pp": 128, "tg": 64, "pl": 1, "speed_pp": 276.4, "speed_tg": 40.0}')
print('{"pp": 128, "tg": 64, "pl": 8, "speed_pp": 843.2, "speed_tg": 100.0}')
"""
MTMD = """import sys
if "-c" not in sys.argv: sys.exit(3)
for ms in (90, 60, 50):
    print("0.00.269.976 I encoding mtmd batch, n_chunks = 1", file=sys.stderr)
    print(f"0.00.796.404 I mtmd batch encoding done in {ms} ms", file=sys.stderr)
    print("0.00.803.187 I decoding image batch 1/1, n_tokens_batch = 64", file=sys.stderr)
"""
# One class serves both: glint's /ready and task route, llama.cpp's /health; chat on both.
SERVER = """import http.server, json, sys
if "--version" in sys.argv:
    print("version: 0.2.0-dev (build 10587, commit 3f545becc)", file=sys.stderr); sys.exit()
HAS_TASKS = {has_tasks}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def say(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status); self.send_header("Content-Length", str(len(data)))
        self.end_headers(); self.wfile.write(data)
    def do_GET(self): self.say(200 if self.path in ("/health", "/ready") else 404, {{}})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/multimodal/inference" and HAS_TASKS:
            assert body["task"] == "audit" and body["image"]
            self.say(200, {{"result": "pass", "reasons": [], "confidence": 1}})
        elif self.path == "/v1/chat/completions" and not HAS_TASKS:
            url = body["messages"][0]["content"][0]["image_url"]["url"]
            assert url.startswith("data:image/png;base64,")
            answer = '{{"result":"pass","reasons":[]}}'
            self.say(200, {{"choices": [{{"message": {{"content": answer}}}}]}})
        else: self.say(404, {{}})
    def log_message(self, *args): pass
port = int(sys.argv[sys.argv.index("{flag}") + 1].rpartition(":")[2])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
GLINT = """import json, sys
if sys.argv[1] == "serve": exec(open(__file__ + "-serve").read()); sys.exit()
def values(name): return [int(sys.argv[i + 1]) for i, a in enumerate(sys.argv) if a == "--" + name]
card = {"cpu": "Stub", "tier": "avx2", "system": "Linux", "governor": "none", "glint": "0",
        "revision": "abc", "compiler": "gcc"}
if sys.argv[2] == "machine": print(json.dumps({"card": card, "ceilings": {}})); sys.exit()
generated, items = values("decode-tokens")[0], []
def item(work, size, tokens, ms):
    items.append({"work": work, "size": size, "tokens": tokens, "ms": {"runs": ms},
                  "tokens_per_s": tokens / ms[0] * 1e3})
for n in values("prefill"):
    if n: item("prefill", n, n, [n / 4.0] * 3)              # 4,000 tokens/s
for n in values("decode"):
    if n: item("decode", n, n * generated, [10.0 * generated] * 3)  # 100 n tokens/s
for px in values("pixels"):
    if px: item("vision", px, 64, [5.0, 11.0, 10.0])
print(json.dumps({"items": items}))
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/usr/bin/env python3\n" + text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


def make(folder):
    """(folder of llama.cpp's programs, glint)"""
    llama = os.path.join(folder, "llama")
    os.mkdir(llama)
    write(os.path.join(llama, "llama-bench"), BENCH)
    write(os.path.join(llama, "llama-batched-bench"), BATCHED)
    write(os.path.join(llama, "llama-mtmd-cli"), MTMD)
    write(os.path.join(llama, "llama-server"), SERVER.format(has_tasks=False, flag="--port"))
    glint = os.path.join(folder, "glint")
    write(glint, GLINT)
    write(glint + "-serve", SERVER.format(has_tasks=True, flag="--listen"))
    return llama, glint
