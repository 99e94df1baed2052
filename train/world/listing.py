"""A product listing: objects, advertising lines, perhaps a price and a title; and its verdict."""

from random import Random

from world import policy, words
from world.canvas import Canvas, Colour, background
from world.stage import Question, Stage

TITLED_PROMPTS = ("商品标题：{title}\n{ask}", "标题：{title}\n{ask}", "{ask}\n标题：{title}")


def draw_listing(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    picture, colour_name, paper = background(stage.assets, rng)
    canvas = Canvas(stage.assets, rng, picture)
    objects = _choose_objects(stage, rng)
    lines, violations = _choose_lines(stage, rng)
    if rng.random() < 0.3:
        lines.append(f"¥{rng.randint(1, 999)}{rng.choice(['', '.9', '.00'])}")
    _lay_out(canvas, paper, objects, lines)
    title, title_violation = _choose_title(stage, rng)

    ask = rng.choice(words.ASK_AUDIT if rng.random() < 0.88 else words.ASK_AUDIT_EN)
    if title:
        ask = rng.choice(TITLED_PROMPTS).format(title=title, ask=ask)
    audit = Question("audit", ask, policy.judge(objects, violations, title_violation))
    text = "\n".join(lines) if lines else words.NO_TEXT
    return canvas, [
        audit,
        audit,
        Question("ocr", rng.choice(words.ASK_TEXT), text),
        ask_objects(stage, rng, objects),
        Question(
            "describe", rng.choice(words.ASK_DESCRIPTION), _describe(colour_name, objects, lines)
        ),
    ]


def ask_objects(stage: Stage, rng: Random, objects: list[str]) -> Question:
    if rng.random() < 0.8:
        return Question("objects", rng.choice(words.ASK_OBJECTS), "、".join(objects))
    answer = ", ".join(stage.english(objects))
    return Question("objects", rng.choice(words.ASK_OBJECTS_EN), answer)


def _choose_objects(stage: Stage, rng: Random) -> list[str]:
    """One to three different ones, of which about one in five is forbidden."""
    objects = []
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        role = rng.random()
        if policy.OFTEN and rng.random() < 0.3:
            objects.append(rng.choice(policy.OFTEN))
        elif role < 0.22:
            objects.append(rng.choice(stage.forbidden))
        elif role < 0.3:
            objects.append(rng.choice(stage.licensed))
        else:
            objects.append(rng.choice(stage.ordinary))
    return list(dict.fromkeys(objects))


def _choose_lines(stage: Stage, rng: Random) -> tuple[list[str], list[policy.Violation]]:
    lines: list[str] = []
    violations = []
    for _ in range(rng.choice([0, 1, 1, 2, 2])):
        if rng.random() < 0.35:
            violations.append(stage.draw_violation(rng))
            lines.append(violations[-1].text)
        else:
            lines.append(words.advertisement(rng, stage.assets.hanzi))
    return lines, violations


def _choose_title(stage: Stage, rng: Random) -> tuple[str | None, policy.Violation | None]:
    """The title is not in the picture: it comes with the question."""
    if rng.random() >= 0.55:
        return None, None
    if rng.random() < 0.4:
        violation = stage.draw_violation(rng)
        return violation.text, violation
    return words.advertisement(rng, stage.assets.hanzi), None


def _lay_out(canvas: Canvas, paper: Colour | None, objects: list[str], lines: list[str]) -> None:
    """A band of objects in a row, lines above it, below it, or on both sides."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    n_above = rng.choice([0, len(lines), rng.randint(0, len(lines))])
    above, below = lines[:n_above], lines[n_above:]
    object_top = _band_height(canvas, above) if above else 0
    object_height = height - object_top - (_band_height(canvas, below) if below else 0)
    side = min(int(object_height * 0.78), int(width / len(objects) * 0.8))
    side = max(56, int(side * rng.uniform(0.6, 1)))
    for i, zh in enumerate(objects):
        x = width * (i + 0.5) / len(objects) + rng.uniform(-6, 6)
        y = (2 * object_top + object_height) / 2 + rng.uniform(-8, 8)
        canvas.put(zh, x, y, side)

    _write_band(canvas, paper, above, 8)
    _write_band(canvas, paper, below, object_top + object_height + 8)


def _band_height(canvas: Canvas, lines: list[str]) -> int:
    return int(canvas.height * (0.16 * len(lines) + 0.04))


def _write_band(canvas: Canvas, paper: Colour | None, lines: list[str], top: float) -> None:
    rng, width, height = canvas.rng, canvas.width, canvas.height
    for text in lines:
        line = canvas.fit(text, rng.randint(22, 46), width - 20)
        if rng.random() < 0.5:
            left = rng.randint(6, max(6, width - 8 - line.width))
        else:
            left = (width - line.width) // 2
        canvas.write_legibly(line, left, top, paper, 0.2)
        top += max(int(height * 0.15), line.height + 8)


def _describe(colour_name: str, objects: list[str], lines: list[str]) -> str:
    text = f"图中文字：{'；'.join(lines)}。" if lines else words.NO_TEXT
    return f"{colour_name}背景上有{'、'.join(objects)}。{text}"
