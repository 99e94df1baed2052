"""Scenes as training rows: token ids, which of them are to be predicted, labels of visual tokens.

A row is a picture and several conversations about it, side by side: each sees the picture and itself
and begins where the picture ends, as if it were alone. So a picture that took long to draw teaches
all that can be asked of it, and no answer can be copied from the one before.
"""

from dataclasses import dataclass
from random import Random

import numpy as np

from learn.settings import TOKEN_PX
from learn.vocabulary import Vocabulary
from world.stage import MARKS, Question, Scene

IGNORED = -100  # of labels: not predicted
TEXT_ROOM = 195  # tokens after the picture; makes rows of every size a multiple of eight long
PADDING = 255  # the conversation that padding belongs to
DIALOGUE_SHARE = 0.15  # of the conversations that go on after the first answer


@dataclass(frozen=True)
class Row:
    """Arrays alone; T is the same for all pictures of a size, N the number of visual tokens."""

    picture: np.ndarray  # uint8 [H, W, 3]
    ids: np.ndarray  # int32 [T]
    labels: np.ndarray  # int32 [T]: the next token where it is part of an answer, else IGNORED
    weights: np.ndarray  # f32 [T]: of the labels
    talks: np.ndarray  # uint8 [T]: which conversation, 0 = what all of them see
    places: np.ndarray  # int32 [T]: how far behind the picture, 0 = the first token of a conversation
    glyphs: np.ndarray  # int32 [N]: token of the character in this visual token, or IGNORED
    objects: np.ndarray  # int32 [N]: object in this visual token; the last number = none
    marks: np.ndarray  # int32 [N]: MARKS, 0 = none


class _Text:
    """What stands after the picture, as it grows."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.weights: list[float] = []  # 0 = not part of an answer
        self.talks: list[int] = []
        self.places: list[int] = []

    def add(self, talk: list[tuple[list[int], float]]) -> None:
        """A conversation: runs of tokens with their weight."""
        number = max(self.talks, default=0) + 1
        ids = [token for run, _ in talk for token in run]
        self.ids += ids
        self.weights += [weight for run, weight in talk for _ in run]
        self.talks += [number] * len(ids)
        self.places += range(len(ids))


def conversation(vocabulary: Vocabulary, asks: list[Question]) -> list[tuple[list[int], float]]:
    """Runs of tokens after the picture. An answer weighs the square root of its length, spread over
    its tokens: else the many short ones would be lost among the few long ones."""
    special, runs = vocabulary.special, []
    opening = [special["<|end_of_image|>"]]
    for ask in asks:
        question = [*opening, *vocabulary.encode(ask.prompt), special["<|assistant|>"]]
        answer = [*vocabulary.encode(ask.answer), special["<|user|>"]]
        runs += [(question + vocabulary.newline, 0.0), (answer, len(answer) ** -0.5)]
        opening = vocabulary.newline
    return runs


def _text(vocabulary: Vocabulary, talks: list[list[Question]]) -> _Text:
    """The conversations that fit into the room."""
    text = _Text()
    for asks in talks:
        talk = conversation(vocabulary, asks)
        if len(text.ids) + sum(len(run) for run, _ in talk) <= TEXT_ROOM:
            text.add(talk)
    return text


def shared_opening(vocabulary: Vocabulary, n_visual: int) -> list[int]:
    special = vocabulary.special
    opening = [special["[gMASK]"], special["<sop>"], special["<|user|>"], *vocabulary.newline]
    return [*opening, special["<|begin_of_image|>"], *[special["<|image|>"]] * n_visual]


def _tokens(vocabulary: Vocabulary, n_visual: int, text: _Text) -> dict[str, np.ndarray]:
    """ids, labels, weights, talks and places of a row, padded."""
    opening = shared_opening(vocabulary, n_visual)
    before, after = len(opening), TEXT_ROOM - len(text.ids)
    ids = [*opening, *text.ids, *[vocabulary.special["<|endoftext|>"]] * after]
    weights = np.array([0.0] * before + text.weights + [0.0] * after, np.float32)
    labels = np.where(weights > 0, ids, IGNORED)
    return {
        "ids": np.array(ids, np.int32),
        # A token's label is its successor; the first token of an answer follows its own question.
        "labels": np.append(labels[1:], IGNORED).astype(np.int32),
        "weights": np.append(weights[1:], np.float32(0)),
        "talks": np.array([0] * before + text.talks + [PADDING] * after, np.uint8),
        "places": np.array([0] * before + text.places + [0] * after, np.int32),
    }


def visual_labels(
    vocabulary: Vocabulary, scene: Scene, names: dict[str, int]
) -> dict[str, np.ndarray]:
    """Which character, which object and which mark lies in each visual token: [N] each."""
    rows, columns = (side // TOKEN_PX for side in scene.picture.shape[:2])
    glyphs = np.full((rows, columns), IGNORED, np.int32)
    objects = np.full((rows, columns), len(names), np.int32)
    marks = np.zeros((rows, columns), np.int32)

    def set_at(grid: np.ndarray, x: float, y: float, value: int) -> None:
        row, column = int(y // TOKEN_PX), int(x // TOKEN_PX)
        if 0 <= row < rows and 0 <= column < columns:
            grid[row, column] = value

    for x, y, char in reversed(scene.glyphs):  # the first character of a cell wins
        token = vocabulary.encode(char)
        if len(token) == 1:
            set_at(glyphs, x, y, token[0])
    middle_y = (np.arange(rows)[:, None] + 0.5) * TOKEN_PX
    middle_x = (np.arange(columns)[None] + 0.5) * TOKEN_PX
    for placed in scene.placed:
        reach = placed.side / 3
        inside = (abs(middle_x - placed.x) < reach) & (abs(middle_y - placed.y) < reach)
        objects[inside] = names[placed.zh]
    for x, y, kind in scene.marks:
        set_at(marks, x, y, MARKS[kind])
    return {"glyphs": glyphs.ravel(), "objects": objects.ravel(), "marks": marks.ravel()}


def _talks(rng: Random, questions: list[Question]) -> list[list[Question]]:
    """All of the questions in any order, some of them one after the other in a dialogue."""
    asks = rng.sample(questions, len(questions))
    talks: list[list[Question]] = []
    for ask in asks:
        if talks and rng.random() < DIALOGUE_SHARE:
            talks[-1].append(ask)
        else:
            talks.append([ask])
    return talks


def make_row(
    vocabulary: Vocabulary, scene: Scene, rng: Random, names: dict[str, int],
    only: Question | None = None,
) -> Row | None:  # fmt: skip
    """As many of the scene's questions as there is room for, or one; None when none fits."""
    seen = visual_labels(vocabulary, scene, names)
    talks = [[only]] if only else _talks(rng, scene.distinct_questions())
    text = _text(vocabulary, talks)
    if not text.ids:
        return None
    return Row(scene.picture, **_tokens(vocabulary, len(seen["glyphs"]), text), **seen)
