"""GLM-4V in PyTorch, for training: batches of pictures of one size, parameters named as published.

MODEL.md has the maths. A training row is: five tokens, the picture's visual tokens, conversations
side by side (learn.rows). The `state_dict` of Glm4v has exactly the tensors of a checkpoint with a
tied head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learn.settings import MEAN, STD

PREFIX = 5  # [gMASK] <sop> <|user|> \n <|begin_of_image|>


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(x.dtype)


class GatedMlp(nn.Module):
    def __init__(self, size: int, inner: int):
        super().__init__()
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


# ---- vision tower -------------------------------------------------------------------------------


def merge_order(rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of every patch, the four of a 2x2 block next to each other: [P], [P]."""
    row = torch.arange(rows, device=device)[:, None].expand(rows, columns)
    column = torch.arange(columns, device=device)[None].expand(rows, columns)

    def blocks(grid: Tensor) -> Tensor:
        return grid.reshape(rows // 2, 2, columns // 2, 2).permute(0, 2, 1, 3).reshape(-1)

    return blocks(row), blocks(column)


def patchify(pictures: Tensor) -> Tensor:
    """uint8 [B, height, width, 3] -> f32 [B, P, 588], normalised, in merge order."""
    count, height, width, _ = pictures.shape
    mean = torch.tensor(MEAN, device=pictures.device)
    std = torch.tensor(STD, device=pictures.device)
    x = ((pictures.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    x = x.reshape(count, 3, height // 28, 2, 14, width // 28, 2, 14)
    return x.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(count, (height // 14) * (width // 14), 588)


class PatchEmbed(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.proj = nn.Conv3d(3, hidden, (2, 14, 14), (2, 14, 14))

    def forward(self, x: Tensor) -> Tensor:
        """The two frames of a still picture are equal, so their weights add up."""
        return F.linear(x, self.proj.weight.sum(2).flatten(1), self.proj.bias)


class PositionTable(nn.Module):
    def __init__(self, side: int, hidden: int):
        super().__init__()
        self.side = side
        self.position_embedding = nn.Embedding(side * side, hidden)

    def forward(self, row: Tensor, column: Tensor, rows: int, columns: int) -> Tensor:
        table = self.position_embedding.weight.float().view(self.side, self.side, -1)
        x, y = (column + 0.5) / columns * 2 - 1, (row + 0.5) / rows * 2 - 1
        grid = torch.stack((x, y), -1)[None, :, None]
        sampled = F.grid_sample(
            table.permute(2, 0, 1)[None], grid, mode="bicubic", padding_mode="border",
            align_corners=False,
        )  # fmt: skip
        return sampled[0, :, :, 0].t()


class VisionAttention(nn.Module):
    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, patches, hidden = x.shape
        split = self.qkv(x).view(batch, patches, 3, self.heads, hidden // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)

        def rotate(t: Tensor) -> Tensor:
            first, second = t.float().chunk(2, -1)
            return (t.float() * cos + torch.cat((-second, first), -1) * sin).to(v.dtype)

        out = F.scaled_dot_product_attention(rotate(q), rotate(k), v)
        return self.proj(out.transpose(1, 2).reshape(batch, patches, hidden))


class VisionBlock(nn.Module):
    def __init__(self, hidden: int, heads: int, mlp: int):
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(hidden), RMSNorm(hidden)
        self.attn = VisionAttention(hidden, heads)
        self.mlp = GatedMlp(hidden, mlp)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class Merger(GatedMlp):
    def __init__(self, size: int, inner: int):
        super().__init__(size, inner)
        self.proj = nn.Linear(size, size, bias=False)
        self.post_projection_norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.gelu(self.post_projection_norm(self.proj(x).float())))


class Vision(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        hidden, out = c["hidden_size"], c["out_hidden_size"]
        self.head_size = hidden // c["num_heads"]
        self.patch_embed = PatchEmbed(hidden)
        self.embeddings = PositionTable(c["image_size"] // c["patch_size"], hidden)
        self.blocks = nn.ModuleList(
            VisionBlock(hidden, c["num_heads"], out) for _ in range(c["depth"])
        )
        self.merger = Merger(out, c["intermediate_size"])
        self.post_conv_layernorm, self.post_layernorm = RMSNorm(hidden), RMSNorm(hidden)
        self.downsample = nn.Conv2d(hidden, out, 2, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        """uint8 [B, height, width, 3] -> [B, P / 4, out]"""
        batch, height, width, _ = pictures.shape
        rows, columns = height // 14, width // 14
        row, column = merge_order(rows, columns, pictures.device)
        x = self.post_conv_layernorm(self.patch_embed(patchify(pictures))).float()
        x = x + self.embeddings(row.float(), column.float(), rows, columns).to(x.dtype)
        quarter = torch.arange(0, self.head_size // 2, 2, device=x.device) / (self.head_size // 2)
        frequency = 1.0 / (10000.0**quarter)
        angle = torch.cat((row[:, None] * frequency, column[:, None] * frequency), -1)
        angle = torch.cat((angle, angle), -1)
        cos, sin = angle.cos(), angle.sin()
        for block in self.blocks:
            x = block(x, cos, sin)
        x = self.post_layernorm(x)
        hidden = x.shape[-1]
        x = x.view(-1, 2, 2, hidden).permute(0, 3, 1, 2).reshape(-1, 4 * hidden)
        x = F.linear(x, self.downsample.weight.flatten(1), self.downsample.bias)
        return self.merger(x).view(batch, rows * columns // 4, -1)


# ---- decoder ------------------------------------------------------------------------------------


class TextAttention(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        hidden, self.heads = c["hidden_size"], c["num_attention_heads"]
        self.kv_heads, self.head_size = c["num_key_value_heads"], hidden // self.heads
        kv_size = self.kv_heads * self.head_size
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, kv_size)
        self.v_proj = nn.Linear(hidden, kv_size)
        self.o_proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, sees: Tensor) -> Tensor:
        batch, tokens, hidden = x.shape

        def heads(t: Tensor, count: int) -> Tensor:
            return t.view(batch, tokens, count, self.head_size).transpose(1, 2)

        q, k = heads(self.q_proj(x), self.heads), heads(self.k_proj(x), self.kv_heads)
        v = heads(self.v_proj(x), self.kv_heads)
        rotary = cos.shape[-1]

        def rotate(t: Tensor) -> Tensor:
            """Pairs next to each other; what is behind the rotary part passes through."""
            turned, rest = t[..., :rotary].float(), t[..., rotary:]
            across = torch.stack((-turned[..., 1::2], turned[..., 0::2]), -1).flatten(-2)
            return torch.cat(((turned * cos + across * sin).to(v.dtype), rest.to(v.dtype)), -1)

        group = self.heads // self.kv_heads
        k, v = rotate(k).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        out = F.scaled_dot_product_attention(rotate(q), k, v, attn_mask=sees)
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, hidden))


class TextMlp(nn.Module):
    def __init__(self, hidden: int, inner: int):
        super().__init__()
        self.gate_up_proj = nn.Linear(hidden, 2 * inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(up * F.silu(gate))


class DecoderLayer(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        hidden = c["hidden_size"]
        self.self_attn = TextAttention(c)
        self.mlp = TextMlp(hidden, c["intermediate_size"])
        self.input_layernorm, self.post_self_attn_layernorm = RMSNorm(hidden), RMSNorm(hidden)
        self.post_attention_layernorm, self.post_mlp_layernorm = RMSNorm(hidden), RMSNorm(hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, sees: Tensor) -> Tensor:
        attended = self.self_attn(self.input_layernorm(x), cos, sin, sees)
        x = x + self.post_self_attn_layernorm(attended)
        return x + self.post_mlp_layernorm(self.mlp(self.post_attention_layernorm(x)))


class Decoder(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.theta, self.sections = c["rope_theta"], c["rope_scaling"]["mrope_section"]
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(DecoderLayer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"])

    def forward(self, x: Tensor, positions: Tensor, sees: Tensor) -> Tensor:
        """x [B, T, C], positions [3, B, T], sees [B, 1, T, T] -> [B, T, C]"""
        pairs = sum(self.sections)
        frequency = 1.0 / self.theta ** (torch.arange(pairs, device=x.device).float() / pairs)
        angle = positions[..., None].float() * frequency
        parts = angle.split(self.sections, -1)
        angle = torch.cat([parts[axis][axis] for axis in range(3)], -1).repeat_interleave(2, -1)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        for layer in self.layers:
            x = layer(x, cos, sin, sees)
        return self.norm(x)


def mrope_positions(rows: int, columns: int, places: Tensor) -> Tensor:
    """Of training rows: [3, B, T]. `rows`, `columns` in visual tokens, `places` [B, T]: of the text,
    how far behind the picture."""
    visual, device = rows * columns, places.device
    end = PREFIX + visual
    positions = torch.empty(3, *places.shape, dtype=torch.long, device=device)
    positions[:, :, :PREFIX] = torch.arange(PREFIX, device=device)
    place = torch.arange(visual, device=device)
    positions[0, :, PREFIX:end] = PREFIX
    positions[1, :, PREFIX:end] = PREFIX + place // columns
    positions[2, :, PREFIX:end] = PREFIX + place % columns
    positions[:, :, end:] = PREFIX + max(rows, columns) + places[:, end:]
    return positions


def what_tokens_see(talks: Tensor) -> Tensor:
    """[B, T] -> bool [B, 1, T, T]: what comes before in the shared part and in their own talk."""
    tokens = talks.shape[1]
    before = torch.ones(tokens, tokens, dtype=torch.bool, device=talks.device).tril()
    related = (talks[:, None] == 0) | (talks[:, None] == talks[:, :, None])
    return (before & related)[:, None]


class Glm4v(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.model = nn.Module()
        self.model.visual = Vision(config["vision_config"])
        self.model.language_model = Decoder(config["text_config"])
        self._initialise()

    def _initialise(self) -> None:
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.dim() >= 2:
                fan_in = weight[0].numel()
                nn.init.normal_(weight, std=0.02 if "embed" in name else 1 / math.sqrt(fan_in))
            if name.endswith(("o_proj.weight", "mlp.down_proj.weight", "attn.proj.weight")):
                if "visual" in name:
                    nn.init.zeros_(weight)  # blocks begin as identities
                else:
                    nn.init.normal_(weight, std=0.01)

    def forward(
        self, pictures: Tensor, ids: Tensor, talks: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """uint8 [B, H, W, 3], ids, talks and places [B, T] (learn.rows)
        -> hidden states [B, T, C], visual tokens [B, N, C]"""
        rows, columns = pictures.shape[1] // 28, pictures.shape[2] // 28
        decoder: Decoder = self.model.language_model
        visual = self.model.visual(pictures)
        text = decoder.embed_tokens(ids)
        end = PREFIX + rows * columns
        x = torch.cat((text[:, :PREFIX], visual.to(text.dtype), text[:, end:]), 1)
        positions = mrope_positions(rows, columns, places)
        return decoder(x, positions, what_tokens_see(talks)), visual

    def logits(self, hidden: Tensor) -> Tensor:
        """The head is the embedding table."""
        return F.linear(hidden, self.model.language_model.embed_tokens.weight)
