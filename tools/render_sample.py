#!/usr/bin/env python3
"""Draw models/default/sample-listing.png: the poster of a food supplement, a capsule on it.

    tools/render_sample.py --font NotoSansCJKsc-Bold.otf models/default/sample-listing.png

The capsule is drawn, not pasted: two halves and a highlight, at several times the size and reduced.
Any bold Chinese font will do; the committed picture has Noto Sans CJK SC Bold. Needs Pillow.
"""

import argparse

from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE, SCALE = 448, 4
TOP, BOTTOM, INK = (252, 253, 250), (222, 240, 226), (24, 92, 58)
YELLOW, RED, SEAM, SHINE = (253, 216, 53), (244, 67, 54), (183, 28, 28), (255, 243, 214)
HEAD, FOOT = "健康好味道", "会员专享"


def paper():
    """A light vertical gradient"""
    ramp = Image.linear_gradient("L").resize((SIZE * SCALE, SIZE * SCALE))
    return Image.composite(
        Image.new("RGB", ramp.size, BOTTOM), Image.new("RGB", ramp.size, TOP), ramp
    )


def capsule(length, width):
    """A capsule lying along x, turned by 45 degrees. -> RGBA, length x length"""
    k = 2 * SCALE
    side, h = length * k, width * k
    box = (0, (side - h) // 2, side - 1, (side + h) // 2 - 1)
    body = Image.new("L", (side, side))
    ImageDraw.Draw(body).rounded_rectangle(box, h // 2, fill=255)
    im = Image.new("RGB", (side, side), RED)
    d = ImageDraw.Draw(im)
    d.rectangle((0, 0, side // 2, side), fill=YELLOW)
    d.rectangle((side // 2 - h // 36, 0, side // 2 + h // 36, side), fill=SEAM)
    shine = box[1] + h // 5
    d.rounded_rectangle((side // 5, shine, side * 4 // 5, shine + h // 8), h // 16, fill=SHINE)
    im.putalpha(body)
    return im.rotate(-45, Image.BICUBIC).resize((length * SCALE, length * SCALE), Image.LANCZOS)


def centred(d, y, text, font):
    left, top, right, _ = font.getbbox(text)
    d.text(((SIZE * SCALE - right + left) / 2 - left, y * SCALE - top), text, font=font, fill=INK)


def poster(font_file):
    im = paper()
    d = ImageDraw.Draw(im)
    centred(d, 304, HEAD, ImageFont.truetype(font_file, 46 * SCALE))
    centred(d, 372, FOOT, ImageFont.truetype(font_file, 32 * SCALE))
    pill = capsule(262, 104)
    at = (im.width - pill.width) // 2, 24 * SCALE
    shadow = Image.new("L", im.size)
    shadow.paste(
        pill.getchannel("A").point(lambda a: a // 5), (at[0] + 5 * SCALE, at[1] + 9 * SCALE)
    )
    shadow = shadow.filter(ImageFilter.GaussianBlur(7 * SCALE))
    im.paste(INK, mask=shadow)
    im.paste(pill, at, pill)
    return im.resize((SIZE, SIZE), Image.LANCZOS)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--font", required=True)
    p.add_argument("out")
    a = p.parse_args()
    poster(a.font).save(a.out, optimize=True)


if __name__ == "__main__":
    main()
