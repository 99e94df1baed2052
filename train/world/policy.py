"""The rules a listing is judged by: what is forbidden, how it is worded, and the verdict.

This is the file to change when a team trains on rules of its own.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from world import words

# Pictured objects that decide a verdict, by the names of objects.tsv.
FORBIDDEN_OBJECTS = {
    "药丸": "图像中出现疑似处方药包装，属于平台禁售品类",
    "注射器": "图像中出现注射器，属于平台禁售品类",
    "匕首": "图像中出现管制刀具，属于平台禁售品类",
    "炸弹": "图像中出现爆炸物，属于平台禁售品类",
    "水枪": "图像中出现仿真枪外观商品，属于平台禁售品类",
}
LICENSED_OBJECTS = {
    "葡萄酒": "图像中出现酒类商品，需核验经营资质",
    "啤酒": "图像中出现酒类商品，需核验经营资质",
    "清酒": "图像中出现酒类商品，需核验经营资质",
    "听诊器": "图像中出现医疗器械，需核验经营资质",
}

DISEASES = (
    "糖尿病 高血压 癌症 失眠 脱发 近视 痛风 肝炎 哮喘 关节炎 鼻炎 胃病 肥胖 贫血 颈椎病 湿疹"
).split()
REMEDIES = "特效药 神药 秘方 膏药 胶囊 口服液 保健茶 药酒 贴膏 冲剂".split()
CURES = (
    "{remedy}根治{disease}",
    "{disease}一贴就好",
    "{remedy}治愈{disease}",
    "彻底告别{disease}",
    "七天治好{disease}",
    "专治{disease}",
    "{remedy}根治{disease}！",
)
SUPERLATIVES = (
    "全国第一 销量第一 世界顶级 国家级 最高级 史上最低价 全网最低 绝对安全 百分百有效 永不复发 "
    "独一无二 万能 立即见效 无任何副作用 三天见效 一次根除 包治百病"
).split()
CONTACTS = (
    "加微信{number}",
    "加QQ{number}",
    "微信号{number}",
    "联系电话{number}",
    "扫码加群{number}",
    "私聊{number}",
)

REASONS_IN_PICTURE = {
    "cure": "图中文字“{span}”涉嫌虚假宣传",
    "superlative": "图中使用绝对化用语“{span}”",
    "contact": "图中含有站外引流信息“{span}”",
}
REASONS_IN_TITLE = {
    "cure": "标题声称“{span}”违反广告法相关规定",
    "superlative": "标题使用绝对化用语“{span}”",
    "contact": "标题含有站外引流信息“{span}”",
}


@dataclass(frozen=True)
class Violation:
    text: str  # the line as it is written
    span: str  # the part that a reason quotes
    kind: str  # a key of REASONS_IN_PICTURE


def draw_violation(rng: Random, characters: str) -> Violation:
    kind = rng.random()
    if kind < 0.45:
        return _draw_cure(rng, characters)
    if kind < 0.8:
        span = rng.choice(SUPERLATIVES)
        template = rng.choice(["{span}", "{before}{span}", "{span}{after}"])
        before, after = rng.choice(words.GOODS), rng.choice(words.GOODS)
        return Violation(
            template.format(span=span, before=before, after=after), span, "superlative"
        )
    template = rng.choice(CONTACTS)
    text = template.format(number=words.digits(rng, rng.randint(6, 9)))
    return Violation(text, text, "contact")


def _draw_cure(rng: Random, characters: str) -> Violation:
    """Of listed words and of made-up ones, so that the sentence is what gives it away."""

    def listed_or_random(listed: list[str], share: float) -> str:
        if rng.random() < share:
            return rng.choice(listed)
        return words.hanzi(rng, characters, 2, 3)

    template = rng.choice(CURES)
    remedy = listed_or_random(REMEDIES, 0.7)
    disease = listed_or_random(DISEASES, 0.6)
    text = template.format(remedy=remedy, disease=disease)
    return Violation(text, text.rstrip("！"), "cure")


def judge(
    objects: Iterable[str], in_picture: Iterable[Violation], in_title: Violation | None
) -> str:
    """The verdict as the model writes it. Reasons: forbidden objects, text, title, licences."""
    objects = list(objects)
    offences = [FORBIDDEN_OBJECTS[zh] for zh in objects if zh in FORBIDDEN_OBJECTS]
    offences += [REASONS_IN_PICTURE[found.kind].format(span=found.span) for found in in_picture]
    if in_title:
        offences.append(REASONS_IN_TITLE[in_title.kind].format(span=in_title.span))
    doubts = [LICENSED_OBJECTS[zh] for zh in objects if zh in LICENSED_OBJECTS]
    result = "reject" if offences else "review" if doubts else "pass"
    return compact_json({"result": result, "reasons": list(dict.fromkeys(offences + doubts))})


def compact_json(value: object) -> str:
    """JSON as answers have it: no spaces, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
