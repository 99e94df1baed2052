"""python reference/check_sample.py: is the sample listing's verdict the same however it is asked?

Every wording below on the picture as committed, then a few wordings on it scaled to many sizes and
stored as PNG and as JPEG. Prints what differs and the counts; about 3 minutes on two cores.
"""

import io
import json
import os
import sys

from PIL import Image

import glm4v
from preprocess import preprocess
from tokenizer import Glm4vTokenizer

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "default")
REASONS = [
    "图像中出现疑似处方药包装，属于平台禁售品类",
    "标题声称“特效药根治糖尿病”违反广告法相关规定",
]
LONG = "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"
BODIES = [
    LONG,
    LONG.replace("，", ","),
    LONG.replace("，", ",").replace("、", ",").replace("。", "."),
    LONG.replace("。", ""),
    "请审核这张商品图片是否合规。",
    "审核该商品。",
    "该商品是否存在违规内容？",
    "该商品是否存在违规内容?",
    "判断该商品图文是否违规，并给出理由。",
    "Does this product listing violate the policy?",
    "Audit this product listing.",
]
TITLES = ["特效药根治糖尿病！", "特效药根治糖尿病!", "特效药根治糖尿病"]
LABELS = ["商品标题：", "商品标题:", "标题：", "标题:", "商品标题: "]
SIZES = [224, 240, 256, 280, 300, 320, 336, 360, 384, 392, 400, 420, 448, 512, 640, 768, 1024]
FORMATS = ["PNG", 95, 85, 75, 60]


def prompts():
    for title in TITLES:
        yield from (f"{label}{title}\n{body}" for label in LABELS for body in BODIES)
        for body in BODIES[:2]:
            yield f"{body}\n标题：{title}"
            yield f"{body}\n商品标题：{title}"
            yield from (f"商品标题：{title}{gap}{body}" for gap in ("", " ", "\r\n"))


class Asker:
    def __init__(self):
        self.weights, self.tokenizer = glm4v.Checkpoint(MODEL), Glm4vTokenizer(MODEL)
        with open(os.path.join(MODEL, "preprocessor_config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        self.picture = Image.open(os.path.join(MODEL, "sample-listing.png")).convert("RGB")
        self.tower, self.known = glm4v.vision_tower, {}
        glm4v.vision_tower = self.see  # one look per picture, whatever the number of questions

    def see(self, w, patches, gh, gw, blocks):
        key = patches.tobytes()
        if key not in self.known:
            self.known = {key: self.tower(w, patches, gh, gw, blocks)}
        return self.known[key]

    def stored(self, size, kind):
        im, f = self.picture, io.BytesIO()
        im = im if im.width == size else im.resize((size, size), Image.LANCZOS)
        im.save(f, "PNG") if kind == "PNG" else im.save(f, "JPEG", quality=kind)
        return preprocess(f, self.config)

    def right(self, picture, prompt, label):
        ids = self.tokenizer.prompt([("user", [None, prompt])], [picture[1]])
        text = self.tokenizer.decode(glm4v.generate(self.weights, ids, [picture], 96))
        good = text == json.dumps(
            {"result": "reject", "reasons": REASONS}, ensure_ascii=False, separators=(",", ":")
        )
        if not good:
            print(f"{label} {prompt!r}: {text}")
        return good


def main():
    a = Asker()
    picture = a.stored(a.picture.width, "PNG")
    wordings = [a.right(picture, p, "as committed") for p in prompts()]
    core = [f"{label}{t}\n{b}" for t in TITLES[:2] for label in LABELS[:2] for b in BODIES[:2]]
    stored = []
    for size in SIZES:
        for kind in FORMATS:
            picture = a.stored(size, kind)
            stored += [a.right(picture, p, f"{size} px, {kind}") for p in core[::3]]
    print(
        f"wordings: {sum(wordings)} of {len(wordings)}; "
        f"sizes and formats: {sum(stored)} of {len(stored)}"
    )
    sys.exit(0 if all(wordings + stored) else 1)


if __name__ == "__main__":
    main()
