"""Objects in a grid, to be named, counted and found; and pictures with nothing to tell."""

from random import Random

import numpy as np
from PIL import Image, ImageFilter

from world import words
from world.canvas import (
    COLOUR_NAMES_EN,
    PHOTO,
    SIZES,
    Canvas,
    background,
    np_rng,
    photograph,
    random_colour,
)
from world.listing import ask_objects
from world.policy import judge
from world.stage import Question, Stage

Cell = tuple[int, int]  # row, column
NOTHING_THERE = "没有物品"


def draw_objects(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    picture, colour_name, _ = background(stage.assets, rng)
    canvas = Canvas(stage.assets, rng, picture)
    pool = stage.ordinary + stage.forbidden + stage.licensed
    grid, cells = _fill_grid(canvas, pool)
    order = list(dict.fromkeys(cells.values()))  # reading order

    questions = [ask_objects(stage, rng, order) for _ in range(2)]
    for _ in range(4):
        questions.append(_ask_count(stage, rng, pool, order, cells))
        questions.append(_ask_presence(rng, pool, order))
    if rng.random() < 0.4:
        questions.append(Question("ocr", rng.choice(words.ASK_TEXT), words.NO_TEXT))
    questions += _ask_corners(rng, grid, cells)
    if colour_name == PHOTO:
        pass
    elif rng.random() < 0.7:
        questions.append(Question("color", "图片的背景是什么颜色？", colour_name))
    else:
        ask = "What is the background color?"
        questions.append(Question("color", ask, COLOUR_NAMES_EN[colour_name]))
    present = list(cells.values())
    counts = "、".join(f"{present.count(zh)}个{zh}" for zh in order)
    description = f"{colour_name}背景上有{counts}。{words.NO_TEXT}"
    questions.append(Question("describe", rng.choice(words.ASK_DESCRIPTION), description))
    return canvas, questions


def _fill_grid(canvas: Canvas, pool: list[str]) -> tuple[Cell, dict[Cell, str]]:
    """Rows and columns of the grid; what is in its cells, in reading order."""
    rng = canvas.rng
    n_kinds = rng.choice([1, 2, 2, 3, 3, 4])
    kinds = rng.sample(pool, n_kinds)
    columns = rng.choice([2, 3, 4])
    rows = rng.choice([2, 3]) if canvas.width <= canvas.height else 2
    spots = [(row, column) for row in range(rows) for column in range(columns)]
    rng.shuffle(spots)
    n_objects = min(len(spots), rng.randint(n_kinds, min(9, n_kinds + 5)))
    objects = kinds + [rng.choice(kinds) for _ in range(n_objects - n_kinds)]
    cell_width, cell_height = canvas.width / columns, canvas.height / rows
    cells = {}
    for (row, column), zh in zip(spots[:n_objects], objects[:n_objects], strict=True):
        side = max(44, int(min(cell_width, cell_height) * rng.uniform(0.55, 0.9)))
        x = (column + 0.5) * cell_width + rng.uniform(-5, 5)
        y = (row + 0.5) * cell_height + rng.uniform(-5, 5)
        canvas.put(zh, x, y, side)
        cells[row, column] = zh
    return (rows, columns), dict(sorted(cells.items()))


def _ask_count(
    stage: Stage, rng: Random, pool: list[str], order: list[str], cells: dict[Cell, str]
) -> Question:
    """Mostly of what is there."""
    zh = rng.choice(order if rng.random() < 0.93 else pool)
    count = list(cells.values()).count(zh)
    if rng.random() < 0.8:
        return Question("count", f"图中有几个{zh}？", str(count))
    return Question("count", f"How many {stage.assets.objects[zh].en}?", str(count))


def _ask_presence(rng: Random, pool: list[str], order: list[str]) -> Question:
    is_there = rng.random() < 0.5
    zh = rng.choice(order if is_there else [zh for zh in pool if zh not in order])
    return Question("yesno", f"图中有{zh}吗？", "有" if is_there else "没有")


def _ask_corners(rng: Random, grid: Cell, cells: dict[Cell, str]) -> list[Question]:
    bottom, right = grid[0] - 1, grid[1] - 1
    corners = {
        "左上角": (0, 0),
        "右上角": (0, right),
        "左下角": (bottom, 0),
        "右下角": (bottom, right),
    }
    return [
        Question("position", f"{corner}是什么？", cells.get(cell, NOTHING_THERE))
        for corner, cell in corners.items()
        if rng.random() < 0.35
    ]


def draw_texture(stage: Stage, rng: Random) -> tuple[Canvas, list[Question]]:
    """Nothing to read or name: a photograph, or soft noise at several scales and blobs."""
    height, width = rng.choice(SIZES)
    if stage.assets.photos and rng.random() < 0.4:
        photo = photograph(stage.assets, rng, width, height)
        return Canvas(stage.assets, rng, photo), _ask_nothing(rng)
    noise_rng = np_rng(rng)
    pixels = np.full((height, width, 3), noise_rng.integers(20, 236, 3), np.float32)
    for _ in range(rng.randint(1, 5)):
        side = rng.choice([2, 3, 5, 9, 17, 40, 80])
        amplitude = rng.uniform(8, 60)
        shape = (side, side, 3 if rng.random() < 0.5 else 1)
        pixels += _enlarged(noise_rng.normal(0, amplitude, shape), width, height)
    canvas = Canvas(stage.assets, rng, Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    for _ in range(rng.choice([0, 0, 1, 3, 8])):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        box = (x, y, x + rng.uniform(10, width / 2), y + rng.uniform(10, height / 2))
        fill = random_colour(rng)
        rng.choice([canvas.pen.ellipse, canvas.pen.rectangle])(box, fill=fill)
    if rng.random() < 0.4:
        canvas.picture = canvas.picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    return canvas, _ask_nothing(rng)


def _ask_nothing(rng: Random) -> list[Question]:
    return [
        Question("none", rng.choice(words.ASK_TEXT), words.NO_TEXT),
        Question("none", rng.choice(words.ASK_OBJECTS), words.NO_OBJECTS),
        Question("none", rng.choice(words.ASK_AUDIT), judge([], [], None)),
        Question("none", rng.choice(words.ASK_DESCRIPTION), words.NOTHING_TO_DESCRIBE),
    ]


def _enlarged(noise: np.ndarray, width: int, height: int) -> np.ndarray:
    """Noise [side, side, 1 or 3] as f32 [height, width, 3]."""
    channels = [
        np.asarray(
            Image.fromarray(noise[..., c].astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for c in range(noise.shape[2])
    ]
    return np.broadcast_to(np.stack(channels, -1), (height, width, 3))
