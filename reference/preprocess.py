"""From a picture file to patches: what the vision tower eats.

    load -> EXIF orientation -> alpha on white -> smart_resize -> bicubic -> normalise -> patchify

The resize is torchvision's native uint8 antialiased bicubic (the backend of transformers'
Glm46VImageProcessor on a CPU), reproduced bit for bit. Pillow's bicubic differs from it by a
level here and there and is not the reference.
"""

import functools
import math

import numpy as np
from PIL import Image, ImageOps

PATCH, MERGE, FRAMES = 14, 2, 2
FACTOR = PATCH * MERGE


def load_rgb(file):
    """Decode, turn upright, put transparency on white. -> uint8 [H, W, 3]"""
    im = ImageOps.exif_transpose(Image.open(file))
    if "A" in im.getbands() or im.info.get("transparency") is not None:
        a = np.asarray(im.convert("RGBA")).astype(np.int32)
        v = a[..., :3] * a[..., 3:] + 255 * (255 - a[..., 3:]) + 128
        return ((v + (v >> 8)) >> 8).astype(np.uint8)
    return np.asarray(im.convert("RGB"))


def smart_resize(height, width, min_pixels, max_pixels):
    """The size a picture is resized to; the bounds count the two frames of a temporal patch."""
    if height < FACTOR or width < FACTOR:
        scale = max(FACTOR / height, FACTOR / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) / min(height, width) > 200:
        raise ValueError("aspect ratio above 200")
    h = round(height / FACTOR) * FACTOR  # Python rounds halves to even: 42 -> 56, 70 -> 56
    w = round(width / FACTOR) * FACTOR
    if FRAMES * h * w > max_pixels:
        beta = math.sqrt(FRAMES * height * width / max_pixels)
        h = max(FACTOR, math.floor(height / beta / FACTOR) * FACTOR)
        w = max(FACTOR, math.floor(width / beta / FACTOR) * FACTOR)
    elif FRAMES * h * w < min_pixels:
        beta = math.sqrt(min_pixels / (FRAMES * height * width))
        h = math.ceil(height * beta / FACTOR) * FACTOR
        w = math.ceil(width * beta / FACTOR) * FACTOR
    return h, w


def cubic(x):
    """Keys' kernel, a = -0.5"""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0


def resample_weights(n_in, n_out):
    """-> ([(first input index, int16 weights)] per output, bits of the weights' fraction)"""
    scale = n_in / n_out
    support, inv = 2.0 * max(scale, 1.0), 1.0 / max(scale, 1.0)
    rows, largest = [], 0.0
    for i in range(n_out):
        center = scale * (i + 0.5)
        lo = max(int(center - support + 0.5), 0)
        n = min(min(int(center + support + 0.5), n_in) - lo, math.ceil(support) * 2 + 1)
        w = [cubic((lo + j - center + 0.5) * inv) for j in range(n)]
        total = functools.reduce(float.__add__, w)  # in order; sum() may compensate
        rows.append((lo, [v / total for v in w]))
        largest = max(largest, *rows[-1][1])
    bits = 0  # as many as keep the axis' largest weight inside an int16
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    quant = [[int(v * (1 << bits) + (0.5 if v >= 0 else -0.5)) for v in w] for _, w in rows]
    return [(lo, np.array(q, np.int64)) for (lo, _), q in zip(rows, quant)], bits


def resize_rows(a, n_out):
    """Resample axis 0; rounds and clamps to uint8. An axis that keeps its size is not filtered."""
    if a.shape[0] == n_out:
        return a
    rows, bits = resample_weights(a.shape[0], n_out)
    out = np.empty((n_out,) + a.shape[1:], np.uint8)
    for i, (lo, w) in enumerate(rows):
        acc = (1 << (bits - 1)) + np.tensordot(w, a[lo : lo + len(w)].astype(np.int64), 1)
        out[i] = np.clip(acc >> bits, 0, 255)
    return out


def resize(a, height, width):
    """uint8 [H, W, 3] -> uint8 [height, width, 3]: columns first, then rows"""
    return resize_rows(resize_rows(a.transpose(1, 0, 2), width).transpose(1, 0, 2), height)


def patchify(a, mean, std):
    """uint8 [H, W, 3] -> F32 [patches, 3 * 14 * 14], each 2x2 merge block contiguous

    The published layout repeats each patch for two frames (1,176 values); a still image's frames
    are equal, so the twin and glint keep one and add the two halves of the kernel instead.
    """
    mean, std = np.float32(mean) * np.float32(255), np.float32(std) * np.float32(255)
    h, w = a.shape[0] // FACTOR, a.shape[1] // FACTOR
    x = ((a.astype(np.float32) - mean) / std).transpose(2, 0, 1)
    x = x.reshape(3, h, MERGE, PATCH, w, MERGE, PATCH).transpose(1, 4, 2, 5, 0, 3, 6)
    return np.ascontiguousarray(x).reshape(h * w * MERGE * MERGE, 3 * PATCH * PATCH)


def preprocess(file, config):
    """-> patches F32 [gh * gw, 588], (gh, gw) in patches; config: preprocessor_config.json"""
    a = load_rgb(file)
    size = config["size"]
    h, w = smart_resize(*a.shape[:2], size["shortest_edge"], size["longest_edge"])
    patches = patchify(resize(a, h, w), config["image_mean"], config["image_std"])
    return patches, (h // PATCH, w // PATCH)
