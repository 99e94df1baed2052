"""python reference/make_text_cases.py: tests/golden/text/{tokenizer.jsonl,chat.json}

tokenizer.jsonl: strings and their ids by the `tokenizers` package, default model's tokenizer with
its added tokens taken out, since that is how text from users must be encoded. One object a line:
{"kind", "text", "ids"}. Only characters assigned in Unicode 14 (Python 3.11), so that a regular
expression library of another year does not disagree about what a letter is.

chat.json: conversations rendered by the default model's own template and by reference/templates.
"""

import json
import os
import random
import sys
import unicodedata

from jinja2 import Environment

from tokenizer import Glm4vTokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODEL = os.path.join(ROOT, "models", "default")
OUT = os.path.join(ROOT, "tests", "golden", "text")

FIXED = [
    "", " ", "  ", "\n", "\r", "\r\n", "\t", "\n\n\n", " \n", "\n ", " \n \n ", "\u3000", "\u00a0", "\x00", "\x00\x00a",
    "a", "A", "I'll", "I'LL", "we've", "don't", "DON'T", "it's", "IT'S", "they're", "I'm", "he'd", "'s", "''s", "' s",
    "'ſ", "'S", "x'ſ y", "'\u212a", "rock'n'roll", "l'été", "’s", "don’t", "\u0130'S", "1'st", "a'll'd",
    "1", "12", "123", "1234", "12345", "123456", "1234567", "3.14159", "1,234.56", "0xFF", "1e-5", "٣٤٥٦", "१२३४", "½⅓", "①②③④", "ⅧⅨ", "²³¹",
    "特效药根治糖尿病！", "特效药根治糖尿病!", "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。",
    '{"result":"reject","reasons":["图像中出现疑似处方药包装，属于平台禁售品类"]}', "図書館で勉強します。", "한국어 텍스트", "ภาษาไทย", "العربية", "עברית",
    "हिन्दी में", "Ελληνικά", "Русский текст", "Tiếng Việt", "naïve café", "e\u0301", "n\u0303o", "\u0301", "a\u0301\u0302\u0303", "Ａｂｃ１２３！",
    "👩\u200d👩\u200d👧\u200d👦", "🇨🇳🇺🇸", "👍🏽", "😀😀😀", "❤️", "☺", "a😀b", "😀 ", " 😀", "\ufeffbom", "a\u200bb", "a\u200db", "\u202eabc", "\ufffd", "\uffff",
    "<|user|>", "<|image|>", "[gMASK]<sop>", "/nothink", "<think></think>", "<|endoftext|>", "x<|assistant|>\ny", "<|user|", "|>", "<|begin_of_image|>",
    "#include <stdio.h>\nint main(void) { return 0; }\n", "for i in range(10):\n    print(i)\n", "<div class=\"a\">&nbsp;</div>", "SELECT * FROM t WHERE a='b';--",
    "a = b\t\t# c", "C:\\path\\n", "http://example.com/?q=1&r=%20", "user@example.com", "--flag=value -x", "$100.00 €5 ¥39.9 ￥1,000", "a_b-c.d/e", "...", "…", "。。。", "!!!", "？！",
    " leading", "trailing ", "  two", "two  ", "a  b", "a   b", "a \n b", "a\n\n b", "a\r\n\r\nb", "\t\tx", "x \t", "a\u3000b", "a\u00a0b", "a\u2003\u2003b", "a\u2028b", "a\x0bb\x0cc\x1cd\x85e",
]  # fmt: skip
WORDS = "fresh apple coffee summer sale new arrival classic cotton shirt water Bottle SMART watch iPhone free-shipping best_price don't it's we'll O'Brien x86 v2.0 a I naïve".split()
CODE = "def return if else ( ) [ ] { } ; : = == != -> // /* */ \t \n \n\n \" ' \\ $x _y 0 1 255 0x1f foo bar() self.x &amp; <br> %s %d #".split(
    " "
)
EMOJI = "😀 😂 🥰 👍 👍🏽 ❤️ 🔥 🎉 💊 💉 🔪 🍺 🇨🇳 👩\u200d👩\u200d👧\u200d👦 ☺ ✅ ⚠️ 1️⃣".split()
SPACES = [
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " \n",
    "\n ",
    "\u3000",
    "\u00a0",
    "\u2003",
    " \t ",
    "\x0b",
    "\x0c",
    "\x85",
    "\u2028",
]
ROLES = [
    "<|user|>",
    "<|assistant|>",
    "<|image|>",
    "[gMASK]",
    "<sop>",
    "/nothink",
    "<think>",
    "</think>",
    "<|endoftext|>",
    "<|",
    "|>",
    "<",
]


def assigned(lo, hi):
    return [chr(c) for c in range(lo, hi) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def strings(vocabulary):
    r = random.Random(20240601)
    han, bmp, astral = assigned(0x4E00, 0xA000), assigned(0, 0x10000), assigned(0x10000, 0x30000)
    kana, hangul, latin = assigned(0x3040, 0x3100), assigned(0xAC00, 0xD7A4), assigned(0x20, 0x250)
    marks = [c for c in bmp if unicodedata.category(c).startswith("M")]
    digits = [c for c in bmp + astral if unicodedata.category(c).startswith("N")]
    punct = list("，。！？、；：“”（）《》【】—…·") + list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    some = lambda source, lo, hi: "".join(r.choice(source) for _ in range(r.randint(lo, hi)))
    joined = lambda source, lo, hi: " ".join(r.choice(source) for _ in range(r.randint(lo, hi)))
    mixed = [
        lambda: some(han, 1, 4),
        lambda: r.choice(WORDS),
        lambda: r.choice(SPACES),
        lambda: some(punct, 1, 2),
    ]
    mixed += [
        lambda: some("0123456789", 1, 6),
        lambda: r.choice(EMOJI),
        lambda: some(kana, 1, 3),
        lambda: some(hangul, 1, 3),
    ]
    kinds = {
        "vocabulary": lambda: "".join(r.choice(vocabulary) for _ in range(r.randint(1, 8))),
        "chinese": lambda: some(han, 1, 24),
        "chinese_punctuated": lambda: some(han + punct * 80, 1, 24),
        "words": lambda: joined(WORDS, 1, 10),
        "mixed": lambda: "".join(r.choice(mixed)() for _ in range(r.randint(2, 12))),
        "emoji": lambda: some(EMOJI + [" ", "\u200d", "\ufe0f", "a"], 1, 8),
        "space": lambda: "".join(
            r.choice(SPACES + ["a", "中", "1", "."]) for _ in range(r.randint(1, 12))
        ),
        "digits": lambda: some("0123456789" * 3 + ".,-: ", 1, 20),
        "any_digits": lambda: some(digits, 1, 8),
        "contractions": lambda: some(
            ["'", "s", "S", "ll", "LL", "re", "VE", "d", "m", "T", "ſ", " ", "x", "’"], 1, 8
        ),
        "code": lambda: some(CODE, 1, 16),
        "latin": lambda: some(latin, 1, 20),
        "combining": lambda: "".join(
            r.choice(latin + han[:50]) + some(marks, 0, 3) for _ in range(r.randint(1, 8))
        ),
        "bmp": lambda: some(bmp, 1, 12),
        "astral": lambda: some(astral, 1, 8),
        "special": lambda: some(ROLES + ["a", " ", "\n", "中"], 1, 6),
        "run": lambda: r.choice(["a", " ", "\n", "!", "=", "哈", "0", "ab", "\t", "。", "A ", "😀"])
        * r.randint(2, 90),
    }
    for text in FIXED:
        yield "fixed", text
    for kind, make in kinds.items():
        for _ in range(200):
            yield kind, make()
    yield "long", "".join(r.choice(mixed)() for _ in range(3000))
    yield "long", "a" * 4000
    yield "long", "好" * 2000
    yield "long", " " * 3000


def write_tokenizer_cases():
    tokenizer = Glm4vTokenizer(MODEL)
    vocabulary = [tokenizer.plain.decode([i]) for i in range(256, tokenizer.plain.get_vocab_size())]
    vocabulary = [v for v in vocabulary if "\ufffd" not in v]
    seen = 0
    with open(os.path.join(OUT, "tokenizer.jsonl"), "w", encoding="utf-8") as f:
        for kind, text in strings(vocabulary):
            ids = tokenizer.encode(text)
            assert tokenizer.plain.decode(ids, skip_special_tokens=False) == text, (kind, text)
            f.write(
                json.dumps(
                    {"kind": kind, "text": text, "ids": ids},
                    ensure_ascii=True,
                    separators=(",", ":"),
                )
                + "\n"
            )
            seen += 1
    print(f"tokenizer.jsonl: {seen} strings")


IMAGE = {"type": "image"}
text = lambda s: {"type": "text", "text": s}
user = lambda content: {"role": "user", "content": content}
assistant = lambda content, **kw: {"role": "assistant", "content": content, **kw}
CONVERSATIONS = {
    "text": [user("Q?")],
    "image": [user([IMAGE, text("Q?")])],
    "image_last": [user([text("Q?"), IMAGE])],
    "images_between": [user([text("图一："), IMAGE, text("图二："), IMAGE, text("有何不同？")])],
    "images_touching": [user([IMAGE, IMAGE, text("Compare.")])],
    "image_only": [user([IMAGE])],
    "texts_touching": [user([text("a"), text("b\n"), text(" c")])],
    "spaces_kept": [user("  two lines\n\n of text \n")],
    "empty": [user("")],
    "system": [{"role": "system", "content": "S"}, user("Q?")],
    "system_image": [
        {"role": "system", "content": "你是审核员。\n只回答JSON。"},
        user([IMAGE, text("审核该商品。")]),
    ],
    "history": [user([IMAGE, text("图里有什么？")]), assistant("苹果"), user("几个？")],
    "history_trimmed": [user("a"), assistant("\n b \n"), user("c")],
    "history_thought": [user("a"), assistant("<think>\nhm\n</think>\nb"), user("c")],
    "history_reasoning": [user("a"), assistant("b", reasoning_content="hm"), user("c")],
    "history_empty": [user("a"), assistant(""), user("c")],
    "last_reasoning": [user("a"), assistant("b", reasoning_content=" hm ")],
    "nothink_typed": [user("Q?/nothink")],
    "nothink_inside": [user("/nothink Q?")],
    "two_users": [user("a"), user("b")],
}
# GLM-4.1V and the default model know nothing of thought: they take an assistant's text as it is
PLAIN = [k for k in CONVERSATIONS if "thought" not in k and "reasoning" not in k]


def templates():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
    return {
        "glm46v": (os.path.join(folder, "glm46v.jinja"), list(CONVERSATIONS), [None, True, False]),
        "glm41v": (os.path.join(folder, "glm41v.jinja"), PLAIN, [None]),
        "default": (os.path.join(MODEL, "chat_template.jinja"), PLAIN, [None]),
    }


def render(path, messages, thinking):
    env = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False)
    with open(path, encoding="utf-8") as f:
        template = env.from_string(f.read())
    kw = {} if thinking is None else {"enable_thinking": thinking}
    return template.render(messages=messages, add_generation_prompt=True, **kw)


def write_chat_cases():
    out = []
    for name, (path, which, switches) in templates().items():
        for case in which:
            for thinking in switches:
                row = {
                    "template": name,
                    "case": case,
                    "enable_thinking": thinking,
                    "messages": CONVERSATIONS[case],
                }
                out.append(row | {"expected": render(path, CONVERSATIONS[case], thinking)})
    with open(os.path.join(OUT, "chat.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in out) + "\n]\n")
    print(f"chat.json: {len(out)} conversations")


def compare(name, published):
    """`compare glm46v FILE`: our template against a published chat_template.jinja"""
    path, which, switches = templates()[name]
    wrong = 0
    for case in which:
        for thinking in switches:
            a, b = (render(p, CONVERSATIONS[case], thinking) for p in (path, published))
            if a != b:
                wrong += 1
                print(f"{case}, thinking {thinking}:\n  ours      {a!r}\n  published {b!r}")
    sys.exit(f"{wrong} differ" if wrong else 0)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        compare(*sys.argv[1:])
    os.makedirs(OUT, exist_ok=True)
    write_tokenizer_cases()
    write_chat_cases()
