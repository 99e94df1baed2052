"""Things to read: pages of unrelated lines, and forms with named fields."""

from random import Random

from PIL import Image

from assets import CJK_FACES
from world import words
from world.canvas import SIZES, Canvas, Line, background
from world.policy import compact_json, draw_violation
from world.stage import Question, Stage

FORM_INKS = ((20, 20, 20), (40, 40, 90), (90, 20, 20))
SEPARATORS = ("：", ": ", "  ")


def draw_lines(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    picture, _, paper = background(stage.assets, rng)
    canvas = Canvas(stage.assets, rng, picture)
    lines: list[str] = []
    top = rng.randint(6, 30)
    size_px = rng.choice([20, 24, 28, 32, 38, 46, 56])
    lines_max = rng.choice([1, 2, 3, 4, 6, 9])
    while len(lines) < lines_max and top < canvas.height - size_px - 8:
        length_max = max(2, int((canvas.width - 16) / size_px))
        text = random_line(rng, stage.assets.hanzi, length_max)
        line = canvas.fit(text, size_px + rng.randint(-2, 4), canvas.width - 14)
        if top + line.height > canvas.height - 4:
            break
        left = rng.randint(4, max(4, canvas.width - 6 - line.width))
        canvas.write_legibly(line, left, top, paper, 0.0)
        lines.append(text.strip())
        top += int(line.height + size_px * rng.uniform(0.35, 1.1))
    if rng.random() < 0.15 and top < canvas.height - 100:
        zh = rng.choice(stage.ordinary)
        side = min(canvas.height - top - 8, 120)
        canvas.put(zh, canvas.width / 2, (top + canvas.height) / 2, side)

    answer = "\n".join(lines)
    questions = [Question("ocr", rng.choice(words.ASK_TEXT), answer) for _ in range(2)]
    if len(lines) > 1:
        i = rng.randrange(len(lines))
        questions.append(Question("ocr_line", f"第{i + 1}行写了什么？", lines[i]))
    return canvas, questions


def random_line(rng: Random, characters: str, length_max: int) -> str:
    """Chinese of no meaning, advertising, forbidden claims, English, numbers, codes."""
    kind = rng.random()
    if kind < 0.5:
        length = rng.randint(2, max(2, min(length_max, 10)))
        return "".join(rng.choice(characters) for _ in range(length))
    if kind < 0.62:
        return words.advertisement(rng, characters)[:length_max]
    if kind < 0.72:
        return draw_violation(rng, characters).text[:length_max]
    if kind < 0.86:
        return words.english(rng)[: length_max * 2]
    if kind < 0.93:
        return words.numbers(rng)
    return words.code(rng)[: length_max * 2]


def draw_form(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    height, width = rng.choice(SIZES)
    grey = rng.randint(236, 255)
    canvas = Canvas(stage.assets, rng, Image.new("RGB", (width, height), (grey, grey, grey)))
    title = rng.choice(words.FORM_TITLES)
    names = rng.sample(list(words.FORM_FIELDS), rng.randint(2, 6))
    fields = {name: words.FORM_FIELDS[name](rng, stage.assets.hanzi) for name in names}
    separator = _fill_in(canvas, title, fields)

    name, value = rng.choice(list(fields.items()))
    other = rng.choice(list(words.FORM_FIELDS))
    what = f"{name}是多少？" if name in words.FORM_NUMBERS else f"{name}是什么？"
    ask_field = rng.choice([f"提取{name}。", what, f"图中的{name}是什么？"])
    ask_all = rng.choice(["提取所有字段为JSON。", "把单据内容转换为JSON。"])
    written = separator if separator.strip() else " "
    text = "\n".join([title, *(name + written + value for name, value in fields.items())])
    questions = [
        Question("field", ask_field, value),
        Question("form_json", ask_all, compact_json(fields)),
        Question("ocr", rng.choice(words.ASK_TEXT), text),
        Question("field", "这是什么单据？", title),
    ]
    if other not in fields:
        questions.append(Question("field", f"提取{other}。", words.NO_SUCH_FIELD))
    return canvas, questions


def _fill_in(canvas: Canvas, title: str, fields: dict[str, str]) -> str:
    """Writes the form; returns what stands between a name and its value."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    face = rng.choice(CJK_FACES)
    size_px = rng.choice([20, 22, 24, 26])
    heading = canvas.fit(title, size_px + 8, width - 20)
    canvas.write(heading, (width - heading.width) // 2, 10, FORM_INKS[0])
    top: float = 20 + heading.height + 14
    step = min((height - top - 8) / len(fields), size_px * 2.2)
    separator = rng.choice(SEPARATORS)
    for name, value in fields.items():
        text = name + separator + value
        if rng.random() < 0.3:
            line = canvas.fit(text, size_px, width - 30)
        else:
            line = Line.of(text, canvas.assets.font(face, size_px))
        if line.width > width - 24:
            line = canvas.fit(text, size_px, width - 24)
        canvas.write(line, 14, top, rng.choice(FORM_INKS))
        if rng.random() < 0.4:
            rule = (10, top + size_px + 6, width - 10, top + size_px + 6)
            canvas.pen.line(rule, fill=(200, 200, 200))
        top += step
    return separator
