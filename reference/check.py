"""python reference/check.py: the twin against tests/golden; prints the largest relative errors

relative error of a tensor = max |a - b| / max |b|,  b the golden one
"""

import json
import os
import sys

import numpy as np
from safetensors.numpy import load_file

from glm4v import Checkpoint, decoder_layer, generate, merge, mrope, vision_block
from glm4v import merge_order, mrope_positions, vision_rope
from hashed import fill
from preprocess import preprocess
from tokenizer import Glm4vTokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
GOLDEN = os.path.join(ROOT, "tests", "golden")
LIMIT = 1e-4


class Report:
    def __init__(self):
        self.worst, self.failed = {}, 0

    def close(self, stage, case, got, want):
        error = float(np.abs(got - want).max() / np.abs(want).max())
        self.worst[stage] = max(self.worst.get(stage, (0, "")), (error, case))
        self.verdict(stage, case, error <= LIMIT, f"{error:.2e}")

    def equal(self, stage, case, got, want):
        same = np.array_equal(got, want)
        self.worst[stage] = max(self.worst.get(stage, (0, "")), (0.0 if same else 1.0, case))
        self.verdict(stage, case, same, "differs")

    def verdict(self, stage, case, good, what):
        if not good:
            self.failed += 1
            print(f"FAILED {case} {stage}: {what}")


def check_set(report, name):
    folder = os.path.join(GOLDEN, name)
    with open(os.path.join(folder, "cases.json"), encoding="utf-8") as f:
        spec = json.load(f)
    model = os.path.join(ROOT, spec["model"])
    w, tokenizer = Checkpoint(model), Glm4vTokenizer(model)
    with open(os.path.join(model, "preprocessor_config.json"), encoding="utf-8") as f:
        config = json.load(f)
    depth, layers = w.config["vision_config"]["depth"], w.config["text_config"]["num_hidden_layers"]
    for case in spec["cases"]:
        g = load_file(os.path.join(folder, case["name"] + ".safetensors"))
        label = f"{name}/{case['name']}"
        pictures = [preprocess(os.path.join(folder, p), config) for p in case["pictures"]]
        turns = [(t["role"], [p.get("text") for p in t["parts"]]) for t in case["turns"]]
        ids = tokenizer.prompt(turns, [grid for _, grid in pictures])
        report.equal("input_ids", label, ids, g["input_ids"])
        positions, end = mrope_positions(
            ids, [grid for _, grid in pictures], w.config["image_token_id"]
        )
        report.equal("position_ids", label, positions, g["position_ids"])
        report.equal("rope_delta", label, end - len(ids), case["rope_delta"])
        stages = {}
        out = generate(w, ids, pictures, case["max_tokens"], stages)
        if pictures:
            report.equal("grid_thw", label, [[1, *grid] for _, grid in pictures], g["grid_thw"])
            rows = g["patch_rows"]
            report.close(
                "patches", label, np.concatenate([p for p, _ in pictures])[rows], g["patches"]
            )
            for key, i in (("first", 0), ("last", depth - 1)):
                got = np.concatenate([b[i] for b in stages["blocks"]])[rows]
                report.close(f"vision_block_{key}", label, got, g[f"vision_block_{key}"])
            report.close("vision_out", label, stages["vision"][g["vision_rows"]], g["vision_out"])
        for key, i in (("first", 0), ("last", layers - 1)):
            report.close(
                f"layer_{key}", label, stages["layers"][i][g["token_rows"]], g[f"layer_{key}"]
            )
        report.close("final_norm_last", label, stages["final_norm"], g["final_norm_last"])
        report.close("logits_last", label, stages["logits"], g["logits_last"])
        report.equal("generated", label, out, g["generated"])


class Hashed:
    """Stands where a Checkpoint does; makes each tensor when it is asked for."""

    def __init__(self, spec):
        self.tensors = {
            name.replace("merge.", "model.visual."): (name, t) for name, t in spec.items()
        }

    def __getitem__(self, name):
        stored, (shape, amplitude, mean) = self.tensors[name]
        return fill(stored, shape, amplitude, mean)

    linear = Checkpoint.linear


def check_layers(report):
    folder = os.path.join(GOLDEN, "layers")
    with open(os.path.join(folder, "layers.json"), encoding="utf-8") as f:
        spec = json.load(f)
    g, w = load_file(os.path.join(folder, "layers.safetensors")), Hashed(spec["tensors"])
    t, v = spec["text_config"], spec["vision_config"]
    cos, sin = mrope(np.array(spec["position_ids"]), t)
    x, _ = decoder_layer(w, "text.", w["text.input"], cos, sin, t)
    report.close("decoder layer, 9B widths", "layers", x, g["text.output"])
    cos, sin = vision_rope(*merge_order(*spec["grid"]), v["hidden_size"] // v["num_heads"])
    x = vision_block(w, "vision.", w["vision.input"], cos, sin, v["num_heads"], v["rms_norm_eps"])
    report.close("vision block, 9B widths", "layers", x, g["vision.output"])
    x = merge(w, w["model.visual.input"], v)
    report.close("merger, 9B widths", "layers", x, g["merge.output"])


def main():
    report = Report()
    for name in ("default", "tiny"):
        check_set(report, name)
    check_layers(report)
    print(f"{'stage':28}{'observed':>10}   worst case")
    for stage, (error, case) in report.worst.items():
        print(f"{stage:28}{error:10.2e}   {case if error else 'all exact'}")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
