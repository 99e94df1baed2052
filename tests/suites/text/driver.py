"""What the text tests share: the driver program, and tokenizer.json files made here."""
import json
import os
import random
import struct
import subprocess


class Driver:
    """Runs text_driver over one tokenizer.json."""

    def __init__(self, program, tokenizer_path):
        self.program, self.path = program, tokenizer_path

    def run(self, mode, records):
        data = b"".join(struct.pack("<I", len(record)) + record for record in records)
        done = subprocess.run([self.program, mode, self.path], input=data, capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace").strip() or done.returncode)
        return done.stdout

    def encode(self, texts):
        """Lists of ids, or a negative status, one a text (str or bytes)."""
        records = [text.encode() if isinstance(text, str) else text for text in texts]
        out, at, answers = self.run("encode", records), 0, []
        for _ in records:
            (count,) = struct.unpack_from("<i", out, at)
            at += 4
            answers.append(count if count < 0 else
                           list(struct.unpack_from(f"<{count}i", out, at)))
            at += 4 * max(count, 0)
        assert at == len(out)
        return answers

    def answer(self, records):
        """The text that each record's bytes, generated one by one, come out as."""
        out, at, answers = self.run("answer", records), 0, []
        for _ in records:
            (count,) = struct.unpack_from("<I", out, at)
            answers.append(out[at + 4:at + 4 + count])
            at += 4 + count
        assert at == len(out)
        return answers


def byte_alphabet():
    """Characters that stand for the bytes 0..255 in vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(rest)) for byte in range(256)]


def token_bytes(tokenizer_path):
    """{id: bytes} of ordinary tokens and {id: content} of added ones, read without glint."""
    with open(tokenizer_path, encoding="utf-8") as file:
        data = json.load(file)
    byte_of = {char: byte for byte, char in enumerate(byte_alphabet())}
    added = {token["id"]: token["content"] for token in data["added_tokens"]}
    ordinary = {}
    for token, number in data["model"]["vocab"].items():
        if number in added:
            continue
        ordinary[number] = (bytes(byte_of[char] for char in token)
                            if all(char in byte_of for char in token) else token.encode())
    return ordinary, added


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
            "invert": False}


def byte_level(use_regex=False, add_prefix_space=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True,
            "use_regex": use_regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def make_tokenizer(vocab, merges, pre_tokenizer, added=(), ignore_merges=False):
    """A tokenizer.json as a dict. vocab: {token: id}; added: [(id, content)]."""
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": number, "content": content, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True}
                         for number, content in added],
        "normalizer": None, "pre_tokenizer": pre_tokenizer, "post_processor": None,
        "decoder": byte_level(),
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges,
                  "vocab": vocab, "merges": merges}}


def make_pairs(pre_tokenizer, seed):
    """A tokenizer that merges any two bytes: where pieces end shows in the ids."""
    letters = byte_alphabet()
    merges = [(a, b) for a in letters for b in letters]
    random.Random(seed).shuffle(merges)
    vocab = {letter: i for i, letter in enumerate(letters)}
    vocab.update({a + b: 256 + i for i, (a, b) in enumerate(merges)})
    return make_tokenizer(vocab, [f"{a} {b}" for a, b in merges], pre_tokenizer)


def write_tokenizer(folder, name, data):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False)
    return path
