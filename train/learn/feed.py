"""Where batches come from: drawn as they are needed, or from a pool that workers keep filling.

Drawn is for CPUs: step i always gets the same scenes, so a run that is taken up again goes on as if
it had not been interrupted. Pool is for a GPU, which learns faster than sixteen cores draw: rows
lie in its memory, workers add new ones and the oldest go; a row is seen a few times.
"""

import os
import queue
import threading
from collections import defaultdict
from dataclasses import dataclass, fields
from random import Random

import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor

from learn.rows import IGNORED, Row, make_row
from learn.vocabulary import Vocabulary
from world.scene import draw_listing_or_any
from world.stage import Stage

CHUNK = 64  # rows of one size that a worker hands over
POOL_BYTES = 24 << 30
WHOLE_BATCH_TOKENS = 144  # of pictures with more visual tokens a batch has fewer rows
FIRST_ROWS = 5000  # before training from a pool begins
UNSEEN_FROM = 10**9  # numbers of the rows that are kept for evaluation


@dataclass
class Batch:
    """Rows with pictures of one size, as in learn.rows; numbers are int64."""

    pictures: Tensor  # uint8 [B, H, W, 3]
    ids: Tensor  # [B, T]
    labels: Tensor  # [B, T]
    weights: Tensor  # f32 [B, T]
    talks: Tensor  # uint8 [B, T]
    places: Tensor  # [B, T]
    glyphs: Tensor  # [B, N]
    objects: Tensor  # [B, N]
    marks: Tensor  # [B, N]

    @staticmethod
    def of(tensors: list[Tensor]) -> "Batch":
        return Batch(*(t.long() if t.dtype == torch.int32 else t for t in tensors))


class Source:
    """Rows by number, each always the same."""

    def __init__(self, stage: Stage, vocabulary: Vocabulary, seed: int, listings: float):
        self.stage, self.vocabulary, self.seed, self.listings = stage, vocabulary, seed, listings
        self.names = {zh: i for i, zh in enumerate(stage.assets.objects)}

    def row(self, number: int) -> Row:
        for attempt in range(100):
            rng = Random(f"row/{self.seed}/{number}/{attempt}")
            scene = draw_listing_or_any(self.stage, rng, self.listings)
            row = make_row(self.vocabulary, scene, rng, self.names)
            if row:
                return row
        raise ValueError("no question of a hundred scenes fits into a row")

    def unseen(self, count: int) -> list[tuple[str, Row]]:
        """Every question of `count` scenes that training does not draw, alone, with its kind."""
        asked = []
        for number in range(UNSEEN_FROM, UNSEEN_FROM + count):
            rng = Random(f"row/{self.seed}/{number}")
            scene = draw_listing_or_any(self.stage, rng, self.listings)
            for ask in scene.distinct_questions():
                if row := make_row(self.vocabulary, scene, rng, self.names, only=ask):
                    asked.append((ask.kind, row))
        return asked


def stacked(rows: list[Row]) -> list[np.ndarray]:
    return [np.stack([getattr(row, field.name) for row in rows]) for field in fields(Row)]


def batches_of(rows: list[Row], device: torch.device) -> list[Batch]:
    """One batch per size of picture."""
    by_size: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        by_size[row.picture.shape[:2]].append(row)
    batches = []
    for group in by_size.values():
        batch = Batch.of([torch.from_numpy(array).to(device) for array in stacked(group)])
        # What follows the last label of all changes nothing.
        end = int((batch.labels != IGNORED).nonzero()[:, 1].max()) + 1
        for name in ("ids", "labels", "weights", "talks", "places"):
            setattr(batch, name, getattr(batch, name)[:, :end])
        batches.append(batch)
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
    """A worker: rows first, first + stride, ... in chunks of one size, in shared memory."""
    os.nice(2)
    torch.set_num_threads(1)
    source = make_source()
    waiting: dict[tuple, list[Row]] = defaultdict(list)
    number = first
    while True:
        row = source.row(number)
        number += stride
        group = waiting[row.picture.shape[:2]]
        group.append(row)
        if len(group) == CHUNK:
            chunks.put([torch.from_numpy(array) for array in stacked(group)])
            group.clear()


class _Ring:
    """Rows of one size on the device; the newest take the places of the oldest."""

    def __init__(self, chunk: list[Tensor], device: torch.device):
        row_bytes = sum(tensor[0].nbytes for tensor in chunk)
        self.places = max(CHUNK, POOL_BYTES // 3 // row_bytes // CHUNK * CHUNK)
        self.tensors = [
            torch.zeros(self.places, *tensor.shape[1:], dtype=tensor.dtype, device=device)
            for tensor in chunk
        ]
        self.seen = 0

    @property
    def rows(self) -> int:
        return min(self.seen, self.places)

    def add(self, chunk: list[Tensor]) -> None:
        place = self.seen % self.places
        for ours, theirs in zip(self.tensors, chunk, strict=True):
            ours[place : place + CHUNK] = theirs
        self.seen += CHUNK

    def sample(self, count: int) -> Batch:
        picked = torch.randint(self.rows, (count,), device=self.tensors[0].device)
        return Batch.of([tensor[picked] for tensor in self.tensors])


class Pool:
    """`make_source` is called in every worker; it must be a function that can be pickled.

    A thread takes what the workers hand over: unpacking and copying to the device would hold up
    the training for about as long as the training takes.
    """

    def __init__(self, make_source, size: int, device: torch.device, workers: int, first: int):
        self.size, self.device = size, device
        self.rings: dict[tuple, _Ring] = {}
        self.rng = np.random.default_rng(first)
        self.lock = threading.Lock()
        self.ended = False
        context = torch.multiprocessing.get_context("spawn")
        self.chunks = context.Queue(maxsize=2 * workers)
        self.workers = [
            context.Process(target=_fill, args=(make_source, first + i, workers, self.chunks),
                            daemon=True)
            for i in range(workers)
        ]  # fmt: skip
        for worker in self.workers:
            worker.start()
        self.taker = threading.Thread(target=self._take, daemon=True)
        self.taker.start()

    def _take(self) -> None:
        while not self.ended:
            try:
                chunk = self.chunks.get(timeout=0.5)
            except queue.Empty:
                continue
            except (ConnectionError, EOFError):
                if self.ended:  # the worker was ended while it handed something over
                    return
                raise
            # Pinned first: the copy to the device would hold up the training far longer.
            pinned = [tensor.pin_memory() for tensor in chunk]
            there = [tensor.to(self.device) for tensor in pinned]
            size = tuple(there[0].shape[1:3])
            with self.lock:  # a row is never sampled half written
                if size not in self.rings:
                    self.rings[size] = _Ring(there, self.device)
                self.rings[size].add(there)

    @property
    def drawn(self) -> int:
        with self.lock:
            return sum(ring.seen for ring in self.rings.values())

    def batches(self, step: int) -> list[Batch]:
        while self.drawn < FIRST_ROWS:
            if not all(worker.is_alive() for worker in self.workers):
                raise RuntimeError("a worker that draws scenes has ended")
            self.taker.join(0.1)
        with self.lock:
            rings = list(self.rings.values())
            weights = np.array([ring.seen for ring in rings], float)  # as often as they are drawn
            ring = rings[self.rng.choice(len(rings), p=weights / weights.sum())]
            visual_tokens = ring.tensors[-1].shape[1]
            most = self.size * WHOLE_BATCH_TOKENS // visual_tokens // 16 * 16
            return [ring.sample(max(1, min(self.size, most)))]

    def close(self) -> None:
        self.ended = True
        for worker in self.workers:
            worker.terminate()
        self.taker.join()
