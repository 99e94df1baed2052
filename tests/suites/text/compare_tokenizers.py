#!/usr/bin/env python3
"""compare_tokenizers.py DRIVER ROOT: glint's ids against those of Hugging Face tokenizers.

Strings are made here at a fixed seed; every character that Unicode 14 assigns is among them. The
tokenizers: the default model's; ones that merge any two bytes, so that a piece cut elsewhere
shows; one trained here and saved by the library itself. Prints `N passed, N failed`.
"""
import json
import random
import sys
import tempfile
import unicodedata

import driver

try:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
except ImportError:
    print("SKIPPED: the Python package tokenizers is not installed (tools/setup test)")
    sys.exit(77)

GLM = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
       r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|"
         r"\s+(?!\S)|\s+")
WORDS = ("the product 商品 标题 图片 特效药 根治 I'll we've DON'T it's naïve café Straße İstanbul "
         "123 4567 3.14 ¥99 100% http://a.b/c?d=e&f=g {\"a\":[1,2]} <|user|> <|image|> /nothink "
         "[gMASK] <think> 👩\u200d👩\u200d👧\u200d👦 🇨🇳 é é ﬁ ſ K ① Ⅷ ½ … — “ ” ： ！ 。").split()
SPACES = [" ", "  ", "\n", "\r\n", "\t", " \n ", "\u3000", "\u00a0", "\u2028", "\u180e", "\x0b",
          "\x85", "\u200b", ""]


def characters():
    """One string for each character assigned in Unicode 14, in places where splits depend on it."""
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) not in ("Cn", "Co", "Cs"):
            yield f"a{char}b{char}1{char}{char} {char}\n{char}'{char} 's'{char}{char} 。{char}\n"


def mixtures(count, seed):
    rng = random.Random(seed)
    assigned = [chr(code) for code in range(0x20, 0x30000)
                if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    pools = [WORDS, SPACES, list("abcXYZ '\"(){}.,:;!?0123456789\n\t "),
             [chr(code) for code in range(0x4E00, 0x9FA5)], assigned]
    for _ in range(count):
        pool = rng.choices(pools, k=rng.randint(1, 4))
        yield "".join(rng.choice(rng.choice(pool)) for _ in range(rng.randint(0, 60)))


def runs():
    """Long pieces, and long texts of short ones."""
    return [unit * 20000 for unit in ("a", "的", " ", "\n", " \n", "'s", "12", "é", "👍", "a ", ".")]


def trained(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GLM), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=6000, show_progress=False, special_tokens=["<|user|>", "[gMASK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(tokenizer.to_str())


def without_added(data):
    """The library matches added tokens in text; glint never does."""
    plain = dict(data, added_tokens=[], post_processor=None)
    return Tokenizer.from_str(json.dumps(plain))


def compare(program, folder, name, data, texts):
    path = driver.write_tokenizer(folder, name + ".json", data)
    got = driver.Driver(program, path).encode(texts)
    want = [row.ids for row in without_added(data).encode_batch(texts, add_special_tokens=False)]
    wrong = [i for i, ids in enumerate(got) if ids != want[i]]
    print(f"{name}: {len(texts)} strings, {len(wrong)} differ")
    for i in wrong[:5]:
        print(f"  {texts[i][:60]!r}: {got[i] if isinstance(got[i], int) else got[i][:12]}, "
              f"not {want[i][:12]}")
    return len(texts) - len(wrong), len(wrong)


def main():
    program, root = sys.argv[1:]
    chars, some = list(characters()), list(mixtures(4000, 1))
    with open(f"{root}/models/default/tokenizer.json", encoding="utf-8") as file:
        default = json.load(file)
    pairs = {
        "pairs_glm": driver.sequence(driver.split(GLM), driver.byte_level()),
        "pairs_gpt2": driver.byte_level(use_regex=True, add_prefix_space=True),
        "pairs_o200k": driver.sequence(driver.split(O200K), driver.byte_level()),
        "pairs_stages": driver.sequence(driver.split(r"\p{N}"), driver.split(r"[\r\n]"),
                                        driver.split(r"\s?\p{L}+|\s?\p{P}+"),
                                        driver.byte_level(add_prefix_space=True)),
    }
    total = [0, 0]
    with tempfile.TemporaryDirectory() as folder:
        def run(name, data, texts):
            for i, count in enumerate(compare(program, folder, name, data, texts)):
                total[i] += count

        run("default", default, some + list(mixtures(4000, 2)) + runs())
        for i, (name, pre_tokenizer) in enumerate(pairs.items()):
            every = chars if name == "pairs_glm" else chars[::9]
            run(name, driver.make_pairs(pre_tokenizer, i), every + some + runs())
        learned = trained(some)
        run("trained", learned, some + list(mixtures(4000, 3)) + runs())
        learned["model"]["ignore_merges"] = True
        run("trained_ignore_merges", learned, some)
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
