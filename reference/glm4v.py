"""GLM-4V in numpy, F32: the architecture as formulas, nothing hidden.

    patches -> vision tower -> merger -> image tokens
    ids -> embeddings, image tokens in their slots -> decoder with M-RoPE -> logits -> greedy

Letters: T tokens, H heads, K kv heads, D head dim, C hidden, F feed-forward, V vocabulary,
P patches. Weights keep their published names; a linear layer is x @ W.T + b.
"""

import json
import math
import os

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float32])


class Checkpoint:
    """config.json and every *.safetensors of a folder, tensors as F32 arrays"""

    def __init__(self, folder):
        self.config = json.load(open(os.path.join(folder, "config.json"), encoding="utf-8"))
        self.tensors = {}
        for name in sorted(os.listdir(folder)):
            if name.endswith(".safetensors"):
                self._read(os.path.join(folder, name))
        if "lm_head.weight" not in self.tensors:
            self.tensors["lm_head.weight"] = self["model.language_model.embed_tokens.weight"]

    def _read(self, path):
        raw = np.fromfile(path, np.uint8)
        size = int(raw[:8].view("<u8")[0])
        for name, t in json.loads(raw[8 : 8 + size].tobytes()).items():
            if name != "__metadata__":
                lo, hi = (8 + size + o for o in t["data_offsets"])
                x = raw[lo:hi].view({"BF16": "<u2", "F32": "<f4"}[t["dtype"]])
                if t["dtype"] == "BF16":  # the upper half of an F32
                    x = (x.astype(np.uint32) << 16).view(np.float32)
                self.tensors[name] = x.reshape(t["shape"])

    def __getitem__(self, name):
        return self.tensors[name]

    def linear(self, x, name):
        y = x @ self[name + ".weight"].T
        return y + self[name + ".bias"] if name + ".bias" in self.tensors else y


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


def attention(q, k, v, mask=None):
    """q [H, T, D], k and v [H, S, D] -> [T, H * D]"""
    s = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1]))
    if mask is not None:
        s = s + mask
    s = np.exp(s - s.max(-1, keepdims=True))
    o = (s / s.sum(-1, keepdims=True)) @ v
    return o.transpose(1, 0, 2).reshape(q.shape[1], -1)


# ---- vision tower --------------------------------------------------------------------------


def merge_order(gh, gw):
    """row and column of every patch, 2x2 merge blocks contiguous. -> int [P], int [P]"""
    row, col = np.mgrid[0:gh, 0:gw]
    order = lambda a: a.reshape(gh // 2, 2, gw // 2, 2).transpose(0, 2, 1, 3).ravel()
    return order(row), order(col)


def sample_positions(table, row, col, gh, gw):
    """The learned G x G table at each patch's place: torch's bicubic grid_sample (a = -0.75,
    align_corners=False, border padding). table [G * G, C] -> [P, C]"""
    g, f = math.isqrt(table.shape[0]), np.float32
    x = (((col + f(0.5)) / f(gw) * 2 - 1 + 1) * f(g) - 1) / 2
    y = (((row + f(0.5)) / f(gh) * 2 - 1 + 1) * f(g) - 1) / 2

    def taps(t):  # four clamped indices and their weights
        a, base = f(-0.75), np.floor(t)
        d = t - base
        near = lambda u: ((a + 2) * u - (a + 3)) * u * u + 1
        far = lambda u: ((a * u - 5 * a) * u + 8 * a) * u - 4 * a
        index = np.clip(base.astype(int)[:, None] + np.arange(-1, 3), 0, g - 1)
        return index, np.stack((far(d + 1), near(d), near(1 - d), far(2 - d)), 1)

    (ix, wx), (iy, wy) = taps(x), taps(y)
    out = np.zeros((len(row), table.shape[1]), np.float32)
    for j in range(4):
        for i in range(4):
            out += (wy[:, j] * wx[:, i])[:, None] * table[iy[:, j] * g + ix[:, i]]
    return out


def vision_rope(row, col, head_dim):
    """-> cos, sin F32 [P, D]: angles [row * f | col * f], the pair of halves repeated"""
    n = head_dim // 2
    f = 1 / np.float32(10000) ** (np.arange(0, n, 2, dtype=np.float32) / n)
    angle = np.concatenate((row[:, None] * f, col[:, None] * f) * 2, 1).astype(np.float32)
    return np.cos(angle), np.sin(angle)


def vision_block(w, prefix, x, cos, sin, heads, eps):
    def rotate(t):  # NeoX: the two halves of a head are the pair
        a, b = np.split(t, 2, -1)
        return t * cos + np.concatenate((-b, a), -1) * sin

    qkv = w.linear(rms_norm(x, w[prefix + "norm1.weight"], eps), prefix + "attn.qkv")
    q, k, v = qkv.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
    x = x + w.linear(attention(rotate(q), rotate(k), v), prefix + "attn.proj")
    y = rms_norm(x, w[prefix + "norm2.weight"], eps)
    y = silu(w.linear(y, prefix + "mlp.gate_proj")) * w.linear(y, prefix + "mlp.up_proj")
    return x + w.linear(y, prefix + "mlp.down_proj")


def merge(w, x, config):
    """the last norm, 2x2 patches to one token, the merger. [P, C] -> [P / 4, out]"""
    p, size = "model.visual.", config["spatial_merge_size"]
    x = rms_norm(x, w[p + "post_layernorm.weight"], config["rms_norm_eps"])
    x = x.reshape(-1, size * size, x.shape[1]).transpose(0, 2, 1)  # channel, then row and column
    kernel = w[p + "downsample.weight"].reshape(config["out_hidden_size"], -1)
    x = x.reshape(len(x), -1) @ kernel.T
    x = w.linear(x + w[p + "downsample.bias"], p + "merger.proj")
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + np.float32(1e-5))
    x = x * w[p + "merger.post_projection_norm.weight"] + w[p + "merger.post_projection_norm.bias"]
    x = x * (1 + erf(x / np.float32(math.sqrt(2)))) / 2  # GELU by erf
    x = silu(w.linear(x, p + "merger.gate_proj")) * w.linear(x, p + "merger.up_proj")
    return w.linear(x, p + "merger.down_proj")


def vision_tower(w, patches, gh, gw, blocks):
    """patches [P, 588] of one image -> [P / 4, C]; blocks, a list, collects every block's output"""
    c, p = w.config["vision_config"], "model.visual."
    kernel = w[p + "patch_embed.proj.weight"].sum(2).reshape(c["hidden_size"], -1)
    x = patches @ kernel.T + w[p + "patch_embed.proj.bias"]  # two equal frames: kernels add
    x = rms_norm(x, w[p + "post_conv_layernorm.weight"], c["rms_norm_eps"])
    row, col = merge_order(gh, gw)
    x = x + sample_positions(w[p + "embeddings.position_embedding.weight"], row, col, gh, gw)
    cos, sin = vision_rope(row, col, c["hidden_size"] // c["num_heads"])
    for i in range(c["depth"]):
        x = vision_block(w, f"{p}blocks.{i}.", x, cos, sin, c["num_heads"], c["rms_norm_eps"])
        blocks.append(x)
    return merge(w, x, c)


# ---- decoder -------------------------------------------------------------------------------


def mrope_positions(ids, grids, image_id):
    """-> int [3, T] (time, row, column), next position. Text advances all three together; an
    image of h x w tokens starting at s sits at (s, s + row, s + col) and takes max(h, w)."""
    out, start, i, grids = [], 0, 0, iter(grids)
    while i < len(ids):
        if ids[i] != image_id:
            out.append(np.full((3, 1), start))
            start, i = start + 1, i + 1
            continue
        h, w = (g // 2 for g in next(grids))
        row, col = np.mgrid[0:h, 0:w]
        out.append(start + np.stack((0 * row, row, col)).reshape(3, -1))
        start, i = start + max(h, w), i + h * w
    return np.concatenate(out, 1), start


def mrope(positions, config):
    """-> cos, sin F32 [T, R]: pair j turns by the time, row or column position of its section"""
    rope = config.get("rope_parameters") or config["rope_scaling"]
    get = lambda key: rope.get(key, config.get(key))
    dim = int(config["hidden_size"] // config["num_attention_heads"] * get("partial_rotary_factor"))
    f = 1 / np.float32(get("rope_theta")) ** (np.arange(0, dim, 2, dtype=np.float32) / dim)
    axis = np.repeat([0, 1, 2], rope["mrope_section"])
    angle = np.repeat((positions[axis].T * f).astype(np.float32), 2, 1)  # pairs are (2j, 2j + 1)
    return np.cos(angle), np.sin(angle)


def decoder_layer(w, prefix, x, cos, sin, config, past=None):
    """x [T, C] -> x, (k, v) [K, S, D] with the past in front. Norms sandwich each half."""
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    norm = lambda t, name: rms_norm(t, w[f"{prefix}{name}.weight"], config["rms_norm_eps"])
    split = lambda t, n: t.reshape(t.shape[0], n, -1).transpose(1, 0, 2)

    def rotate(t):  # GPT-J pairs in the first R dims; the rest passes
        r, rest = t[..., : cos.shape[1]], t[..., cos.shape[1] :]
        turned = np.stack((-r[..., 1::2], r[..., 0::2]), -1).reshape(r.shape)
        return np.concatenate((r * cos + turned * sin, rest), -1)

    y = norm(x, "input_layernorm")
    q = rotate(split(w.linear(y, prefix + "self_attn.q_proj"), heads))
    k = rotate(split(w.linear(y, prefix + "self_attn.k_proj"), kv))
    v = split(w.linear(y, prefix + "self_attn.v_proj"), kv)
    if past is not None:
        k, v = np.concatenate((past[0], k), 1), np.concatenate((past[1], v), 1)
    mask = np.triu(np.full((len(x), k.shape[1]), -np.inf, np.float32), k.shape[1] - len(x) + 1)
    group = lambda t: np.repeat(t, heads // kv, 0)
    y = w.linear(attention(q, group(k), group(v), mask), prefix + "self_attn.o_proj")
    x = x + norm(y, "post_self_attn_layernorm")
    y = w.linear(norm(x, "post_attention_layernorm"), prefix + "mlp.gate_up_proj")
    gate, up = np.split(y, 2, -1)
    y = w.linear(up * silu(gate), prefix + "mlp.down_proj")
    return x + norm(y, "post_mlp_layernorm"), (k, v)


def decoder(w, x, positions, cache, layers):
    """x [T, C] -> final norm's output [T, C]; cache: one (k, v) or None per layer, replaced;
    layers, a list, collects every layer's output"""
    c = w.config["text_config"]
    cos, sin = mrope(positions, c)
    for i in range(c["num_hidden_layers"]):
        prefix = f"model.language_model.layers.{i}."
        x, cache[i] = decoder_layer(w, prefix, x, cos, sin, c, cache[i])
        layers.append(x)
    return rms_norm(x, w["model.language_model.norm.weight"], c["rms_norm_eps"])


def generate(w, ids, pictures, max_tokens, stages=None):
    """Greedy. pictures: [(patches, (gh, gw))] in prompt order -> ids, the stop token included;
    stages, a dict, collects what the first step computes on its way."""
    c, image_id, stages = w.config, w.config["image_token_id"], {} if stages is None else stages
    embed = w["model.language_model.embed_tokens.weight"]
    ids, x = np.array(ids), embed[ids]
    if pictures:
        stages["blocks"] = [[] for _ in pictures]
        v = [vision_tower(w, p, *g, b) for (p, g), b in zip(pictures, stages["blocks"])]
        x[ids == image_id] = stages["vision"] = np.concatenate(v)
    positions, place = mrope_positions(ids, [g for _, g in pictures], image_id)
    cache, out = [None] * c["text_config"]["num_hidden_layers"], []
    while True:
        layers = []
        h = decoder(w, x, positions, cache, layers)
        logits = h[-1] @ w["lm_head.weight"].T
        if not out:
            stages.update(layers=layers, final_norm=h[-1], logits=logits)
        out.append(int(logits.argmax()))
        if out[-1] in c["text_config"]["eos_token_id"] or len(out) == max_tokens:
            return out
        x, positions, place = embed[out[-1:]], np.full((3, 1), place), place + 1
