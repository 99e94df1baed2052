"""Scenes as training rows: token ids, which of them are to be predicted, labels of visual tokens."""

from dataclasses import dataclass
from random import Random

import numpy as np

from learn.settings import TOKEN_PX
from learn.vocabulary import Vocabulary
from world.stage import Question, Scene

IGNORED = -100  # of labels: not predicted
TEXT_ROOM = 192  # tokens after the picture


@dataclass(frozen=True)
class Row:
    picture: np.ndarray  # uint8 [H, W, 3]
    ids: np.ndarray  # int32 [T], T the same for all pictures of a size
    labels: np.ndarray  # int32 [T]: the next token where it is part of an answer, else IGNORED
    glyphs: np.ndarray  # int32 [N]: token of the character in this visual token, or IGNORED
    objects: np.ndarray  # int32 [N]: object in this visual token; the last number = none


def conversation(vocabulary: Vocabulary, n_visual: int, asks: list[Question]) -> tuple[list, list]:
    """ids, and whether each is part of an answer; of the questions that fit into the room."""
    special = vocabulary.special
    ids = [special["[gMASK]"], special["<sop>"], special["<|user|>"], *vocabulary.newline]
    ids += [special["<|begin_of_image|>"], *[special["<|image|>"]] * n_visual]
    answered = [False] * len(ids)
    most = len(ids) + TEXT_ROOM
    for ask in asks:
        opening = vocabulary.newline if any(answered) else [special["<|end_of_image|>"]]
        question = [*opening, *vocabulary.encode(ask.prompt), special["<|assistant|>"]]
        question += vocabulary.newline
        answer = [*vocabulary.encode(ask.answer), special["<|user|>"]]
        if len(ids) + len(question) + len(answer) <= most:
            ids += question + answer
            answered += [False] * len(question) + [True] * len(answer)
    return ids, answered


def padded(vocabulary: Vocabulary, ids: list, answered: list, length: int) -> tuple:
    """ids and labels of one length: the label of a token is its successor, if that is an answer's."""
    labels = [number if of_answer else IGNORED
              for number, of_answer in zip(ids[1:], answered[1:], strict=True)]  # fmt: skip
    ids = ids + [vocabulary.special["<|endoftext|>"]] * (length - len(ids))
    labels += [IGNORED] * (length - len(labels))
    return np.array(ids, np.int32), np.array(labels, np.int32)


def visual_labels(vocabulary: Vocabulary, scene: Scene, names: dict[str, int]) -> tuple:
    """Which character and which object lies in each visual token: [N], [N]."""
    rows, columns = (side // TOKEN_PX for side in scene.picture.shape[:2])
    glyphs = np.full((rows, columns), IGNORED, np.int32)
    objects = np.full((rows, columns), len(names), np.int32)
    for x, y, char in reversed(scene.glyphs):  # the first character of a cell wins
        row, column = int(y // TOKEN_PX), int(x // TOKEN_PX)
        token = vocabulary.encode(char)
        if 0 <= row < rows and 0 <= column < columns and len(token) == 1:
            glyphs[row, column] = token[0]
    middle_y = (np.arange(rows)[:, None] + 0.5) * TOKEN_PX
    middle_x = (np.arange(columns)[None] + 0.5) * TOKEN_PX
    for placed in scene.placed:
        reach = placed.side / 3
        inside = (abs(middle_x - placed.x) < reach) & (abs(middle_y - placed.y) < reach)
        objects[inside] = names[placed.zh]
    return glyphs.reshape(-1), objects.reshape(-1)


def make_row(
    vocabulary: Vocabulary, scene: Scene, rng: Random, names: dict[str, int], n_questions: int
) -> Row | None:
    """One to n_questions of the scene's questions; None when none of them fits."""
    glyphs, objects = visual_labels(vocabulary, scene, names)
    asks = rng.sample(scene.questions, min(n_questions, len(scene.questions)))
    ids, answered = conversation(vocabulary, len(glyphs), asks)
    if not any(answered):
        return None
    length = 5 + len(glyphs) + TEXT_ROOM  # the five tokens before the picture
    return Row(scene.picture, *padded(vocabulary, ids, answered, length), glyphs, objects)
