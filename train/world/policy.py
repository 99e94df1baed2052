"""The rules a listing is judged by: what is forbidden, how it is worded, and the verdict.

This is the file to change when a team trains on rules of its own.
"""

import json
from collections.abc import Iterable, Sequence
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

# Objects that listings are to show more often than others; none unless `extend` names some.
OFTEN: list[str] = []


def extend(path: str) -> None:
    """Adds the rules of a JSON file to those above; to be called before anything is drawn.

    {"forbidden": {OBJECT: REASON}, "licensed": {OBJECT: REASON}, "often": [OBJECT, ...]}, every
    member optional, objects by the names of objects.tsv.
    """
    with open(path, encoding="utf-8") as file:
        rules = json.load(file)
    if unknown := set(rules) - {"forbidden", "licensed", "often"}:
        raise ValueError(f"{path}: no rule is called {sorted(unknown)[0]}")
    FORBIDDEN_OBJECTS.update(rules.get("forbidden", {}))
    LICENSED_OBJECTS.update(rules.get("licensed", {}))
    OFTEN.extend(rules.get("often", []))


@dataclass(frozen=True)
class Phrases:
    """What forbidden lines are made of. {remedy}, {disease} and {number} are filled in."""

    diseases: Sequence[str]
    remedies: Sequence[str]
    cures: Sequence[str]
    superlatives: Sequence[str]
    contacts: Sequence[str]


# Many wordings of each, so that a sentence never seen can be told by what it resembles.
TRAINED = Phrases(
    diseases=(
        "糖尿病 高血压 癌症 失眠 脱发 近视 痛风 肝炎 哮喘 关节炎 鼻炎 胃病 肥胖 贫血 颈椎病 湿疹 "
        "感冒 发烧 咳嗽 头痛 腰间盘突出 肩周炎 风湿 皮炎 牛皮癣 白癜风 青光眼 老花眼 心脏病 冠心病 "
        "中风 肺炎 支气管炎 咽炎 中耳炎 肾炎 肾结石 胆结石 脂肪肝 肠炎 痔疮 前列腺炎 月经不调 不孕不育 "
        "抑郁症 焦虑 老年痴呆 癫痫 静脉曲张 灰指甲 脚气 狐臭 青春痘 鸡眼 冻疮 高血脂 高血糖 肿瘤 "
        "白血病 打鼾 口臭 蛀牙 尿频"
    ).split(),
    remedies=(
        "特效药 神药 秘方 膏药 胶囊 口服液 保健茶 药酒 贴膏 冲剂 药膏 丹药 神水 草药 颗粒 片剂 眼药水 "
        "汤剂 药茶 膏方 精油 药粉 药贴 苗药 藏药 蜂胶 酵素 益生菌 磁疗贴 理疗仪 艾灸贴 足贴 药枕 神器 "
        "配方 疗法"
    ).split(),
    cures=(
        "{remedy}根治{disease}",
        "{disease}一贴就好",
        "{remedy}治愈{disease}",
        "彻底告别{disease}",
        "七天治好{disease}",
        "专治{disease}",
        "{remedy}根治{disease}！",
        "{disease}一次见效",
        "一周告别{disease}",
        "{disease}的克星",
        "祖传{remedy}治{disease}",
        "喝{remedy}，{disease}全好了",
        "{remedy}轻松治{disease}",
        "{disease}一扫光",
        "让{disease}断根",
        "{remedy}攻克{disease}",
        "{disease}救星",
        "三天搞定{disease}",
        "{remedy}包治{disease}",
        "{disease}吃{remedy}就好",
        "治{disease}无需手术",
        "{disease}康复神器",
        "用{remedy}，{disease}痊愈",
        "{remedy}对{disease}有奇效",
        "根除{disease}",
        "战胜{disease}",
        "{remedy}清除{disease}",
        "{disease}从此无忧",
        "{disease}有救了",
        "治疗{disease}首选{remedy}",
        "快速缓解{disease}",
        "一个月摆脱{disease}",
    ),
    superlatives=(
        "全国第一 销量第一 世界顶级 国家级 最高级 史上最低价 全网最低 绝对安全 百分百有效 永不复发 "
        "独一无二 万能 立即见效 无任何副作用 三天见效 一次根除 包治百病 "
        "全球第一 亚洲第一 业内第一 人气第一 世界级 宇宙级 最先进 最好用 最便宜 最安全 最强功效 最新科技 "
        "全国最大 全网首选 史上最强 同类最佳 绝对有效 绝对正品 百分百纯天然 百分百治愈 永久有效 永不反弹 "
        "零副作用 无毒无害 无效退款 药到病除 一用就灵 立竿见影 天下无敌 无与伦比 前所未有 绝无仅有 "
        "独家秘制 顶级享受 极致完美 首屈一指 遥遥领先 空前绝后 国家免检 专家推荐 特供专用 王牌产品 "
        "假一罚万 稳赚不赔 保本高收益 祖传秘制 终极体验 史无前例"
    ).split(),
    contacts=(
        "加微信{number}",
        "加QQ{number}",
        "微信号{number}",
        "联系电话{number}",
        "扫码加群{number}",
        "私聊{number}",
        "客服微信{number}",
        "微信同号{number}",
        "QQ群{number}",
        "手机{number}",
        "致电{number}",
        "联系我{number}",
        "私信{number}",
        "短信联系{number}",
        "加群{number}",
        "关注公众号{number}",
        "抖音号{number}",
        "加好友{number}",
        "打电话{number}",
        "详询{number}",
        "站外下单{number}",
        "wx{number}",
        "vx{number}",
    ),
)

# To measure with, never to train on: none of these words and patterns is in TRAINED.
UNSEEN = Phrases(
    diseases="白内障 荨麻疹 骨质疏松 偏头痛 牙周炎 甲亢 便秘 耳鸣 口腔溃疡 带状疱疹".split(),
    remedies="灵丹 仙草 药丸 喷雾 洗剂 中成药 保健酒 偏方".split(),
    cures=(
        "{remedy}消除{disease}",
        "{disease}不再犯",
        "三个疗程治好{disease}",
        "{disease}患者的福音",
        "{remedy}击退{disease}",
    ),
    superlatives=(
        "全球领先 行业第一 顶尖品质 最优惠 零风险 百分之百安全 终身不复发 举世无双 唯一正品 秒杀同行"
    ).split(),
    contacts=(
        "加V信{number}",
        "薇信{number}",
        "拨打热线{number}",
        "进群咨询{number}",
        "扣扣{number}",
    ),
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


def draw_violation(rng: Random, characters: str, phrases: Phrases = TRAINED) -> Violation:
    kind = rng.random()
    if kind < 0.45:
        return _draw_cure(rng, characters, phrases)
    if kind < 0.8:
        span = rng.choice(phrases.superlatives)
        template = rng.choice(["{span}", "{before}{span}", "{span}{after}"])
        before, after = rng.choice(words.GOODS), rng.choice(words.GOODS)
        return Violation(
            template.format(span=span, before=before, after=after), span, "superlative"
        )
    template = rng.choice(phrases.contacts)
    text = template.format(number=words.digits(rng, rng.randint(6, 9)))
    return Violation(text, text, "contact")


def _draw_cure(rng: Random, characters: str, phrases: Phrases) -> Violation:
    """Of listed words and of made-up ones, so that the sentence is what gives it away."""

    def listed_or_random(listed: Sequence[str], share: float) -> str:
        if rng.random() < share:
            return rng.choice(listed)
        return words.hanzi(rng, characters, 2, 3)

    template = rng.choice(phrases.cures)
    remedy = listed_or_random(phrases.remedies, 0.7)
    disease = listed_or_random(phrases.diseases, 0.6)
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
