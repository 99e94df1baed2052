"""The peer: llama.cpp's own programs, and what they print."""
import json
import os
import re

from .pictures import noise_png
from .quiet import Failure, run

_ENCODED = re.compile(r"(?:mtmd batch encoding done|slice encoded) in (\d+) ms")
_TOKENS = re.compile(r"decoding image batch 1/\d+, n_tokens_batch = (\d+)")


def parse_version(text):
    """What --version says -> number and commit of the build"""
    found = re.search(r"build \d+, commit \w+", text)
    return found.group() if found else "of unknown version"


def parse_bench(text):
    """llama-bench -o json -> {("prefill"|"decode", tokens): [tokens/s of each run]}"""
    out = {}
    for entry in json.loads(text):
        kind = "prefill" if entry["n_gen"] == 0 else "decode"
        out[kind, entry["n_prompt"] or entry["n_gen"]] = entry["samples_ts"]
    return out


def parse_batched(text):
    """llama-batched-bench --output-format jsonl -> {sequences: tokens/s together}"""
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {row["pl"]: row["speed_tg"] for row in rows}


def parse_encodes(log):
    """Log of llama-mtmd-cli -> [(milliseconds, visual tokens)] in order of pictures"""
    times = [int(x) for x in _ENCODED.findall(log)]
    tokens = [int(x) for x in _TOKENS.findall(log)]
    if len(times) != len(tokens):
        raise Failure(f"llama-mtmd-cli: {len(times)} encodings, {len(tokens)} pictures in its log")
    return list(zip(times, tokens))


class Llama:
    """Programs in `bin_dir`; text-q8_0.gguf and mmproj-f16.gguf, or their likes, in `gguf_dir`."""

    name = "llama.cpp"

    def __init__(self, bin_dir, gguf_dir, model_dir, threads, scratch):
        self.bin_dir, self.model_dir, self.threads, self.scratch = bin_dir, model_dir, threads, scratch
        files = sorted(f for f in os.listdir(gguf_dir) if f.endswith(".gguf"))
        vision = [f for f in files if f.startswith("mmproj")]
        text = [f for f in files if not f.startswith("mmproj")]
        if len(text) != 1 or len(vision) != 1:
            raise Failure(f"{gguf_dir}: wants one text and one mmproj file, has {files}")
        self.text = os.path.join(gguf_dir, text[0])
        self.mmproj = os.path.join(gguf_dir, vision[0])

    def _program(self, name):
        return os.path.join(self.bin_dir, name)

    def version(self):
        """Number and commit of its build."""
        return parse_version("".join(run([self._program("llama-server"), "--version"])))

    def text_speed(self, prefill, generated, repeats):
        """Prompt of `prefill` tokens; `generated` tokens after nothing. As parse_bench."""
        out, _ = run([self._program("llama-bench"), "-m", self.text, "-t", str(self.threads),
                      "-p", str(prefill), "-n", str(generated), "-r", str(repeats), "-o", "json"])
        return parse_bench(out)

    def batch_speed(self, sequences, past, generated):
        """`generated` tokens of each of n sequences after `past`, for n in sequences."""
        context = max(sequences) * (past + generated)
        out, _ = run([self._program("llama-batched-bench"), "-m", self.text,
                      "-t", str(self.threads), "-c", str(context + 64), "-npp", str(past),
                      "-ntg", str(generated), "-npl", ",".join(map(str, sequences)),
                      "--output-format", "jsonl"])
        return parse_batched(out)

    def vision_ms(self, pixels, repeats):
        """{pixels: ([ms], visual tokens)}. Every size is encoded once more than is counted."""
        found = {}
        for px in pixels:
            path = os.path.join(self.scratch, f"noise-{px}.png")
            if not os.path.exists(path):
                with open(path, "wb") as f:
                    f.write(noise_png(px, px))
            _, log = run([self._program("llama-mtmd-cli"), "-m", self.text, "--mmproj", self.mmproj,
                          "-t", str(self.threads), "--image", ",".join([path] * (repeats + 1)),
                          "-c", "32768", "-n", "1", "--temp", "0", "--jinja", "-lv", "4", "-p", "x"])
            encodes = parse_encodes(log)[1:]
            found[px] = ([ms for ms, _ in encodes], encodes[0][1])
        return found

    def server_argv(self, port, settings=("-np", "8"), context=8 * 2048, cached=False):
        """A server for several requests at once; unless `cached` it keeps nothing from one to the
        next. `context` tokens are shared by its slots."""
        fresh = [] if cached else ["--no-cache-prompt", "--cache-ram", "0"]
        return [self._program("llama-server"), "-m", self.text, "--mmproj", self.mmproj,
                "-t", str(self.threads), "--host", "127.0.0.1", "--port", str(port),
                *settings, "-c", str(context), *fresh, "--jinja",
                "--chat-template-file", os.path.join(self.model_dir, "chat_template.jinja"),
                "--skip-chat-parsing"]

    ready_path = "/health"
    routes = ("chat",)
