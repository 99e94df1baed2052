"""python reference/make_golden.py [default] [tiny] [layers]: golden vectors, made by transformers

Writes tests/golden/{default,tiny}/NAME.safetensors and cases.json, and tests/golden/layers/.
What is in them: tests/golden/README.md.
"""

import json
import os
import sys

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from transformers import AutoProcessor, Glm4vForConditionalGeneration

from hashed import fill, layer_tensors
from tokenizer import Glm4vTokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
GOLDEN = os.path.join(ROOT, "tests", "golden")
AUDIT = "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"

# name, pictures, turns (None stands for the next picture), most tokens
DEFAULT_CASES = [
    (
        "listing",
        ["listing.png"],
        [("user", [None, "Does this product listing violate the policy?"])],
    ),
    ("text", ["text_371x500.png"], [("user", [None, "提取图中的全部文字。"])]),
    ("objects", ["objects_1000x640.png"], [("user", [None, "List the objects."])]),
    ("chart", ["chart.png"], [("user", [None, "把图表数据转换为JSON。"])]),
    ("receipt", ["receipt.png"], [("user", [None, "电话是多少？"])]),
    (
        "listing_150",
        ["listing_150.png"],
        [("user", [None, "标题：胶囊治愈高血压\n该商品是否存在违规内容？"])],
    ),
    ("text_90x60", ["text_90x60.png"], [("user", [None, "提取图中的全部文字。"])]),
    ("claims", ["listing_claims.png"], [("user", [None, AUDIT])]),
    ("jpeg", ["listing_400x300.jpg"], [("user", [None, f"商品标题：纯棉帽子\n{AUDIT}"])]),
    ("jpeg_large", ["listing_1200x900.jpg"], [("user", [None, "审核该商品。"])]),
    ("exif", ["text_exif6.jpg"], [("user", [None, "What does the text say?"])]),
    ("alpha", ["objects_alpha.png"], [("user", [None, "图中有哪些物品？"])]),
    ("grey", ["receipt_grey_211x173.png"], [("user", [None, "提取所有字段为JSON。"])]),
    ("wide", ["wide_700x50.png"], [("user", [None, "图片里写了什么？"])]),
    ("tiny_picture", ["tiny_1x37.png"], [("user", [None, "描述这张图片。"])]),
    (
        "two_pictures",
        ["text_90x60.png", "listing_150.png"],
        [("system", ["审核员"]), ("user", ["图一：", None, "图二：", None, "图里有什么？"])],
    ),
    (
        "history",
        ["listing_150.png"],
        [
            ("user", [None, "图里有什么？"]),
            ("assistant", ["没有可识别的物品"]),
            ("user", ["读出图中的文字。"]),
        ],
    ),
    ("text_only", [], [("user", ["请审核这张商品图片是否合规。"])]),
]
TINY_CASES = [
    ("one_picture", ["alpha.png"], [("user", [None, "What is this? 42"])]),
    ("two_pictures", ["grey.png", "alpha.png"], [("user", ["a ", None, "\n", None, " both?"])]),
    ("text_only", [], [("system", ["be brief"]), ("user", ["hello"])]),
]


def rows(count, want):
    """`want` row numbers spread over `count`, first and last included"""
    return np.unique(np.linspace(0, count - 1, min(want, count)).round().astype(np.int32))


def first(x):
    return x[0] if isinstance(x, tuple) else x


class Recorder:
    """Keeps what chosen modules put out during the first (prefill) call."""

    def __init__(self, modules):
        self.out, self.handles = {}, []
        for name, module in modules.items():
            self.handles.append(module.register_forward_hook(self.hook(name)))

    def hook(self, name):
        def keep(module, inputs, output):  # must return None, or it would replace the output
            self.out.setdefault(name, first(output).detach())

        return keep

    def close(self):
        for h in self.handles:
            h.remove()


def chat_text(processor, turns):
    part = lambda p: {"type": "image"} if p is None else {"type": "text", "text": p}
    messages = [{"role": r, "content": [part(p) for p in parts]} for r, parts in turns]
    for m in messages:
        if m["role"] != "user":  # the default template wants these as strings
            m["content"] = m["content"][0]["text"]
    return processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


def run_case(model, processor, tokenizer, folder, case, max_tokens):
    name, files, turns = case
    config = model.config
    images = [ImageOps.exif_transpose(Image.open(os.path.join(folder, f))) for f in files]
    batch = processor(
        text=[chat_text(processor, turns)], images=images or None, return_tensors="pt"
    )
    ids, kw, t, grids = batch["input_ids"], {}, {}, []
    if images:
        pixels, grid = batch["pixel_values"], batch["image_grid_thw"]
        grids = grid[:, 1:].tolist()
        frames = pixels.reshape(len(pixels), 3, 2, -1)
        assert torch.equal(frames[:, :, 0], frames[:, :, 1])
        kw = {"pixel_values": pixels, "image_grid_thw": grid}
    assert ids[0].tolist() == tokenizer.prompt(turns, grids), name
    types = (ids == config.image_token_id).int()
    kw |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inner, visual = model.model, model.model.visual
    layers = inner.language_model.layers
    rec = Recorder(
        {
            "vision_block_first": visual.blocks[0],
            "vision_block_last": visual.blocks[-1],
            "vision_out": visual.merger,
            "layer_first": layers[0],
            "layer_last": layers[-1],
            "final_norm": inner.language_model.norm,
        }
    )
    position, delta = inner.get_rope_index(ids, types, image_grid_thw=kw.get("image_grid_thw"))
    with torch.no_grad():
        done = model.generate(
            **kw,
            mm_token_type_ids=types,
            max_new_tokens=max_tokens,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    rec.close()
    logits = torch.stack([x[0] for x in done.logits])
    top = logits.topk(2).values
    out = {k: v.reshape(-1, v.shape[-1]) for k, v in rec.out.items()}

    t["input_ids"] = ids[0].int()
    t["position_ids"] = position[:, 0].int()
    t["generated"] = done.sequences[0, ids.shape[1] :].int()
    t["gap"] = top[:, 0] - top[:, 1]
    t["logits_last"] = logits[0]
    t["final_norm_last"] = out["final_norm"][-1]
    pick = rows(ids.shape[1], 8)
    t["token_rows"] = torch.from_numpy(pick)
    for k in ("layer_first", "layer_last"):
        t[k] = out[k][pick]
    if images:
        t["grid_thw"] = grid.int()
        pick = rows(len(pixels), 12)
        t["patch_rows"] = torch.from_numpy(pick)
        t["patches"] = frames[pick, :, 0].reshape(len(pick), -1)
        for k in ("vision_block_first", "vision_block_last"):
            t[k] = out[k][pick]
        pick = rows(len(out["vision_out"]), 12)
        t["vision_rows"] = torch.from_numpy(pick)
        t["vision_out"] = out["vision_out"][pick]
    save_file(
        {k: v.contiguous().numpy() for k, v in t.items()},
        os.path.join(folder, name + ".safetensors"),
    )
    text = tokenizer.decode(t["generated"].tolist())
    print(
        f"{name}: {len(ids[0])} tokens, grids {grids}, smallest gap {t['gap'].min():.3f}: {text!r}"
    )
    return {
        "name": name,
        "pictures": files,
        "turns": [
            {"role": r, "parts": [{"text": p} if p else {"picture": True} for p in ps]}
            for r, ps in turns
        ],
        "max_tokens": max_tokens,
        "prompt_tokens": ids.shape[1],
        "image_tokens": int(types.sum()),
        "rope_delta": int(delta),
        "text": text,
    }


def run_cases(set_name, model_dir, cases, max_tokens):
    folder = os.path.join(GOLDEN, set_name)
    model = Glm4vForConditionalGeneration.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    processor = AutoProcessor.from_pretrained(model_dir)
    tokenizer = Glm4vTokenizer(model_dir)
    done = [run_case(model, processor, tokenizer, folder, c, max_tokens) for c in cases]
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as f:
        json.dump(
            {"model": os.path.relpath(model_dir, ROOT), "cases": done},
            f,
            ensure_ascii=False,
            indent=1,
        )
        f.write("\n")


def compact(spec, indent=""):
    """JSON with one line per innermost list or object"""
    if isinstance(spec, dict) and any(isinstance(v, (dict, list)) for v in spec.values()):
        rows = [f'{indent} "{k}": {compact(v, indent + " ")}' for k, v in spec.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    return json.dumps(spec)


def run_layers():
    """One layer of each tower at the widths of GLM-4.6V-Flash, weights from hashed.py"""
    from transformers.models.glm4v import modeling_glm4v as glm
    from transformers.models.glm4v.configuration_glm4v import Glm4vTextConfig, Glm4vVisionConfig

    folder = os.path.join(GOLDEN, "layers")
    os.makedirs(folder, exist_ok=True)
    spec = layer_tensors()
    tensor = lambda name: torch.from_numpy(fill(name, *spec["tensors"][name]))

    def load(module, prefix):
        for name, p in module.named_parameters():
            p.data = tensor(prefix + name)
        return module.eval()

    def probe(name):
        flat = tensor(name).flatten()
        return [float(flat[i]) for i in (0, 1, 2, -1)]

    spec["probe"] = {name: probe(name) for name in spec["tensors"]}
    out = {}
    t = spec["text_config"]
    config = Glm4vTextConfig(**t)
    config._attn_implementation = "eager"
    layer = load(glm.Glm4vTextDecoderLayer(config, 0), "text.")
    position = torch.tensor(spec["position_ids"])
    x = tensor("text.input")[None]
    rec = Recorder({"text.attention": layer.self_attn, "text.mlp": layer.mlp})
    mask = torch.full((len(x[0]), len(x[0])), float("-inf")).triu(1)[None, None]
    with torch.no_grad():
        rope = glm.Glm4vTextRotaryEmbedding(config)(x, position[:, None])
        out["text.output"] = first(layer(x, position_embeddings=rope, attention_mask=mask))[0]
    rec.close()
    out |= {k: v[0] for k, v in rec.out.items()}
    del layer

    config = Glm4vVisionConfig(**spec["vision_config"])
    config._attn_implementation = "eager"
    x = tensor("vision.input")
    gh, gw = spec["grid"]
    grid = torch.tensor([[1, gh, gw]])
    with torch.no_grad():
        block = load(glm.Glm4vVisionBlock(config), "vision.")
        place = glm.get_vision_position_ids(grid, 2, kwargs={})
        rope = glm.Glm4vVisionRotaryEmbedding(config)(x, place)
        ends = torch.tensor([0, len(x)], dtype=torch.int32)
        rec = Recorder({"vision.attention": block.attn})
        out["vision.output"] = first(
            block(x, cu_seqlens=ends, position_embeddings=rope, max_seqlen=len(x))
        )
        rec.close()
        out |= rec.out
        norm = load(
            glm.Glm4vRMSNorm(config.hidden_size, config.rms_norm_eps), "merge.post_layernorm."
        )
        down = load(
            torch.nn.Conv2d(config.hidden_size, config.out_hidden_size, 2, 2), "merge.downsample."
        )
        merger = glm.Glm4vVisionPatchMerger(
            config.out_hidden_size, config.intermediate_size, "silu"
        )
        merger = load(merger, "merge.merger.")
        y = norm(tensor("merge.input")).view(-1, 2, 2, config.hidden_size).permute(0, 3, 1, 2)
        out["merge.downsampled"] = down(y).flatten(1)
        out["merge.output"] = merger(out["merge.downsampled"])
    save_file(
        {k: v.contiguous().numpy() for k, v in out.items()},
        os.path.join(folder, "layers.safetensors"),
    )
    with open(os.path.join(folder, "layers.json"), "w", encoding="utf-8") as f:
        f.write(compact(spec))
        f.write("\n")
    for k, v in out.items():
        print(f"{k}: {tuple(v.shape)}, largest {v.abs().max():.3f}, std {v.std():.3f}")


def main():
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    wanted = sys.argv[1:] or ["default", "tiny", "layers"]
    if "default" in wanted:
        run_cases("default", os.path.join(ROOT, "models", "default"), DEFAULT_CASES, 96)
    if "tiny" in wanted:
        run_cases("tiny", os.path.join(GOLDEN, "tiny", "model"), TINY_CASES, 24)
    if "layers" in wanted:
        run_layers()


if __name__ == "__main__":
    main()
