"""What may happen to a picture on its way to the model: to measure with, not to train on."""

import io
from collections.abc import Callable
from random import Random

from PIL import Image, ImageFilter

JPEG_QUALITY = 30
TURN_DEGREES = 5
BLUR_RADIUS_PX = 1.2
SIDE_PX = (150, 1600)  # of the longest side, after rescaling


def _jpeg(picture: Image.Image, rng: Random) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return Image.open(encoded).convert("RGB")


def _rescale(picture: Image.Image, rng: Random) -> Image.Image:
    """Enlarged and reduced by as much as equally often: the side is even on a logarithmic scale."""
    least, most = SIDE_PX
    side = least * (most / least) ** rng.random()
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _turn(picture: Image.Image, rng: Random) -> Image.Image:
    angle = rng.choice([-TURN_DEGREES, TURN_DEGREES])
    paper = picture.getpixel((1, 1))
    return picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=paper)


def _blur(picture: Image.Image, rng: Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(BLUR_RADIUS_PX))


SPOILS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "jpeg": _jpeg,
    "scale": _rescale,
    "turn": _turn,
    "blur": _blur,
}
