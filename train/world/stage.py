"""What the scenes share: the objects in their roles, questions, and finished scenes."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np

from assets import Assets, MissingAssets
from world import policy


@dataclass(frozen=True)
class Stage:
    """Objects by what the policy says of them, forbidden phrases, and the assets to draw with."""

    assets: Assets
    forbidden: list[str]
    licensed: list[str]
    ordinary: list[str]
    phrases: policy.Phrases

    @staticmethod
    def of(assets: Assets, phrases: policy.Phrases = policy.TRAINED) -> "Stage":
        decided = [*policy.FORBIDDEN_OBJECTS, *policy.LICENSED_OBJECTS]
        absent = [zh for zh in decided if zh not in assets.objects]
        if absent:
            raise MissingAssets(f"there is no picture of {'、'.join(absent)}")
        return Stage(
            assets,
            list(policy.FORBIDDEN_OBJECTS),
            list(policy.LICENSED_OBJECTS),
            [zh for zh in assets.objects if zh not in decided],
            phrases,
        )

    def draw_violation(self, rng: Random) -> policy.Violation:
        return policy.draw_violation(rng, self.assets.hanzi, self.phrases)

    def english(self, objects: Iterable[str]) -> list[str]:
        return [self.assets.objects[zh].en for zh in objects]


class Question(NamedTuple):
    """`kind` is the task, as figures are given by. A question that a scene has twice counts twice
    when training draws from them."""

    kind: str
    prompt: str
    answer: str


class Glyph(NamedTuple):
    """A character, and the pixel its middle was drawn at."""

    x: float
    y: float
    char: str


class Placed(NamedTuple):
    """An object, the pixel its middle was drawn at, and its side [px]."""

    x: float
    y: float
    side: int
    zh: str


class Mark(NamedTuple):
    """Something at a pixel that questions are about, for training alone: a key of MARKS."""

    x: float
    y: float
    kind: str


# What a visual token may be marked as, with its number; 0 is nothing.
MARKS = {"object": 1, "bar": 2, "highest": 3, "lowest": 4}


@dataclass(frozen=True)
class Scene:
    name: str  # listing, lines, objects, chart, form, texture
    picture: np.ndarray  # uint8 [height, width, 3]
    questions: list[Question]
    glyphs: list[Glyph]  # before the slight rotation that some pictures get
    placed: list[Placed]
    marks: list[Mark]

    def distinct_questions(self) -> list[Question]:
        return list(dict.fromkeys(self.questions))
