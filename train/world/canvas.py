"""A picture being drawn: backgrounds, text that is fitted and noted, objects, wear and tear."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from assets import CJK_FACES, LATIN_FACES, Assets
from world.stage import Glyph, Mark, Placed
from world.words import is_cjk

Colour = tuple[int, int, int]

# (height, width) with their frequency; multiples of 28 px, the side of a visual token.
SIZES = ((336, 336),) * 10 + ((280, 336),) * 4 + ((448, 448),) * 4

COLOURS: dict[str, Colour] = {
    "红色": (220, 40, 40),
    "橙色": (245, 140, 30),
    "黄色": (250, 215, 50),
    "绿色": (50, 160, 70),
    "蓝色": (45, 100, 220),
    "紫色": (130, 60, 180),
    "粉色": (250, 160, 190),
    "白色": (252, 252, 252),
    "黑色": (20, 20, 22),
    "灰色": (150, 150, 150),
}
COLOUR_NAMES_EN = dict(
    zip(COLOURS, "red orange yellow green blue purple pink white black gray".split(), strict=True)
)
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

PHOTO = "照片"  # where a background's colour would be named
PHOTO_SHARE = 0.08  # of the backgrounds
FONT_PX_MIN = 13
INK_TRIES = 20


@dataclass(frozen=True)
class Line:
    """Text in a font, and the box of its ink relative to the origin it is drawn at [px]."""

    text: str
    font: ImageFont.FreeTypeFont
    box: tuple[int, int, int, int]

    @staticmethod
    def of(text: str, font: ImageFont.FreeTypeFont) -> "Line":
        left, top, right, bottom = map(int, font.getbbox(text))  # whole in the basic layout
        return Line(text, font, (left, top, right, bottom))

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]


class Canvas:
    """Draws, and notes where each character and each object landed."""

    def __init__(self, assets: Assets, rng: Random, picture: Image.Image):
        self.assets, self.rng, self.picture = assets, rng, picture
        self.width, self.height = picture.size
        self.pen = ImageDraw.Draw(picture)
        self.glyphs: list[Glyph] = []
        self.placed: list[Placed] = []
        self.marks: list[Mark] = []

    def fit(self, text: str, size_px: int, width_max: float) -> Line:
        """In a random face that has the characters, smaller if need be to fit the width."""
        latin_will_do = not is_cjk(text) and self.rng.random() >= 0.3
        face = self.rng.choice(LATIN_FACES if latin_will_do else CJK_FACES)
        while True:
            line = Line.of(text, self.assets.font(face, size_px))
            if line.width <= width_max or size_px <= FONT_PX_MIN:
                return line
            size_px -= 2

    def write(self, line: Line, left: float, top: float, fill: Colour) -> None:
        """The ink's box begins at (left, top)."""
        self.write_at(line, left - line.box[0], top - line.box[1], fill)

    def write_legibly(
        self, line: Line, left: float, top: float, paper: Colour | None, plate_share: float
    ) -> None:
        """In an ink that shows on the paper, or on a white plate; on no one colour always so."""
        fill = ink(self.rng, paper or WHITE)
        if paper is None or self.rng.random() < plate_share:
            plate = (left - 5, top - 3, left + line.width + 5, top + line.height + 4)
            self.pen.rectangle(plate, fill=WHITE)
            fill = ink(self.rng, WHITE)
        self.write(line, left, top, fill)

    def write_at(self, line: Line, x: float, y: float, fill: Colour) -> None:
        """The origin of the text is (x, y)."""
        self.pen.text((x, y), line.text, font=line.font, fill=fill)
        middle = y + (line.box[1] + line.box[3]) / 2
        for i, char in enumerate(line.text):
            if char != " ":
                before = line.font.getlength(line.text[:i])
                self.glyphs.append(Glyph(x + before + line.font.getlength(char) / 2, middle, char))

    def put(self, zh: str, x: float, y: float, side: int) -> None:
        """An object with its middle at (x, y): one of its pictures, some turned, some mirrored."""
        art = self.assets.objects[zh].art
        picture = Image.fromarray(art[self.rng.randrange(len(art))])
        if self.rng.random() < 0.25:
            picture = picture.rotate(self.rng.uniform(-18, 18), Image.Resampling.BILINEAR)
        if self.rng.random() < 0.3:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture = picture.resize((side, side), Image.Resampling.BICUBIC)
        self.picture.paste(picture, (int(x - side / 2), int(y - side / 2)), picture)
        self.placed.append(Placed(x, y, side, zh))
        self.marks.append(Mark(x, y, "object"))

    def finish(self) -> np.ndarray:
        """The picture as it comes out of the world: some turned, blurred, re-encoded, noisy."""
        rng, picture = self.rng, self.picture
        if rng.random() < 0.15:
            picture = picture.rotate(
                rng.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=picture.getpixel((1, 1))
            )
        if rng.random() < 0.1:
            smaller = rng.uniform(0.6, 0.95)
            reduced = (int(picture.width * smaller), int(picture.height * smaller))
            picture = picture.resize(reduced, Image.Resampling.BICUBIC)
            picture = picture.resize((self.width, self.height), Image.Resampling.BICUBIC)
        if rng.random() < 0.12:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))
        if rng.random() < 0.3:
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=rng.randint(45, 92))
            picture = Image.open(encoded)
        pixels = np.asarray(picture.convert("RGB"), np.uint8)
        if rng.random() < 0.25:
            noise = np_rng(rng).integers(-9, 10, pixels.shape, np.int16)
            pixels = np.clip(pixels.astype(np.int16) + noise, 0, 255).astype(np.uint8)
        return pixels


def np_rng(rng: Random) -> np.random.Generator:
    return np.random.default_rng(rng.getrandbits(32))


def photograph(assets: Assets, rng: Random, width: int, height: int) -> Image.Image:
    """A part of one of the photographs, perhaps mirrored, lighter or darker."""
    whole = assets.photo(rng.randrange(len(assets.photos)))
    share = rng.uniform(0.35, 1) * min(whole.width / width, whole.height / height)
    cut_width, cut_height = int(width * share), int(height * share)
    left, top = rng.randint(0, whole.width - cut_width), rng.randint(0, whole.height - cut_height)
    part = whole.resize(
        (width, height), Image.Resampling.BICUBIC, (left, top, left + cut_width, top + cut_height)
    )
    if rng.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return ImageEnhance.Brightness(part).enhance(rng.uniform(0.7, 1.2))


def background(assets: Assets, rng: Random) -> tuple[Image.Image, str, Colour | None]:
    """A picture of one colour or nearly so, the colour's Chinese name, the colour; or a part of a
    photograph, PHOTO, None."""
    height, width = rng.choice(SIZES)
    if assets.photos and rng.random() < PHOTO_SHARE:
        return photograph(assets, rng, width, height), PHOTO, None
    name = rng.choice(list(COLOURS)) if rng.random() < 0.75 else "白色"
    red, green, blue = (max(0, min(255, v + rng.randint(-18, 18))) for v in COLOURS[name])
    picture = Image.new("RGB", (width, height), (red, green, blue))
    if rng.random() < 0.25:
        downwards = rng.random() < 0.5
        ramp = np.linspace(0, 1, height if downwards else width, dtype=np.float32)
        ramp *= rng.uniform(-28, 28)
        pixels = np.asarray(picture, np.float32)
        pixels = pixels + (ramp[:, None, None] if downwards else ramp[None, :, None])
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return picture, name, (red, green, blue)


def ink(rng: Random, paper: Colour) -> Colour:
    """A colour that can be read on `paper`."""
    for _ in range(INK_TRIES):
        named = rng.random() < 0.7
        colour = rng.choice(list(COLOURS.values())) if named else random_colour(rng)
        if _contrast(colour, paper) > 75:
            return colour
    return BLACK if _contrast(BLACK, paper) > 110 else WHITE


def random_colour(rng: Random) -> Colour:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)


def _contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """Difference in luma, 0 to 255."""
    return abs(0.3 * (one[0] - other[0]) + 0.59 * (one[1] - other[1]) + 0.11 * (one[2] - other[2]))
