#!/usr/bin/env python3
"""Write a GLM-4V checkpoint with random weights, in the layout of published ones.

    tools/make_checkpoint.py small OUT_DIR              a preset: tiny small 1b 9b
    tools/make_checkpoint.py --config config.json OUT_DIR

Speed, memory and numerics do not depend on what the weights mean, so such a checkpoint stands in
for a real one in tests and measurements. The same arguments always give the same bytes: every
tensor draws from a generator seeded by its own name. Nothing larger than a 32 MiB piece is held
in memory: the 20.6 GB of `9b` (the shape of GLM-4.6V-Flash) take a disk and two minutes.

The tokenizer is the default model's: its vocabulary cut or padded, its special tokens moved to
the ids that the config names. Needs numpy.
"""

import argparse
import hashlib
import json
import os
import struct
import sys

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DEFAULT = os.path.join(ROOT, "models", "default")
PIECE = 1 << 24  # values drawn at once

# The special tokens of GLM-4.6V in order of id; GLM-4.1V's list differs after the video tokens.
COMMON = (
    "<|endoftext|> [MASK] [gMASK] [sMASK] <sop> <eop> <|system|> <|user|> <|assistant|> "
    "<|observation|> <|begin_of_image|> <|end_of_image|> <|begin_of_video|> <|end_of_video|>"
).split()
SPECIAL_46 = (
    COMMON
    + (
        "<|begin_of_audio|> <|end_of_audio|> <|begin_of_transcription|> <|end_of_transcription|> "
        "<|code_prefix|> <|code_middle|> <|code_suffix|> <think> </think> <tool_call> </tool_call> "
        "<tool_response> </tool_response> <arg_key> </arg_key> <arg_value> </arg_value> /nothink "
        "<|begin_of_box|> <|end_of_box|> <|image|> <|video|>"
    ).split()
)
SPECIAL_41 = COMMON + "<|image|> <|video|> <think> </think> <answer> </answer>".split()

PRESETS = {
    # text: hidden, layers, q heads, kv heads, ffn, vocab, first special id, mrope, positions
    # vision: hidden, depth, heads, merger ffn, reference image side
    "tiny": ((64, 3, 4, 2, 88, 509, 470, [1, 1, 2], 2048), (48, 3, 3, 104, 112)),
    "small": ((512, 8, 8, 2, 1536, 8192, 8128, [4, 6, 6], 32768), (384, 8, 6, 1536, 336)),
    "1b": ((1536, 28, 12, 2, 8960, 32768, 32704, [8, 12, 12], 32768), (1024, 24, 16, 4096, 336)),
    "9b": (
        (4096, 40, 32, 2, 13696, 151552, 151329, [8, 12, 12], 131072),
        (1536, 24, 12, 13696, 336),
    ),
}


def preset_config(name):
    (hidden, layers, heads, kv, ffn, vocab, base, mrope, positions), vision = PRESETS[name]
    sid = {token: base + i for i, token in enumerate(SPECIAL_46)}
    eos = [sid["<|endoftext|>"], sid["<|user|>"], sid["<|observation|>"]]
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "dtype": "bfloat16",
        "image_start_token_id": sid["<|begin_of_image|>"],
        "image_end_token_id": sid["<|end_of_image|>"],
        "video_start_token_id": sid["<|begin_of_video|>"],
        "video_end_token_id": sid["<|end_of_video|>"],
        "image_token_id": sid["<|image|>"],
        "video_token_id": sid["<|video|>"],
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "glm4v_text",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": ffn,
            "max_position_embeddings": positions,
            "num_attention_heads": heads,
            "num_hidden_layers": layers,
            "num_key_value_heads": kv,
            "rms_norm_eps": 1e-5,
            "dtype": "bfloat16",
            "vocab_size": vocab,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 500000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": mrope,
            },
            "pad_token_id": eos[0],
            "eos_token_id": eos,
            "tie_word_embeddings": False,
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "hidden_size": vision[0],
            "depth": vision[1],
            "num_heads": vision[2],
            "intermediate_size": vision[3],
            "out_hidden_size": hidden,
            "image_size": vision[4],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "hidden_dropout_prob": 0.0,
            "initializer_range": 0.02,
            "in_channels": 3,
            "patch_size": 14,
            "rms_norm_eps": 1e-5,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def tensors(config):
    """[(name, shape, standard deviation, mean)] in file order.

    A linear layer's deviation is 1/sqrt(inputs), which keeps every activation near 1 through any
    depth; biases, norms and the position table are far enough from 0 and 1 to be missed.
    """
    t, v = config["text_config"], config["vision_config"]
    out = []

    def linear(name, rows, cols, bias=False):
        out.append((name + ".weight", (rows, cols), cols**-0.5, 0.0))
        if bias:
            out.append((name + ".bias", (rows,), 0.1, 0.0))

    def norm(name, size):
        out.append((name + ".weight", (size,), 0.1, 1.0))

    hidden, ffn = t["hidden_size"], t["intermediate_size"]
    head = t.get("head_dim") or hidden // t["num_attention_heads"]
    wide = t["num_attention_heads"] * head
    p = "model.language_model."
    out.append((p + "embed_tokens.weight", (t["vocab_size"], hidden), 0.5, 0.0))
    for i in range(t["num_hidden_layers"]):
        q = f"{p}layers.{i}."
        bias = t["attention_bias"]
        linear(q + "self_attn.q_proj", wide, hidden, bias)
        linear(q + "self_attn.k_proj", t["num_key_value_heads"] * head, hidden, bias)
        linear(q + "self_attn.v_proj", t["num_key_value_heads"] * head, hidden, bias)
        linear(q + "self_attn.o_proj", hidden, wide)
        linear(q + "mlp.gate_up_proj", 2 * ffn, hidden)
        linear(q + "mlp.down_proj", hidden, ffn)
        for name in ("input", "post_self_attn", "post_attention"):
            norm(f"{q}{name}_layernorm", hidden)
        norm(q + "post_mlp_layernorm", hidden)
    norm(p + "norm", hidden)
    if not config.get("tie_word_embeddings", False):
        out.append(("lm_head.weight", (t["vocab_size"], hidden), 4 * hidden**-0.5, 0.0))

    p, vh, vo, vff = "model.visual.", v["hidden_size"], v["out_hidden_size"], v["intermediate_size"]
    side, merge = v["patch_size"], v["spatial_merge_size"]
    kernel = (vh, v["in_channels"], v["temporal_patch_size"], side, side)
    out.append((p + "patch_embed.proj.weight", kernel, float(np.prod(kernel[1:])) ** -0.5, 0.0))
    out.append((p + "patch_embed.proj.bias", (vh,), 0.1, 0.0))
    norm(p + "post_conv_layernorm", vh)
    out.append(
        (p + "embeddings.position_embedding.weight", ((v["image_size"] // side) ** 2, vh), 0.5, 0.0)
    )
    for i in range(v["depth"]):
        q = f"{p}blocks.{i}."
        norm(q + "norm1", vh)
        linear(q + "attn.qkv", 3 * vh, vh, v.get("attention_bias", False))
        linear(q + "attn.proj", vh, vh)
        norm(q + "norm2", vh)
        linear(q + "mlp.gate_proj", vo, vh)
        linear(q + "mlp.up_proj", vo, vh)
        linear(q + "mlp.down_proj", vh, vo)
    norm(p + "post_layernorm", vh)
    out.append((p + "downsample.weight", (vo, vh, merge, merge), (vh * merge * merge) ** -0.5, 0.0))
    out.append((p + "downsample.bias", (vo,), 0.1, 0.0))
    linear(p + "merger.proj", vo, vo)
    norm(p + "merger.post_projection_norm", vo)
    out.append((p + "merger.post_projection_norm.bias", (vo,), 0.1, 0.0))
    linear(p + "merger.gate_proj", vff, vo)
    linear(p + "merger.up_proj", vff, vo)
    linear(p + "merger.down_proj", vo, vff)
    return out


def to_bf16(x):
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2")


def draw(name, count, deviation, mean, seed):
    """Pieces of `count` BF16 values. They are picked from 65,536 normal ones by random 16-bit
    indices, which is several times faster than drawing each from the distribution."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    table = to_bf16(mean + deviation * rng.standard_normal(1 << 16))
    while count:
        n = min(count, PIECE)
        yield table[np.frombuffer(rng.bytes(2 * n), "<u2")]
        count -= n


def write_shards(out_dir, specs, shard_bytes, seed):
    shards, size = [[]], 0
    for spec in specs:
        n = 2 * int(np.prod(spec[1]))
        if shards[-1] and size + n > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += n
    weight_map, total = {}, 0
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for tensor, shape, _, _ in shard:
            end = offset + 2 * int(np.prod(shape))
            header[tensor] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
            weight_map[tensor], offset = name, end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(out_dir, name), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for tensor, shape, deviation, mean in shard:
                for piece in draw(tensor, int(np.prod(shape)), deviation, mean, seed):
                    f.write(piece.data)
        total += offset
        print(f"{name}: {offset / 1e9:.3f} GB", file=sys.stderr, flush=True)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    save_json(out_dir, "model.safetensors.index.json", index)


def special_tokens(config):
    """token -> id, laid out as the family that the config's image ids belong to"""
    start = config["image_start_token_id"]
    step = config["image_token_id"] - start
    layout = {24: SPECIAL_46, 4: SPECIAL_41}.get(step)
    if layout is None:
        sys.exit(f"image_token_id - image_start_token_id is {step}: neither GLM-4.1V nor GLM-4.6V")
    base = start - layout.index("<|begin_of_image|>")
    return {token: base + i for i, token in enumerate(layout)}


def write_tokenizer(out_dir, config):
    with open(os.path.join(DEFAULT, "tokenizer.json"), encoding="utf-8") as f:
        spec = json.load(f)
    special = special_tokens(config)
    first, model = min(special.values()), spec["model"]
    vocab = {token: i for token, i in model["vocab"].items() if i < first}
    for i in range(len(vocab), first):  # ids must be dense: rows that no text reaches
        vocab[f"[unused{i}]"] = i
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    model["vocab"], model["merges"] = vocab, [m for m in merges if "".join(m) in vocab]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    spec["added_tokens"] = [
        {"id": i, "content": token, **plain, "special": True} for token, i in special.items()
    ]
    save_json(out_dir, "tokenizer.json", spec)
    positions = config["text_config"]["max_position_embeddings"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "additional_special_tokens": list(special),
        "clean_up_tokenization_spaces": False,
        "model_max_length": positions,
    }
    save_json(out_dir, "tokenizer_config.json", settings)


def save_json(out_dir, name, value):
    with open(os.path.join(out_dir, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("preset", nargs="?", choices=sorted(PRESETS))
    p.add_argument("out_dir")
    p.add_argument("--config", help="a config.json instead of a preset")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--shard-gb", type=float, default=5.0, help="most per file (default 5)")
    a = p.parse_args()
    if bool(a.preset) == bool(a.config):
        p.error("give a preset or --config")
    config = preset_config(a.preset) if a.preset else json.load(open(a.config, encoding="utf-8"))
    os.makedirs(a.out_dir, exist_ok=True)
    text = config["text_config"]
    save_json(a.out_dir, "config.json", config)
    generation = {
        "eos_token_id": text["eos_token_id"],
        "pad_token_id": text["pad_token_id"],
        "do_sample": False,
    }
    save_json(a.out_dir, "generation_config.json", generation)
    with open(os.path.join(DEFAULT, "preprocessor_config.json"), encoding="utf-8") as f:
        pre = json.load(f)
    if a.preset != "tiny":
        pre["size"]["longest_edge"] = 9633792  # the published bound: 6,144 tokens a picture
    save_json(a.out_dir, "preprocessor_config.json", pre)
    with open(os.path.join(DEFAULT, "chat_template.jinja"), encoding="utf-8") as f:
        template = f.read()
    with open(os.path.join(a.out_dir, "chat_template.jinja"), "w", encoding="utf-8") as f:
        f.write(template)
    write_tokenizer(a.out_dir, config)
    write_shards(a.out_dir, tensors(config), int(a.shard_gb * 1e9), a.seed)


if __name__ == "__main__":
    main()
