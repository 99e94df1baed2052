"""python reference/make_resize_cases.py: everything in tests/golden/resize

smart_resize.csv: height,width,min_pixels,max_pixels,out_height,out_width by transformers; an aspect
ratio it refuses has 0,0. The bounds are those of the published and of the default checkpoints.

pictures.safetensors: NN.in uint8 [H, W, 3], NN.out uint8 [h, w, 3] by torchvision's native uint8
bicubic with antialiasing, the way transformers' image processor calls it.
"""

import os
import random

import numpy as np
import torch
from safetensors.numpy import save_file
from torchvision.transforms.v2 import functional as F
from transformers.models.glm46v.image_processing_glm46v import smart_resize

import preprocess

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "resize")
BOUNDS = [(12544, 9633792), (12544, 401408), (12544, 28 * 28 * 15000), (50176, 200704)]
NAMED = [(4000, 6000), (3000, 4000), (3000, 3000), (4000, 5000), (2200, 1700), (100, 100), (1, 1), (27, 28), (28, 27),
         (200, 1), (201, 1), (1, 200), (1, 201), (28, 5600), (28, 5601), (27, 5400), (42, 42), (70, 70), (98, 98), (42, 70),
         (14, 14), (56, 56), (112, 112), (448, 448), (449, 447), (512, 512), (1024, 1024), (1, 65535), (65535, 65535)]  # fmt: skip
# in height, in width, out height, out width
PICTURES = [(1, 1, 28, 28), (2, 3, 28, 56), (1, 30, 28, 84), (28, 28, 28, 28), (28, 40, 28, 28), (40, 28, 28, 28),
            (27, 29, 56, 56), (30, 30, 112, 84), (50, 70, 28, 56), (64, 64, 56, 56), (57, 55, 56, 56), (100, 100, 28, 28),
            (90, 60, 84, 56), (7, 300, 28, 84), (300, 5, 56, 28), (120, 33, 28, 140), (56, 84, 112, 168), (150, 97, 84, 56)]  # fmt: skip


def write_smart_resize():
    r = random.Random(7)
    sizes = [(h, w, b) for h, w in NAMED for b in BOUNDS]
    while len(sizes) < 500:
        top = r.choice([30, 120, 700, 3000, 12000])
        sizes.append((r.randint(1, top), r.randint(1, top), r.choice(BOUNDS)))
    with open(os.path.join(OUT, "smart_resize.csv"), "w", encoding="ascii") as f:
        f.write("height,width,min_pixels,max_pixels,out_height,out_width\n")
        for h, w, (lo, hi) in sizes:
            try:
                out = smart_resize(2, h, w, min_pixels=lo, max_pixels=hi)
            except ValueError:
                out = (0, 0)
            try:
                twin = preprocess.smart_resize(h, w, lo, hi)
            except ValueError:
                twin = (0, 0)
            assert twin == out, (h, w, lo, hi, twin, out)
            f.write(f"{h},{w},{lo},{hi},{out[0]},{out[1]}\n")
    print(f"smart_resize.csv: {len(sizes)} rows")


def write_pictures():
    g, tensors = np.random.default_rng(8), {}
    for i, (h, w, oh, ow) in enumerate(PICTURES):
        a = g.integers(0, 256, (h, w, 3), dtype=np.uint8)
        if i % 3 == 1:  # black and white noise overshoots most
            a = (a > 127).astype(np.uint8) * 255
        if i % 3 == 2:  # a smooth ramp
            a = (
                np.add.outer(np.linspace(0, 160, h), np.linspace(0, 95, w))[..., None]
                .repeat(3, 2)
                .astype(np.uint8)
            )
        x = torch.from_numpy(a).permute(2, 0, 1)
        out = F.resize(x, (oh, ow), interpolation=F.InterpolationMode.BICUBIC, antialias=True)
        out = out.permute(1, 2, 0).contiguous().numpy()
        assert np.array_equal(preprocess.resize(a, oh, ow), out), (h, w, oh, ow)
        tensors |= {f"{i:02}.in": a, f"{i:02}.out": out}
    path = os.path.join(OUT, "pictures.safetensors")
    save_file(tensors, path)
    os.chmod(path, 0o644)
    print(f"pictures.safetensors: {len(PICTURES)} pictures, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    write_smart_resize()
    write_pictures()
