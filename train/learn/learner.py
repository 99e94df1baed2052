"""A model that learns: its losses, its optimiser; and a larger one to learn from.

Besides the answers a row teaches what lies in each visual token: a character, by its embedding; an
object, and whether it is the middle of one, or the highest bar of a chart, by heads that are not
exported. Without these a small model takes long to begin to read, and never learns to count.
"""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learn.feed import Batch
from learn.model import DecoderLayer, Glm4v, VisionBlock
from learn.optimiser import Optimiser
from learn.rows import IGNORED
from world.stage import MARKS

GLYPH_SCALE = 16  # of the cosine between a visual token and a character's embedding
LOGSUMEXP_WEIGHT = 1e-4  # keeps logits from drifting
TEACHER_WEIGHT = 0.5  # of the teacher's opinion; the right answers have the rest


@dataclass
class Losses:
    answer: Tensor
    glyph: Tensor
    object: Tensor
    mark: Tensor
    spread: Tensor

    def total(self, visual_weight: float) -> Tensor:
        visual = 0.5 * visual_weight * (self.glyph + self.object + self.mark)
        return self.answer + visual + LOGSUMEXP_WEIGHT * self.spread

    def detached(self) -> list[Tensor]:
        return [t.detach() for t in (self.answer, self.glyph, self.object, self.mark, self.spread)]


class Learner:
    def __init__(self, model: Glm4v, n_objects: int, with_muon: bool, device: torch.device):
        self.model, self.device = model.to(device), device
        width = model.model.language_model.embed_tokens.weight.shape[1]
        self.heads = nn.ModuleDict(
            {"object": nn.Linear(width, n_objects + 1), "mark": nn.Linear(width, len(MARKS) + 1)}
        ).to(device)
        self.optimiser = Optimiser(model, self.heads, with_muon)
        self.teaches_vision = any(w.requires_grad for w in model.model.visual.parameters())

    def losses(self, batch: Batch, opinion: Tensor | None = None) -> tuple[Losses, Tensor]:
        """And the logits of the tokens that are to be predicted: [n, V]. `opinion`: a teacher's."""
        hidden, visual = self.model(batch.pictures, batch.ids, batch.talks, batch.places)
        wanted = batch.labels != IGNORED
        logits = self.model.logits(hidden[wanted]).float()
        share = batch.weights[wanted]
        share = share / share.sum()
        wrong = F.cross_entropy(logits, batch.labels[wanted], reduction="none")
        answer = (wrong * share).sum()
        if opinion is not None:
            differs = F.kl_div(logits.log_softmax(-1), opinion.log_softmax(-1), log_target=True,
                               reduction="none").sum(-1)  # fmt: skip
            answer = answer + TEACHER_WEIGHT * ((differs - wrong) * share).sum()
        spread = logits.logsumexp(-1).pow(2).mean()
        none = answer * 0
        if not self.teaches_vision:
            return Losses(answer, none, none, none, spread), logits.detach()
        visual = visual.float()
        seen = {name: head(visual).float().flatten(0, 1) for name, head in self.heads.items()}
        return Losses(
            answer,
            self._glyph_loss(visual, batch.glyphs) if (batch.glyphs != IGNORED).any() else none,
            F.cross_entropy(seen["object"], batch.objects.flatten()),
            F.cross_entropy(seen["mark"], batch.marks.flatten()),
            spread,
        ), logits.detach()

    def _glyph_loss(self, visual: Tensor, glyphs: Tensor) -> Tensor:
        there = glyphs != IGNORED
        table = self.model.model.language_model.embed_tokens.weight
        near = F.linear(F.normalize(visual[there], dim=-1) * GLYPH_SCALE, table)
        return F.cross_entropy(near.float(), glyphs[there])

    def step(self, rate: float) -> None:
        self.optimiser.step(rate)
        self.model.zero_grad(set_to_none=True)
        self.heads.zero_grad(set_to_none=True)

    def state_dict(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])


@torch.no_grad()
def grown(model: Glm4v, config: dict) -> tuple[Glm4v, dict]:
    """A model of twice the layers that computes the same: behind every layer stands a copy whose
    output is multiplied by zero, and learns to be something else."""
    config = copy.deepcopy(config)
    config["vision_config"]["depth"] *= 2
    config["text_config"]["num_hidden_layers"] *= 2
    larger = Glm4v(config)
    state = {}
    for name, weight in model.state_dict().items():
        head, kind, tail = name.partition(".blocks." if ".blocks." in name else ".layers.")
        if not kind:
            state[name] = weight
            continue
        number, _, rest = tail.partition(".")
        for copied in (0, 1):
            state[f"{head}{kind}{2 * int(number) + copied}.{rest}"] = weight.clone()
    larger.load_state_dict(state)
    for block in list(larger.model.visual.blocks)[1::2]:
        _silence_block(block)
    for layer in list(larger.model.language_model.layers)[1::2]:
        _silence_layer(layer)
    return larger, config


def _silence_block(block: VisionBlock) -> None:
    block.attn.proj.weight.zero_()
    block.mlp.down_proj.weight.zero_()


def _silence_layer(layer: DecoderLayer) -> None:
    """By the norms behind: a zero before them would be divided by nothing."""
    layer.post_self_attn_layernorm.weight.zero_()
    layer.post_mlp_layernorm.weight.zero_()
