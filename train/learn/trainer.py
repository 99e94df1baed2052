"""The loop: a schedule, checkpoints that a run is taken up from, curves."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from learn.feed import Batch, batches_of
from learn.learner import Learner, Losses
from learn.rows import IGNORED, Row

Unseen = list[tuple[str, Row]]  # rows of one question, with its kind
UNSEEN_ROWS = 128  # at a time


@dataclass(frozen=True)
class Plan:
    steps: int
    rate: float = 1.0  # of the full learning rate
    warm_up: int = 200
    hold: float = 0.4  # part of the run before the rate begins to fall to 0
    visual_weight: float = 1.0  # of the losses on visual tokens at the beginning; 0.1 at the end
    save_every: int = 500
    report_every: int = 100
    with_muon: bool = True
    bf16: bool = False  # products in BF16; weights stay F32
    minutes: float | None = None  # end then, instead of after the steps

    def rate_at(self, step: int, part: float) -> float:
        """`part` of the run is done."""
        fall = 1.0 if part < self.hold else max(0.0, 1 - part) / (1 - self.hold)
        return self.rate * min(1.0, (step + 1) / self.warm_up) * fall

    def visual_weight_at(self, part: float) -> float:
        return self.visual_weight * max(0.1, 1 - 1.2 * part)


class Trainer:
    """Of one learner; or of several that get the same batches, of which the one called `teacher`
    tells the one called `taught` what it thinks."""

    def __init__(
        self, learners: dict[str, Learner], plan: Plan, out: str, export: Callable[[], None]
    ):
        """`export` is called when a checkpoint has been written."""
        self.learners, self.plan, self.out, self.export = learners, plan, out, export
        self.device = next(iter(learners.values())).device
        self.step, self.elapsed_s = 0, 0.0
        self.curves: dict[str, list[dict]] = {name: [] for name in learners}

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.bf16)

    @property
    def part(self) -> float:
        if self.plan.minutes:
            return self.elapsed_s / (60 * self.plan.minutes)
        return self.step / self.plan.steps

    # ---- a step ----

    def learn(self, batches: list[Batch]) -> dict[str, list[Tensor]]:
        """One step; batches weigh by their rows. Returns each learner's losses."""
        rows = sum(len(batch.ids) for batch in batches)
        sums: dict[str, list[Tensor]] = {}
        for batch in batches:
            share, opinion = len(batch.ids) / rows, None
            for name, learner in self.learners.items():
                with self._autocast():
                    losses, logits = learner.losses(batch, opinion if name == "taught" else None)
                if name == "teacher":
                    opinion = logits
                self._backward(losses, share)
                parts = [share * part for part in losses.detached()]
                sums[name] = [a + b for a, b in zip(sums[name], parts)] if name in sums else parts
        for learner in self.learners.values():
            learner.step(self.plan.rate_at(self.step, self.part))
        self.step += 1
        return sums

    def _backward(self, losses: Losses, share: float) -> None:
        total = losses.total(self.plan.visual_weight_at(self.part)) * share
        if self.step % self.plan.report_every == 0 and not torch.isfinite(total):
            raise FloatingPointError(f"step {self.step}: the loss is not finite")
        total.backward()

    # ---- right answers ----

    @torch.no_grad()
    def evaluate(self, learner: Learner, unseen: Unseen) -> dict[str, float]:
        """Of each kind of question the share whose every token is predicted from the right ones
        before."""
        asked, right = Counter(kind for kind, _ in unseen), Counter()
        places: dict[tuple, list[int]] = {}
        for i, (_, row) in enumerate(unseen):
            places.setdefault(row.picture.shape, []).append(i)
        # One size at a time, and as it is written: what is compiled is so for batches of one size.
        with torch.compiler.set_stance("force_eager"):
            for group in places.values():
                for at in range(0, len(group), UNSEEN_ROWS):
                    some = group[at : at + UNSEEN_ROWS]
                    [batch] = batches_of([unseen[i][1] for i in some], self.device)
                    for i, whole in zip(some, self._right(learner, batch), strict=True):
                        right[unseen[i][0]] += whole
        return {kind: right[kind] / asked[kind] for kind in sorted(asked)}

    def _right(self, learner: Learner, batch: Batch) -> list[bool]:
        with self._autocast():
            hidden, _ = learner.model(batch.pictures, batch.ids, batch.talks, batch.places)
            wanted = batch.labels != IGNORED
            said = learner.model.logits(hidden[wanted]).argmax(-1)
        same = torch.ones_like(wanted)
        same[wanted] = said == batch.labels[wanted]
        return same.all(1).tolist()

    # ---- checkpoints ----

    @property
    def checkpoint(self) -> str:
        return os.path.join(self.out, "checkpoint.pt")

    def save(self) -> None:
        state = {
            "learners": {name: learner.state_dict() for name, learner in self.learners.items()},
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "curves": self.curves,
        }
        torch.save(state, self.checkpoint + ".new")
        os.replace(self.checkpoint + ".new", self.checkpoint)

    def resume(self) -> bool:
        """Take up what `save` left; false when there is nothing."""
        if not os.path.exists(self.checkpoint):
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        for name, learner in self.learners.items():
            learner.load_state_dict(state["learners"][name])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        self.curves = state["curves"]
        return True

    # ---- the loop ----

    def run(self, feed, unseen: Unseen) -> None:
        before, started = self.elapsed_s, time.monotonic()
        waiting: list[dict[str, list[Tensor]]] = []
        while self.part < 1:
            waiting.append(self.learn(feed.batches(self.step)))
            self.elapsed_s = before + time.monotonic() - started
            saves = self.part >= 1 or self.step % self.plan.save_every == 0
            if saves or self.step % self.plan.report_every == 0:
                self._report(waiting)
                waiting = []
            if saves:
                self._evaluate(unseen)
                self.save()
                self._write_curve()
                self.export()

    def _report(self, waiting: list[dict[str, list[Tensor]]]) -> None:
        for name in self.learners:
            totals = [torch.stack(parts).mean() for parts in zip(*(each[name] for each in waiting))]
            means = dict(zip(("answer", "glyph", "object", "mark"), map(float, totals)))
            self.curves[name].append({"step": self.step, **means})
            print(f"step {self.step}, {name}: answers {means['answer']:.3f}, characters "
                  f"{means['glyph']:.3f}, objects {means['object']:.3f}, marks "
                  f"{means['mark']:.4f}", file=sys.stderr)  # fmt: skip
        left = self.elapsed_s * (1 / max(self.part, 1e-9) - 1)
        print(f"  {self.elapsed_s:.0f} s, {max(0, left):.0f} s left", file=sys.stderr, flush=True)

    def _evaluate(self, unseen: Unseen) -> None:
        for name, learner in self.learners.items():
            right = self.evaluate(learner, unseen)
            mean = sum(right.values()) / len(right)
            self.curves[name][-1]["right"] = mean
            kinds = ", ".join(f"{kind} {100 * share:.1f}" for kind, share in right.items())
            print(f"  {name}, right answers %: {kinds}; mean {100 * mean:.1f}", file=sys.stderr,
                  flush=True)  # fmt: skip

    def _write_curve(self) -> None:
        """Of the first learner; of the others beside it."""
        first, *others = self.curves
        report = {"kind": "training", "curve": self.curves[first]}
        if others:
            report["learners"] = self.curves
        with open(os.path.join(self.out, "curve.json"), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
