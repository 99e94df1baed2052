#!/usr/bin/env python3
"""outside.py DRIVER ROOT: the outside suites of strings, in the folder $GLINT_SUITES.

Prints a line for each suite and `N passed, N failed, N skipped`.
"""
import glob
import json
import os
import struct
import sys
import tempfile

import driver

ERR_ARG = -1
# Pre-tokenizers as llama.cpp has them for these names (src/llama-vocab.cpp).
PRE_TOKENIZERS = {
    "gpt-2": driver.byte_level(use_regex=True),
    "deepseek-coder": driver.sequence(
        driver.split("[\r\n]"), driver.split(r"\s?\p{L}+"), driver.split(r"\s?\p{P}+"),
        driver.split("[一-龥ࠀ-一가-\ud7ff]+"), driver.split(r"\p{N}"), driver.byte_level()),
}


class Gguf:
    """The metadata of a GGUF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data, self.at = file.read(), 0
        assert self.data[:4] == b"GGUF"
        self.at = 4
        _, _, n_keys = self.take("<IQQ")
        self.keys = {}
        for _ in range(n_keys):
            key = self.string()
            self.keys[key] = self.value(self.take("<I")[0])

    def take(self, fmt):
        values = struct.unpack_from(fmt, self.data, self.at)
        self.at += struct.calcsize(fmt)
        return values

    def string(self):
        (size,) = self.take("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8", "surrogateescape")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            kind, count = self.take("<IQ")
            return [self.value(kind) for _ in range(count)]
        return self.take("<" + "BbHhIif?"[kind] if kind < 8 else "<" + "Qqd"[kind - 10])[0]


def llama_cpp(program, _default, folder, suites):
    passed = failed = skipped = 0
    for path in sorted(glob.glob(f"{suites}/tokenizer-llamacpp/*.gguf")):
        keys = Gguf(path).keys
        kind, pre = keys["tokenizer.ggml.model"], keys.get("tokenizer.ggml.pre")
        with open(path + ".inp", encoding="utf-8", newline="") as file:
            texts = file.read().split("\n__ggml_vocab_test__\n")
        with open(path + ".out", encoding="utf-8") as file:
            want = [[int(word) for word in line.split()] for line in file.read().split("\n")]
        if kind != "gpt2":
            print(f"  {os.path.basename(path)}: skipped, its model is \"{kind}\" (SentencePiece)")
            skipped += len(texts)
            continue
        tokens, types = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
        added = [(i, token) for i, token in enumerate(tokens) if types[i] != 1]
        vocab = {token: i for i, token in enumerate(tokens) if types[i] == 1}
        data = driver.make_tokenizer(vocab, keys["tokenizer.ggml.merges"], PRE_TOKENIZERS[pre],
                                     added)
        made = driver.Driver(program, driver.write_tokenizer(folder, pre + ".json", data))
        for text, got, ids in zip(texts, made.encode(texts), want):
            passed, failed = (passed + 1, failed) if got == ids else (passed, failed + 1)
            if got != ids:
                print(f"  {pre}: {text!r}: {got}, not {ids}")
    return passed, failed, skipped


def round_trips(default, texts):
    """Texts whose ids are all ordinary and stand for the text again."""
    ordinary, added = driver.token_bytes(default.path)
    passed = failed = 0
    for text, ids in zip(texts, default.encode(texts)):
        good = (not isinstance(ids, int) and not added.keys() & set(ids)
                and b"".join(ordinary[number] for number in ids) == text.encode())
        passed, failed = (passed + 1, failed) if good else (passed, failed + 1)
        if not good:
            print(f"  {text[:60]!r}: {ids if isinstance(ids, int) else ids[:20]}")
    return passed, failed, 0


def naughty_strings(_program, default, _folder, suites):
    with open(f"{suites}/strings-blns/blns.json", encoding="utf-8") as file:
        return round_trips(default, json.load(file))


def special_tokens(_program, default, _folder, suites):
    with open(f"{suites}/prompt-special-tokens/special-tokens.json", encoding="utf-8") as file:
        return round_trips(default, json.load(file)["cases"])


def utf8_stress(_program, default, _folder, suites):
    """Lines `number:valid|invalid:bytes`: refused as a prompt, U+FFFD in an answer."""
    lines = {}
    for name in ("utf8tests.bin", "utf8.replace.ref.txt"):
        with open(f"{suites}/utf8-stress/{name}", "rb") as file:
            lines[name] = [line.split(b":", 2) for line in file.read().split(b"\n")
                           if line.count(b":") >= 2]
    texts = [text for _, _, text in lines["utf8tests.bin"]]
    replaced = {number: text for number, _, text in lines["utf8.replace.ref.txt"]}
    passed = failed = 0
    rows = zip(lines["utf8tests.bin"], default.encode(texts), default.answer(texts))
    for (number, kind, text), ids, answer in rows:
        refused = ids == ERR_ARG if kind == b"invalid" else not isinstance(ids, int)
        good = refused and answer == replaced.get(number)
        passed, failed = (passed + 1, failed) if good else (passed, failed + 1)
        if not good:
            print(f"  {number.decode()}: {text!r}: {ids} {answer!r}, not {replaced.get(number)!r}")
    return passed, failed, 0


def main():
    program, root = sys.argv[1:]
    suites = os.environ.get("GLINT_SUITES", "")
    if not os.path.isdir(suites):
        print(f"SKIPPED: no outside suites at {suites!r}")
        return 77
    default = driver.Driver(program, f"{root}/models/default/tokenizer.json")
    total = [0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for name, run in (("tokenizer-llamacpp", llama_cpp), ("strings-blns", naughty_strings),
                          ("prompt-special-tokens", special_tokens), ("utf8-stress", utf8_stress)):
            counts = run(program, default, folder, suites)
            print(f"{name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
            total = [have + more for have, more in zip(total, counts)]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
