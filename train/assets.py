#!/usr/bin/env python3
"""Fonts and pictured objects for the scenes, from Debian packages or from a folder.

    train/assets.py             says what is there, and which packages to install when some is not
    train/assets.py --assets DIR

Debian: the packages of train/packages.txt. The objects are the bitmaps of Noto Color Emoji, under
the names of world/objects.tsv. A few objects of that table are left out, because the font builds
them from several code points or is older than they are: drawing those would depend on the shaping
libraries of the machine, and scenes must not.

A folder (--assets) holds
    fonts/           one file per face, named as in FACES
    emoji.npz        `img`: uint8 [objects, variants, 64, 64, 4], RGBA
    emoji.json       [[Chinese name, English name, group], ...], an entry per row of `img`
    chars.txt        optional: the Chinese characters that random text is made of
    photos/          optional: photographs

Photographs are backgrounds, and pictures with nothing in them that the model has a name for. Those
of the packages that world/photographs.tsv names are taken where they are installed; a scene is drawn
without when there are none.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = os.path.dirname(os.path.abspath(__file__))
OBJECT_TABLE = os.path.join(HERE, "world", "objects.tsv")
PHOTO_TABLE = os.path.join(HERE, "world", "photographs.tsv")
DEBIAN_SHARE = "/usr/share"
DEBIAN_FONTS = "/usr/share/fonts"

Face = tuple[str, str, int]  # Debian package, file below DEBIAN_FONTS, index in a collection

_CJK = {
    "sans.otf": ("fonts-noto-cjk", "opentype/noto/NotoSansCJK-Regular.ttc", 2),
    "sansb.otf": ("fonts-noto-cjk", "opentype/noto/NotoSansCJK-Bold.ttc", 2),
    "serif.otf": ("fonts-noto-cjk", "opentype/noto/NotoSerifCJK-Regular.ttc", 2),
    "serifb.otf": ("fonts-noto-cjk", "opentype/noto/NotoSerifCJK-Bold.ttc", 2),
    "kai.ttf": ("fonts-arphic-ukai", "truetype/arphic/ukai.ttc", 0),
    "ming.ttf": ("fonts-arphic-uming", "truetype/arphic/uming.ttc", 0),
    "micro.ttf": ("fonts-wqy-microhei", "truetype/wqy/wqy-microhei.ttc", 0),
    "zen.ttf": ("fonts-wqy-zenhei", "truetype/wqy/wqy-zenhei.ttc", 0),
}
_LATIN = {
    os.path.basename(file): (package, f"truetype/{file}", 0)
    for package, file in (
        ("fonts-dejavu-core", "dejavu/DejaVuSans-Bold.ttf"),
        ("fonts-dejavu-core", "dejavu/DejaVuSerif.ttf"),
        ("fonts-dejavu-core", "dejavu/DejaVuSansMono.ttf"),
        ("fonts-lato", "lato/Lato-Heavy.ttf"),
        ("fonts-lato", "lato/Lato-Regular.ttf"),
        ("fonts-liberation", "liberation/LiberationSerif-Regular.ttf"),
        ("fonts-open-sans", "open-sans/OpenSans-Semibold.ttf"),
        ("fonts-roboto-unhinted", "roboto/unhinted/RobotoTTF/Roboto-Regular.ttf"),
        ("fonts-roboto-unhinted", "roboto/unhinted/RobotoCondensed-Bold.ttf"),
    )
}
FACES = _CJK | _LATIN
# Faces that no training scene was drawn with, to measure with: each stands in for those of FACES
# that write the same script.
_UNSEEN_CJK = {
    "wenkai.ttf": ("fonts-lxgw-wenkai", "truetype/lxgw-wenkai/LXGWWenKai-Regular.ttf", 0),
    "wenkaib.ttf": ("fonts-lxgw-wenkai", "truetype/lxgw-wenkai/LXGWWenKai-Bold.ttf", 0),
    "wenkail.ttf": ("fonts-lxgw-wenkai", "truetype/lxgw-wenkai/LXGWWenKai-Light.ttf", 0),
    "sungti.ttf": ("fonts-arphic-gbsn00lp", "truetype/arphic-gbsn00lp/gbsn00lp.ttf", 0),
}
_UNSEEN_LATIN = {
    "carlito.ttf": ("fonts-crosextra-carlito", "truetype/crosextra/Carlito-Regular.ttf", 0),
    "caladea.ttf": ("fonts-crosextra-caladea", "truetype/crosextra/Caladea-Regular.ttf", 0),
    "freesans.ttf": ("fonts-freefont-ttf", "truetype/freefont/FreeSansBold.ttf", 0),
}
UNSEEN_FACES = {
    face: list(others.values())[i % len(others)]
    for seen, others in ((_CJK, _UNSEEN_CJK), (_LATIN, _UNSEEN_LATIN))
    for i, face in enumerate(seen)
}
CJK_FACES, LATIN_FACES = tuple(_CJK), tuple(_LATIN)
EMOJI_FONT = ("fonts-noto-color-emoji", "truetype/noto/NotoColorEmoji.ttf")

EMOJI_STRIKE_PX = 109  # the one size the font's bitmaps come in
EMOJI_BOX = (4, 0, 132, 128)  # the drawing within a bitmap of 136 x 128
OBJECT_SIDE_PX = 64
PHOTO_SIDE_PX = 900  # of the longer side, as photographs are kept
FONTS_OPEN_MAX = 600
PHOTOS_OPEN_MAX = 100

OpenFont = Callable[[str, int], ImageFont.FreeTypeFont]


class MissingAssets(Exception):
    """Something to draw with is not on this machine; the text says what to install."""


@dataclass(frozen=True)
class PicturedObject:
    zh: str
    en: str
    art: np.ndarray  # uint8 [variants, 64, 64, 4], RGBA


class Assets:
    """What scenes are drawn with. `font(face, size_px)` opens a face of FACES, `photo(i)` a file of
    `photos`."""

    def __init__(
        self,
        open_font: OpenFont,
        objects: Sequence[PicturedObject],
        hanzi: str,
        photos: Sequence[str] = (),
    ):
        self.font: OpenFont = functools.lru_cache(FONTS_OPEN_MAX)(open_font)
        self.objects = {thing.zh: thing for thing in objects}
        self.hanzi = hanzi
        self.photos = tuple(photos)
        self.photo = functools.lru_cache(PHOTOS_OPEN_MAX)(self._open_photo)

    def _open_photo(self, number: int) -> Image.Image:
        with Image.open(self.photos[number]) as opened:
            photo = opened.convert("RGB")
        photo.thumbnail((PHOTO_SIDE_PX, PHOTO_SIDE_PX))
        return photo


def read_object_table() -> list[tuple[str, str, str]]:
    """(characters, Chinese name, English name) of every object the scenes know."""
    with open(OBJECT_TABLE, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [
        ("".join(chr(int(code, 16)) for code in codes.split()), zh, en) for codes, zh, en in rows
    ]


def common_hanzi(names: Sequence[str]) -> str:
    """The 3,755 characters of GB 2312 level 1, and those of the objects' names; by code point."""
    level_1 = (
        bytes((0xA0 + row, 0xA0 + cell))
        for row in range(16, 56)
        for cell in range(1, 95 if row < 55 else 90)
    )
    characters = {code.decode("gb2312") for code in level_1}.union(*names)
    return "".join(sorted(char for char in characters if is_hanzi(char)))


def is_hanzi(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"


# ---- Debian packages ----------------------------------------------------------------------------


def missing_packages(faces: Mapping[str, Face] = FACES) -> list[str]:
    needed = [(package, path) for package, path, _ in faces.values()] + [EMOJI_FONT]
    return sorted(
        {package for package, path in needed if not os.path.exists(f"{DEBIAN_FONTS}/{path}")}
    )


def debian_fonts(faces: Mapping[str, Face]) -> OpenFont:
    def open_font(face: str, size_px: int) -> ImageFont.FreeTypeFont:
        _, path, index = faces[face]
        return open_font_file(f"{DEBIAN_FONTS}/{path}", size_px, index)

    return open_font


def open_font_file(path: str, size_px: int, index: int = 0) -> ImageFont.FreeTypeFont:
    # The basic layout: the other one needs a library that Pillow looks for on the machine.
    return ImageFont.truetype(path, size_px, index, layout_engine=ImageFont.Layout.BASIC)


def draw_emoji(font: ImageFont.FreeTypeFont, char: str) -> np.ndarray | None:
    """uint8 [1, 64, 64, 4], or None when the font has no bitmap for it."""
    glyph = Image.new("RGBA", (EMOJI_BOX[2] + 4, EMOJI_BOX[3]))
    ImageDraw.Draw(glyph).text((0, 0), char, font=font, embedded_color=True)
    if glyph.getbbox() is None:
        return None
    side = (OBJECT_SIDE_PX, OBJECT_SIDE_PX)
    return np.asarray(glyph.crop(EMOJI_BOX).resize(side, Image.Resampling.BILINEAR))[None]


def debian_photos() -> list[str]:
    with open(PHOTO_TABLE, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    paths = [os.path.join(DEBIAN_SHARE, path) for _, path in rows]
    return [path for path in paths if os.path.exists(path)]


def load_debian(faces: Mapping[str, Face] = FACES) -> Assets:
    missing = missing_packages(faces)
    if missing:
        raise MissingAssets(
            "fonts are missing; install them with\n"
            f"    apt-get install -y --no-install-recommends {' '.join(missing)}\n"
            "or name a folder that has them with --assets"
        )
    font = open_font_file(f"{DEBIAN_FONTS}/{EMOJI_FONT[1]}", EMOJI_STRIKE_PX)
    table = read_object_table()
    objects = []
    for chars, zh, en in table:
        art = draw_emoji(font, chars) if len(chars) == 1 else None
        if art is not None:
            objects.append(PicturedObject(zh, en, art))
    hanzi = common_hanzi([zh for _, zh, _ in table])
    return Assets(debian_fonts(faces), objects, hanzi, debian_photos())


# ---- a folder -----------------------------------------------------------------------------------


def load_folder(folder: str) -> Assets:
    """Only the objects that objects.tsv names are taken."""
    fonts = os.path.join(folder, "fonts")
    wanted = [os.path.join(fonts, face) for face in FACES]
    wanted += [os.path.join(folder, name) for name in ("emoji.json", "emoji.npz")]
    missing = [path for path in wanted if not os.path.exists(path)]
    if missing:
        raise MissingAssets(f"{missing[0]} is missing, and {len(missing) - 1} files more")
    with open(os.path.join(folder, "emoji.json"), encoding="utf-8") as file:
        names = json.load(file)
    art = np.load(os.path.join(folder, "emoji.npz"))["img"]
    known = {zh for _, zh, _ in read_object_table()}
    objects = [PicturedObject(zh, en, art[i]) for i, (zh, en, _) in enumerate(names) if zh in known]
    hanzi = common_hanzi([thing.zh for thing in objects])
    if os.path.exists(path := os.path.join(folder, "chars.txt")):
        with open(path, encoding="utf-8") as file:
            hanzi = "".join(filter(is_hanzi, file.read()))
    photos = os.path.join(folder, "photos")
    return Assets(
        lambda face, size_px: open_font_file(os.path.join(fonts, face), size_px),
        objects,
        hanzi,
        [os.path.join(photos, name) for name in sorted(os.listdir(photos))]
        if os.path.isdir(photos)
        else (),
    )


def load(folder: str | None = None) -> Assets:
    """From a folder, or from Debian's packages; raises MissingAssets."""
    return load_folder(folder) if folder else load_debian()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--assets", metavar="DIR", help="this folder instead of Debian's packages")
    try:
        assets = load(parser.parse_args().assets)
    except MissingAssets as error:
        print(f"assets: {error}", file=sys.stderr)
        return 1
    table = [zh for _, zh, _ in read_object_table()]
    absent = [zh for zh in table if zh not in assets.objects]
    print(f"faces    {len(FACES)}")
    print(f"objects  {len(assets.objects)} of {len(table)}, without {'、'.join(absent) or 'none'}")
    print(f"hanzi    {len(assets.hanzi)}")
    print(f"photos   {len(assets.photos)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
