"""Bar charts: values, the title, the highest and the lowest, the whole as text or JSON."""

from random import Random

from PIL import Image

from assets import CJK_FACES
from world import words
from world.canvas import COLOURS, SIZES, WHITE, Canvas, Line
from world.policy import compact_json
from world.stage import Mark, Question, Stage

BAR_COLOURS = list(COLOURS.values())[:6]
VALUE_FACE, VALUE_PX = "sansb.otf", 18
INK, TITLE_INK, AXIS = (20, 20, 20), (30, 30, 30), (60, 60, 60)
MARGIN, TOP, BOTTOM = 20, 62, 36  # of the bars' area [px]


def draw_chart(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    height, width = rng.choice(SIZES)
    canvas = Canvas(stage.assets, rng, Image.new("RGB", (width, height), WHITE))
    names = rng.choice(words.CHART_CATEGORIES)
    n_bars = rng.randint(3, 6)
    names = names[:n_bars] if rng.random() < 0.6 else rng.sample(names, n_bars)
    data = dict(zip(names, rng.sample(range(5, 100), n_bars), strict=True))
    title = rng.choice(words.CHART_SUBJECTS) + rng.choice(words.CHART_SUFFIXES)
    heading = canvas.fit(title, 26, width - 20)
    canvas.write(heading, (width - heading.width) // 2, 6, TITLE_INK)
    _draw_bars(canvas, data)
    return canvas, _ask(rng, title, data)


def _draw_bars(canvas: Canvas, data: dict[str, int]) -> None:
    rng = canvas.rng
    base = canvas.height - BOTTOM
    special = {max(data.values()): "highest", min(data.values()): "lowest"}
    pitch = (canvas.width - 2 * MARGIN) / len(data)
    colours = [rng.choice(BAR_COLOURS)] * len(BAR_COLOURS)
    if rng.random() < 0.4:
        colours = BAR_COLOURS
    value_font = canvas.assets.font(VALUE_FACE, VALUE_PX)
    name_font = canvas.assets.font(rng.choice(CJK_FACES), 20 if len(data) < 6 else 17)
    canvas.pen.line((MARGIN, base, canvas.width - MARGIN, base), fill=AXIS, width=2)
    for i, (name, value) in enumerate(data.items()):
        bar_height = (base - TOP) * value / 100
        left = MARGIN + i * pitch + pitch * 0.2
        bar = (left, base - bar_height, left + pitch * 0.6, base)
        canvas.pen.rectangle(bar, fill=colours[i])
        middle = left + pitch * 0.3
        label = Line.of(str(value), value_font)
        canvas.write_at(label, middle - label.box[2] / 2, base - bar_height - 24, INK)
        label = Line.of(name, name_font)
        canvas.write_at(label, middle - label.box[2] / 2, base + 6, INK)
        kind = special.get(value, "bar")
        canvas.marks += [Mark(middle, y, kind) for y in (base + 14, base - bar_height - 15)]


def _ask(rng: Random, title: str, data: dict[str, int]) -> list[Question]:
    highest, lowest = max(data, key=data.__getitem__), min(data, key=data.__getitem__)
    name, value = rng.choice(list(data.items()))
    return [
        Question("chart_top", "哪一项最高？", highest),
        Question("chart_top", "哪一项最高？", highest),
        Question("chart_top", "哪一项最低？", lowest),
        Question("chart_top", "哪一项最低？", lowest),
        Question("chart", f"{name}的数值是多少？", str(value)),
        Question("chart", "列出图表中的全部数据。", "、".join(f"{k}{v}" for k, v in data.items())),
        Question("chart", "这张图表的标题是什么？", title),
        Question("chart_json", "把图表数据转换为JSON。", compact_json(data)),
    ]
