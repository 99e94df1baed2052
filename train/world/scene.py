"""Draws scene i of a seed: what kind it is, its picture, its questions with their answers."""

from collections.abc import Callable
from random import Random

from world.canvas import Canvas
from world.charts import draw_chart
from world.listing import draw_listing
from world.papers import draw_form, draw_lines
from world.stage import Question, Scene, Stage
from world.things import draw_objects, draw_texture

Draw = Callable[[Stage, Random], tuple[Canvas, list[Question]]]

# name: share of the scenes, how it is drawn
SCENES: dict[str, tuple[float, Draw]] = {
    "listing": (0.30, draw_listing),
    "lines": (0.23, draw_lines),
    "objects": (0.19, draw_objects),
    "chart": (0.12, draw_chart),
    "form": (0.10, draw_form),
    "texture": (0.06, draw_texture),
}


def draw_scene(stage: Stage, seed: int, index: int) -> Scene:
    """The same for the same assets, seed and index, whatever was drawn before."""
    return draw_random_scene(stage, Random(f"{seed}/{index}"))


def draw_random_scene(stage: Stage, rng: Random) -> Scene:
    [(name, (_, draw))] = rng.choices(list(SCENES.items()), [share for share, _ in SCENES.values()])
    canvas, questions = draw(stage, rng)
    return Scene(name, canvas.finish(), questions, canvas.glyphs, canvas.placed, canvas.marks)


def draw_listing_or_any(stage: Stage, rng: Random, listings: float) -> Scene:
    """A listing with that probability, else any scene: to train on rules more than on the rest."""
    if listings and rng.random() < listings:
        canvas, questions = draw_listing(stage, rng)
        return Scene("listing", canvas.finish(), questions, canvas.glyphs, canvas.placed, canvas.marks)
    return draw_random_scene(stage, rng)
