"""Text to token ids: building a byte-level BPE of the family's form, and using one."""

import json
import os
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = (
    "<|endoftext|> [MASK] [gMASK] [sMASK] <sop> <eop> <|system|> <|user|> <|assistant|> "
    "<|observation|> <|begin_of_image|> <|end_of_image|> <|begin_of_video|> <|end_of_video|> "
    "<|image|> <|video|> <think> </think> /nothink"
).split()
# How text is cut before pairs are merged, as in the published checkpoints.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TOKEN_BYTES_MAX = 24
# Every character of the world becomes a token of its own: the labels of visual tokens need it.
CHARACTER_WEIGHT = 400


class Vocabulary:
    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()
        self.special = {name: tokenizer.token_to_id(name) for name in SPECIALS}
        missing = [name for name, number in self.special.items() if number is None]
        if missing:
            raise ValueError(f"the tokenizer has no {missing[0]}")
        self.newline = self.encode("\n")

    @staticmethod
    def load(folder: str) -> "Vocabulary":
        return Vocabulary(Tokenizer.from_file(os.path.join(folder, "tokenizer.json")))

    def encode(self, text: str) -> list[int]:
        """What a user types is never a special token; there are none in the scenes' texts."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def save(self, folder: str) -> None:
        self.tokenizer.save(os.path.join(folder, "tokenizer.json"))
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "additional_special_tokens": SPECIALS,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 8192,
        }
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(settings, file, indent=2)


def build(size: int, texts: Iterable[str], characters: str) -> Vocabulary:
    """Of `size` tokens, specials included, learnt from texts; exactly so many if there are enough
    pairs to merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=TOKEN_BYTES_MAX,
        show_progress=False,
    )
    seen = [char for char in characters for _ in range(CHARACTER_WEIGHT)]
    tokenizer.train_from_iterator([*seen, *texts], trainer)
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in SPECIALS]
    )
    return Vocabulary(tokenizer)
