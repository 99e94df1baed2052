"""The loop: three losses, a schedule, checkpoints that a run is taken up from, curves.

Besides the answers a row teaches what lies in each visual token: a character, by its embedding, and an
object, by a head that is not exported. Without these a small model takes long to begin to read.
"""

import json
import os
import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learn.feed import Batch, Source, batches_of
from learn.model import Glm4v
from learn.optimiser import Optimiser
from learn.rows import IGNORED

GLYPH_SCALE = 16  # of the cosine between a visual token and a character's embedding
LOGSUMEXP_WEIGHT = 1e-4  # keeps logits from drifting


@dataclass(frozen=True)
class Plan:
    steps: int
    rate: float = 1.0  # of the full learning rate
    warm_up: int = 200
    hold: float = 0.4  # part of the steps before the rate begins to fall to 0
    visual_weight: float = 1.0  # of the losses on visual tokens at the beginning; 0.1 at the end
    save_every: int = 500
    report_every: int = 100
    with_muon: bool = True
    bf16: bool = False  # products in BF16; weights stay F32

    def rate_at(self, step: int) -> float:
        part = step / self.steps
        fall = 1.0 if part < self.hold else (1 - part) / (1 - self.hold)
        return self.rate * min(1.0, (step + 1) / self.warm_up) * fall

    def visual_weight_at(self, step: int) -> float:
        return self.visual_weight * max(0.1, 1 - 1.2 * step / self.steps)


@dataclass
class Losses:
    answer: Tensor
    glyph: Tensor
    object: Tensor
    spread: Tensor

    def total(self, visual_weight: float) -> Tensor:
        visual = 0.5 * visual_weight * (self.glyph + self.object)
        return self.answer + visual + LOGSUMEXP_WEIGHT * self.spread


class Trainer:
    def __init__(self, model: Glm4v, n_objects: int, plan: Plan, out: str, device: torch.device):
        self.model, self.plan, self.out, self.device = model.to(device), plan, out, device
        width = model.model.language_model.embed_tokens.weight.shape[1]
        self.object_head = nn.Linear(width, n_objects + 1).to(device)
        self.optimiser = Optimiser(model, self.object_head, plan.with_muon)
        self.step, self.curve = 0, []
        self.teaches_vision = any(w.requires_grad for w in model.model.visual.parameters())
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=plan.bf16)

    # ---- losses ----

    def losses(self, batch: Batch) -> Losses:
        with self.autocast:
            hidden, visual = self.model(batch.pictures, batch.ids)
            wanted = batch.labels != IGNORED
            logits = self.model.logits(hidden[wanted]).float()
        answer = F.cross_entropy(logits, batch.labels[wanted])
        spread = logits.logsumexp(-1).pow(2).mean()
        if not self.teaches_vision:
            return Losses(answer, answer * 0, answer * 0, spread)
        visual, has_glyph = visual.float(), batch.glyphs != IGNORED
        glyph = answer * 0
        if has_glyph.any():
            table = self.model.model.language_model.embed_tokens.weight
            near = F.linear(F.normalize(visual[has_glyph], dim=-1) * GLYPH_SCALE, table)
            glyph = F.cross_entropy(near, batch.glyphs[has_glyph])
        seen = self.object_head(visual).flatten(0, 1)
        return Losses(answer, glyph, F.cross_entropy(seen, batch.objects.flatten()), spread)

    def learn(self, batches: list[Batch]) -> Losses:
        """One step; batches weigh by their rows. Returns the last batch's losses."""
        rows = sum(len(batch.ids) for batch in batches)
        weight = self.plan.visual_weight_at(self.step)
        sums = [0.0, 0.0, 0.0, 0.0]
        for batch in batches:
            losses, share = self.losses(batch), len(batch.ids) / rows
            total = losses.total(weight) * share
            if not torch.isfinite(total):
                raise FloatingPointError(f"step {self.step}: the loss is not finite")
            total.backward()
            parts = (losses.answer, losses.glyph, losses.object, losses.spread)
            sums = [s + share * part.detach() for s, part in zip(sums, parts, strict=True)]
        self.optimiser.step(self.plan.rate_at(self.step))
        self.model.zero_grad(set_to_none=True)
        self.object_head.zero_grad(set_to_none=True)
        self.step += 1
        return Losses(*sums)

    # ---- right answers ----

    @torch.no_grad()
    def evaluate(self, source: Source, count: int, first: int = 10**9) -> float:
        """Share of unseen questions whose every token is predicted from the right ones before."""
        right = asked = 0
        for at in range(0, count, 32):
            rows = [source.row(first + at + i, 1) for i in range(min(32, count - at))]
            for batch in batches_of(rows, self.device):
                with self.autocast:
                    hidden, _ = self.model(batch.pictures, batch.ids)
                wanted = batch.labels != IGNORED
                said = self.model.logits(hidden[wanted]).argmax(-1)
                same = torch.ones_like(wanted)
                same[wanted] = said == batch.labels[wanted]
                right += int(same.all(1).sum())
                asked += len(same)
        return right / asked

    # ---- checkpoints ----

    @property
    def checkpoint(self) -> str:
        return os.path.join(self.out, "checkpoint.pt")

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "object_head": self.object_head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "curve": self.curve,
        }
        torch.save(state, self.checkpoint + ".new")
        os.replace(self.checkpoint + ".new", self.checkpoint)

    def resume(self) -> bool:
        """Take up what `save` left; false when there is nothing."""
        if not os.path.exists(self.checkpoint):
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.object_head.load_state_dict(state["object_head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.curve = state["step"], state["curve"]
        return True

    # ---- the loop ----

    def run(self, feed, source: Source) -> None:
        started, first = time.monotonic(), self.step
        waiting: list[Losses] = []
        while self.step < self.plan.steps:
            waiting.append(self.learn(feed.batches(self.step)))
            last = self.step == self.plan.steps
            saves = last or self.step % self.plan.save_every == 0
            if saves or self.step % self.plan.report_every == 0:
                self._report(waiting, started, first)
                waiting = []
            if saves:
                self.curve[-1]["right"] = self.evaluate(source, 64)
                print(f"  right answers {100 * self.curve[-1]['right']:.1f} %", file=sys.stderr)
                self.save()
                self._write_curve()

    def _report(self, waiting: list[Losses], started: float, first: int) -> None:
        means = {
            name: float(sum(getattr(losses, name) for losses in waiting)) / len(waiting)
            for name in ("answer", "glyph", "object")
        }
        self.curve.append({"step": self.step, **means})
        elapsed = time.monotonic() - started
        left = elapsed / (self.step - first) * (self.plan.steps - self.step)
        print(f"step {self.step} of {self.plan.steps}: answers {means['answer']:.3f}, characters "
              f"{means['glyph']:.3f}, objects {means['object']:.3f}; {elapsed:.0f} s, "
              f"{left:.0f} s left", file=sys.stderr)  # fmt: skip

    def _write_curve(self) -> None:
        report = {"kind": "training", "curve": self.curve}
        with open(os.path.join(self.out, "curve.json"), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
