"""Text and pictures to token ids, by structure: special tokens typed by a user stay text."""

import json
import os

from tokenizers import Tokenizer


class Glm4vTokenizer:
    def __init__(self, folder):
        spec = json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf-8"))
        self.special = {t["content"]: t["id"] for t in spec["added_tokens"]}
        spec["added_tokens"] = []  # so that <|user|> inside a question is six ordinary tokens
        self.plain = Tokenizer.from_str(json.dumps(spec))

    def encode(self, text):
        return self.plain.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        """Special ids have no bytes of their own and vanish."""
        return self.plain.decode([i for i in ids if i not in self.special.values()])

    def prompt(self, turns, grids):
        """turns: [(role, [str or None, ...])], None standing for the next picture of `grids`.

        [gMASK]<sop> then per turn the role token, a newline, the parts in order; the assistant's
        turn is opened last. One <|image|> stands for 2x2 patches.
        """
        sp, grids = self.special, iter(grids)
        ids = [sp["[gMASK]"], sp["<sop>"]]
        for role, parts in turns:
            ids += [sp[f"<|{role}|>"]]
            text = "\n"  # text runs that touch are one text to the tokenizer
            for part in parts:
                if part is not None:
                    text += part
                    continue
                h, w = next(grids)
                ids += self.encode(text) + [sp["<|begin_of_image|>"]]
                ids += [sp["<|image|>"]] * (h * w // 4) + [sp["<|end_of_image|>"]]
                text = ""
            ids += self.encode(text)
        return ids + [sp["<|assistant|>"]] + self.encode("\n")
