"""Muon for the matrices of the layers, Adam for the rest.

Muon (K. Jordan, 2024): the momentum of a matrix is brought near to the closest orthogonal one by
five steps of a Newton-Schulz iteration, so that every direction of it moves by as much.
"""

import torch
from torch import Tensor, nn

ITERATION = (3.4445, -4.7750, 2.0315)
MATRIX_RATE, REST_RATE = 0.006, 0.0015  # at full learning rate


@torch.no_grad()
def orthogonal(gradients: Tensor, steps: int = 5) -> Tensor:
    """[n, rows, columns]"""
    a, b, c = ITERATION
    x = gradients.bfloat16() if gradients.is_cuda else gradients
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(gradients.dtype)


class Muon:
    def __init__(self, weights: list[nn.Parameter], momentum: float = 0.95, decay: float = 0.1):
        self.momentum, self.decay = momentum, decay
        self.groups: dict[tuple, list[nn.Parameter]] = {}
        for weight in weights:
            self.groups.setdefault(tuple(weight.shape), []).append(weight)
        self.moving = {
            shape: torch.zeros(len(group), *shape, device=group[0].device)
            for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for shape, group in self.groups.items():
            gradient = torch.stack([weight.grad.float() for weight in group])
            moving = self.moving[shape]
            moving.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(moving, self.momentum))
            update *= max(1, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(group, 1 - rate * self.decay)
            torch._foreach_add_(group, list(update.to(group[0].dtype)), alpha=-rate)

    def state_dict(self) -> dict:
        return {"x".join(map(str, shape)): moving for shape, moving in self.moving.items()}

    def load_state_dict(self, state: dict) -> None:
        for shape, moving in self.moving.items():
            moving.copy_(state["x".join(map(str, shape))])


class Optimiser:
    """Of a model and the head that only training has; frozen weights are left out.

    Without Muon, Adam does it all: cheaper for small batches, and good enough to change a little.
    """

    def __init__(self, model: nn.Module, extra: nn.Module, with_muon: bool):
        matrices, rest = [], list(extra.parameters())
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue
            in_layer = any(part in name for part in ("blocks", "layers", "merger"))
            (matrices if with_muon and weight.dim() == 2 and in_layer else rest).append(weight)
        self.rest = rest
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(
            [
                {"params": [w for w in rest if w.dim() > 1], "weight_decay": 0.01},
                {"params": [w for w in rest if w.dim() <= 1], "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )

    def step(self, rate: float) -> None:
        """`rate` in (0, 1]."""
        nn.utils.clip_grad_norm_([w for w in self.rest if w.grad is not None], 1.0)
        self.muon.step(MATRIX_RATE * rate)
        for group in self.adam.param_groups:
            group["lr"] = REST_RATE * rate
        self.adam.step()

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
