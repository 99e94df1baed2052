"""python reference/compare_answers.py MODEL_DIR SCENES REPORT: a server's answers beside transformers'

REPORT is what `glint bench quality SCENES --json` printed: an answer that it does not list as wrong was
the right one, so that every answer is known. transformers (F32, greedy, pictures through its own
processor) answers the same questions. A verdict is compared as the text the model wrote.
"""

import argparse
import json
import os
import sys
import time

import torch
from PIL import Image
from transformers import AutoTokenizer, Glm46VImageProcessor, Glm4vForConditionalGeneration

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("model")
p.add_argument("scenes")
p.add_argument("report")
p.add_argument("--limit", type=int, default=10**9, help="most questions")
p.add_argument("--every", type=int, default=1, help="every n-th question")
p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
a = p.parse_args()

with open(os.path.join(a.scenes, "cases.json"), encoding="utf-8") as f:
    cases = json.load(f)[:: a.every][: a.limit]
with open(a.report, encoding="utf-8") as f:
    wrong = {(w["image"], w["task"], w["prompt"]): w.get("got") for w in json.load(f)["wrong"]}

dtype = getattr(torch, a.dtype)
model = Glm4vForConditionalGeneration.from_pretrained(a.model, dtype=dtype).eval()
processor = Glm46VImageProcessor.from_pretrained(a.model)
tokenizer = AutoTokenizer.from_pretrained(a.model)
special = tokenizer.convert_tokens_to_ids


def ids_of(text):
    return tokenizer.encode(text, add_special_tokens=False)


def prompt_ids(prompt, n_visual):
    picture = [special("<|begin_of_image|>"), *[special("<|image|>")] * n_visual, special("<|end_of_image|>")]
    return [special("[gMASK]"), special("<sop>"), special("<|user|>"), *ids_of("\n"), *picture, *ids_of(prompt),
            special("<|assistant|>"), *ids_of("\n")]


@torch.no_grad()
def answer(pixels, grid, prompt):
    ids = torch.tensor([prompt_ids(prompt, int(grid[0, 1] * grid[0, 2]) // 4)])
    new = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, image_grid_thw=grid,
        mm_token_type_ids=(ids == special("<|image|>")).int(), max_new_tokens=512, do_sample=False,
    )[0, ids.shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True)


same, started, picture = 0, time.monotonic(), None
for i, case in enumerate(cases):
    if picture != case["image"]:
        picture = case["image"]
        with Image.open(os.path.join(a.scenes, picture)) as opened:
            seen = processor(images=[opened.convert("RGB")], return_tensors="pt")
        pixels, grid = seen["pixel_values"].to(dtype), seen["image_grid_thw"]
    key = (case["image"], case["task"], case["prompt"])
    theirs, ours = answer(pixels, grid, case["prompt"]), wrong.get(key, case["answer"])
    same += theirs == ours
    if theirs != ours:
        print(f"{picture} {case['task']} {case['prompt']!r}\n  transformers {theirs!r}\n  glint        {ours!r}\n"
              f"  right        {case['answer']!r}")
    if (i + 1) % 50 == 0:
        print(f"{i + 1} of {len(cases)}, {same} equal, {time.monotonic() - started:.0f} s", file=sys.stderr)
print(f"{same} of {len(cases)} answers equal: {100 * same / len(cases):.2f} %")
