"""Weights that are never stored: every value is a hash of its tensor's name and its index.

    seed  = FNV-1a 64 of the name
    z     = seed + (index + 1) * 0x9E3779B97F4A7C15            all modulo 2^64
    z     = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z     = (z ^ (z >> 27)) * 0x94D049BB133111EB
    z     = z ^ (z >> 31)                                       (splitmix64)
    u     = (z >> 40) * 2^-23 - 1                               exact in F32, in [-1, 1)
    value = bf16(mean + amplitude * u)                          F32, one rounding per operation

bf16() rounds to nearest, ties to even. Mean is 0, or 1 with an amplitude that is a power of two, so
it makes no difference whether the multiplication and the addition are fused.
"""

import numpy as np

U64 = np.uint64
PIECE = 1 << 22


def fnv1a(name):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & (2**64 - 1)
    return h


def fill(name, shape, amplitude, mean):
    """-> F32 array whose values are all representable in BF16"""
    count = int(np.prod(shape))
    out = np.empty(count, np.float32)
    seed = U64(fnv1a(name))
    for lo in range(0, count, PIECE):
        hi = min(lo + PIECE, count)
        z = seed + np.arange(lo + 1, hi + 1, dtype=U64) * U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
        z = z ^ (z >> U64(31))
        u = (z >> U64(40)).astype(np.float32) * np.float32(2**-23) - np.float32(1)
        v = np.float32(mean) + np.float32(amplitude) * u
        bits = v.view(np.uint32)
        bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(
            16
        )
        out[lo:hi] = (bits << np.uint32(16)).view(np.float32)
    return out.reshape(shape)


def layer_tensors():
    """The layers of tests/golden/layers: configs, positions, {tensor: [shape, amplitude, mean]}"""
    text = {
        "hidden_size": 4096,
        "intermediate_size": 13696,
        "num_attention_heads": 32,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 500000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [8, 12, 12],
        },
    }
    vision = {
        "hidden_size": 1536,
        "num_heads": 12,
        "out_hidden_size": 4096,
        "intermediate_size": 13696,
        "spatial_merge_size": 2,
        "rms_norm_eps": 1e-5,
    }
    # close to sqrt(3 / inputs), which keeps a layer's output near its input in size
    a = {1536: 3 * 2**-6, 4096: 2**-5, 6144: 3 * 2**-7, 13696: 2**-6}
    t = {"text.input": [[8, 4096], 2.0, 0.0]}
    for name in ("input", "post_self_attn", "post_attention", "post_mlp"):
        t[f"text.{name}_layernorm.weight"] = [[4096], 0.25, 1.0]
    for name, size in (("q", 4096), ("k", 256), ("v", 256)):
        t[f"text.self_attn.{name}_proj.weight"] = [[size, 4096], a[4096], 0.0]
        t[f"text.self_attn.{name}_proj.bias"] = [[size], 0.25, 0.0]
    t["text.self_attn.o_proj.weight"] = [[4096, 4096], a[4096], 0.0]
    t["text.mlp.gate_up_proj.weight"] = [[27392, 4096], a[4096], 0.0]
    t["text.mlp.down_proj.weight"] = [[4096, 13696], a[13696], 0.0]
    t["vision.input"] = [[16, 1536], 2.0, 0.0]
    t["vision.norm1.weight"] = [[1536], 0.25, 1.0]
    t["vision.attn.qkv.weight"] = [[4608, 1536], a[1536], 0.0]
    t["vision.attn.proj.weight"] = [[1536, 1536], a[1536], 0.0]
    t["vision.norm2.weight"] = [[1536], 0.25, 1.0]
    t["vision.mlp.gate_proj.weight"] = [[4096, 1536], a[1536], 0.0]
    t["vision.mlp.up_proj.weight"] = [[4096, 1536], a[1536], 0.0]
    t["vision.mlp.down_proj.weight"] = [[1536, 4096], a[4096], 0.0]
    t["merge.input"] = [[16, 1536], 2.0, 0.0]
    t["merge.post_layernorm.weight"] = [[1536], 0.25, 1.0]
    t["merge.downsample.weight"] = [[4096, 1536, 2, 2], a[6144], 0.0]
    t["merge.downsample.bias"] = [[4096], 0.25, 0.0]
    t["merge.merger.proj.weight"] = [[4096, 4096], a[4096], 0.0]
    t["merge.merger.post_projection_norm.weight"] = [[4096], 0.25, 1.0]
    t["merge.merger.post_projection_norm.bias"] = [[4096], 0.25, 0.0]
    t["merge.merger.gate_proj.weight"] = [[13696, 4096], a[4096], 0.0]
    t["merge.merger.up_proj.weight"] = [[13696, 4096], a[4096], 0.0]
    t["merge.merger.down_proj.weight"] = [[4096, 13696], a[13696], 0.0]
    # two words, a picture of 2 x 2 tokens at 2, two words
    time, row, col = [0, 1, 2, 2, 2, 2, 4, 5], [0, 1, 2, 2, 3, 3, 4, 5], [0, 1, 2, 3, 2, 3, 4, 5]
    return {
        "text_config": text,
        "vision_config": vision,
        "position_ids": [time, row, col],
        "grid": [4, 4],
        "tensors": t,
    }
