"""Where batches come from: drawn as they are needed, or from a pool that workers keep filling.

Drawn is for CPUs: step i always gets the same scenes, so a run that is taken up again goes on as if
it had not been interrupted. Pool is for a GPU, which learns faster than sixteen cores draw: scenes
lie in its memory, workers add new ones and the oldest go; a scene is seen a few times.
"""

import multiprocessing
import os
import queue
import time
from collections import defaultdict
from dataclasses import dataclass, fields
from random import Random

import numpy as np
import torch
from torch import Tensor

from learn.rows import IGNORED, Row, make_row
from learn.vocabulary import Vocabulary
from world.scene import draw_listing_or_any
from world.stage import Stage

QUESTIONS = (1, 2, 3, 3)  # per row, drawn from
CHUNK = 64  # rows of one size that a worker hands over
POOL_BYTES = 24 << 30
FIRST_ROWS = 5000  # before training from a pool begins


@dataclass
class Batch:
    """Rows with pictures of one size; labels as in learn.rows."""

    pictures: Tensor  # uint8 [B, H, W, 3]
    ids: Tensor  # int64 [B, T]
    labels: Tensor  # int64 [B, T]
    glyphs: Tensor  # int64 [B, N]
    objects: Tensor  # int64 [B, N]


class Source:
    """Rows by number, each always the same."""

    def __init__(self, stage: Stage, vocabulary: Vocabulary, seed: int, listings: float):
        self.stage, self.vocabulary, self.seed, self.listings = stage, vocabulary, seed, listings
        self.names = {zh: i for i, zh in enumerate(stage.assets.objects)}

    def row(self, number: int, n_questions: int | None = None) -> Row:
        for attempt in range(100):
            rng = Random(f"row/{self.seed}/{number}/{attempt}")
            scene = draw_listing_or_any(self.stage, rng, self.listings)
            count = n_questions or rng.choice(QUESTIONS)
            row = make_row(self.vocabulary, scene, rng, self.names, count)
            if row:
                return row
        raise ValueError("no question of a hundred scenes fits into a row")


def stacked(rows: list[Row]) -> list[np.ndarray]:
    return [np.stack([getattr(row, field.name) for row in rows]) for field in fields(Row)]


def batches_of(rows: list[Row], device: torch.device) -> list[Batch]:
    """One batch per size of picture."""
    by_size: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        by_size[row.picture.shape[:2]].append(row)
    batches = []
    for group in by_size.values():
        arrays = [torch.from_numpy(array).to(device) for array in stacked(group)]
        pictures, ids, labels, glyphs, objects = arrays
        # Causal attention: what follows the last label of all changes nothing.
        end = int((labels != IGNORED).nonzero()[:, 1].max()) + 1
        used = (ids[:, :end], labels[:, :end], glyphs, objects)
        batches.append(Batch(pictures, *(array.long() for array in used)))
    return batches


class Drawn:
    def __init__(self, source: Source, size: int, device: torch.device):
        self.source, self.size, self.device = source, size, device

    def batches(self, step: int) -> list[Batch]:
        first = step * self.size
        return batches_of([self.source.row(first + i) for i in range(self.size)], self.device)

    def close(self) -> None:
        pass


def _fill(make_source, first: int, stride: int, chunks) -> None:
    """A worker: rows first, first + stride, ... in chunks of one size."""
    os.nice(2)
    source = make_source()
    waiting: dict[tuple, list[Row]] = defaultdict(list)
    number = first
    while True:
        row = source.row(number)
        number += stride
        group = waiting[row.picture.shape[:2]]
        group.append(row)
        if len(group) == CHUNK:
            chunks.put(stacked(group))
            group.clear()


class _Ring:
    """Rows of one size on the device; the newest take the places of the oldest."""

    def __init__(self, chunk: list[np.ndarray], device: torch.device):
        row_bytes = sum(array[0].nbytes for array in chunk)
        self.places = max(CHUNK, POOL_BYTES // 3 // row_bytes // CHUNK * CHUNK)
        self.arrays = [
            torch.zeros(self.places, *array.shape[1:], dtype=torch.from_numpy(array).dtype,
                        device=device)
            for array in chunk
        ]  # fmt: skip
        self.seen = 0

    @property
    def rows(self) -> int:
        return min(self.seen, self.places)

    def add(self, chunk: list[np.ndarray]) -> None:
        place = self.seen % self.places
        for ours, theirs in zip(self.arrays, chunk, strict=True):
            ours[place : place + CHUNK].copy_(torch.from_numpy(theirs))
        self.seen += CHUNK

    def sample(self, count: int) -> Batch:
        picked = torch.randint(self.rows, (count,), device=self.arrays[0].device)
        pictures, *labels = (array[picked] for array in self.arrays)
        return Batch(pictures, *(array.long() for array in labels))


class Pool:
    """`make_source` is called in every worker; it must be a function that can be pickled."""

    def __init__(self, make_source, size: int, device: torch.device, workers: int, first: int):
        self.size, self.device, self.rings = size, device, {}
        self.rng = np.random.default_rng(first)
        context = multiprocessing.get_context("spawn")
        self.chunks = context.Queue(maxsize=4 * workers)
        self.workers = [
            context.Process(target=_fill, args=(make_source, first + i, workers, self.chunks),
                            daemon=True)
            for i in range(workers)
        ]  # fmt: skip
        for worker in self.workers:
            worker.start()

    def _take(self, most: int) -> None:
        for _ in range(most):
            try:
                chunk = self.chunks.get_nowait()
            except queue.Empty:
                return
            size = chunk[0].shape[1:3]
            self.rings.setdefault(size, None)
            if self.rings[size] is None:
                self.rings[size] = _Ring(chunk, self.device)
            self.rings[size].add(chunk)

    def batches(self, step: int) -> list[Batch]:
        while sum(ring.rows for ring in self.rings.values()) < FIRST_ROWS:
            self._take(64)
            if not all(worker.is_alive() for worker in self.workers):
                raise RuntimeError("a worker that draws scenes has ended")
            time.sleep(0.05)
        self._take(8)
        rings = list(self.rings.values())
        weights = np.array([ring.seen for ring in rings], float)  # as often as they are drawn
        ring = rings[self.rng.choice(len(rings), p=weights / weights.sum())]
        return [ring.sample(self.size)]

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
