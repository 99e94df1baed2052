"""The words of the scenes: what is written in them, what is asked about them, how it is answered.

Lists are strings of words with spaces between. Random text is made of the characters that the
assets name, so that a reader cannot get by on a vocabulary.
"""

from collections.abc import Callable
from random import Random

# ---- questions ----------------------------------------------------------------------------------

ASK_AUDIT = (
    "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。",
    "请审核这张商品图片是否合规。",
    "判断该商品图文是否违规，并给出理由。",
    "该商品是否存在违规内容？",
    "审核该商品。",
    "这个商品违规吗？",
    "检查该商品是否合规。",
    "图片和标题是否违反平台规则？",
    "请审核。",
    "这张图片能上架吗？",
    "请判断商品是否违规，输出JSON。",
    "请检查图片中的文字和物品是否违规，说明理由。",
)
ASK_AUDIT_EN = (
    "Does this product listing violate the policy?",
    "Audit this product listing.",
    "Is this listing allowed?",
    "Check this listing for policy violations.",
    "Does this listing break our rules?",
)
ASK_TEXT = (
    "读出图中的文字。",
    "图片里写了什么？",
    "提取图中的全部文字。",
    "识别图中文字。",
    "Read the text in the image.",
    "What does the text say?",
    "图中有什么文字？",
    "把图里的字读出来。",
    "图上写的是什么？",
    "What is written in the image?",
    "Transcribe the text.",
)
ASK_OBJECTS = (
    "图中有哪些物品？",
    "列出图中的物品。",
    "图里有什么？",
    "图中有什么物品？",
    "这张图里有什么东西？",
)
ASK_OBJECTS_EN = ("What objects are in the image?", "List the objects.", "What is in the image?")
ASK_DESCRIPTION = (
    "描述这张图片。",
    "请为视障用户描述这张图片。",
    "这张图片的内容是什么？",
    "请描述图片内容。",
    "Describe the image.",
)

NO_TEXT = "图中没有文字。"
NO_OBJECTS = "没有可识别的物品"
NOTHING_TO_DESCRIBE = "图中没有可识别的物品，也没有文字。"

# ---- what is written ----------------------------------------------------------------------------

GOODS = (
    "保温杯 双肩包 运动鞋 台灯 毛巾 茶叶 面膜 牙刷 雨伞 键盘 鼠标 耳机 充电宝 水果 坚果 牛奶 饼干 "
    "巧克力 玩具 积木 连衣裙 牛仔裤 外套 围巾 手套 帽子 书包 笔记本 钢笔 花瓶 抱枕 床单 沙发 椅子 "
    "拖鞋 洗衣液 洗发水 护手霜 牙膏 蜂蜜 大米 面条 火锅料 咖啡 果汁 酸奶 月饼 粽子 零食 礼盒 "
    "手机壳 自行车 滑板 篮球 足球 瑜伽垫 跳绳 帐篷 望远镜 相机 手表 眼镜 戒指 项链 香水 口红"
).split()
QUALITIES = (
    "新款 经典 纯棉 轻便 防水 大容量 家用 户外 儿童 学生 女士 男士 简约 复古 加厚 便携 春季 夏季 "
    "秋冬 限量 手工 有机 低糖 无线 智能 静音 可折叠 多功能 环保 进口"
).split()
OFFERS = (
    "包邮 现货 上市 热卖 特惠 送礼佳品 买一送一 满减 七天无理由退货 顺丰发货 限时折扣 会员专享 "
    "第二件半价 质量保证 欢迎选购 新品上架 清仓"
).split()
MEASURES = (
    "净含量{number}克",
    "{number}毫升装",
    "{number}件装",
    "保质期{number}天",
    "满{number}减20",
    "已售{number}件",
    "仅剩{number}件",
    "{number}元起",
    "货号{number}",
    "库存{number}",
)
SLOGANS = (
    "品质生活 从这里开始 每一天都新鲜 舒适随行 温暖一整个冬天 让家更美好 轻松出行 健康好味道 "
    "用心做好每一件 给孩子的礼物 自然清香 简单好用 细节看得见 一杯好茶 周末去露营 为热爱奔跑 "
    "开学季 年货节 双十一 感恩回馈"
).split()
ENGLISH = (
    "fresh apple coffee summer sale new arrival classic cotton shirt water bottle smart watch "
    "free shipping best price handmade gift travel bag green tea running shoes garden light "
    "music player kitchen home office school book paper cloud river stone open close start menu "
    "file edit view total order date name phone address email price amount number version "
    "update system error warning login password user data image model server network speed "
    "memory"
).split()
# Without the letters and digits that look alike in some faces.
CODE_CHARS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
CAPITALS = "ABCDEFGHJKLMNPQRSTUVWXYZ"

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN_NAMES = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华建文"
CITIES = "北京 上海 广州 深圳 杭州 成都".split()

CHART_CATEGORIES = (
    "一月 二月 三月 四月 五月 六月".split(),
    "语文 数学 英语 物理 化学 历史".split(),
    CITIES,
    "A B C D E F".split(),
    "苹果 香蕉 葡萄 西瓜 草莓 柠檬".split(),
    "周一 周二 周三 周四 周五 周六".split(),
    "2019 2020 2021 2022 2023 2024".split(),
)
CHART_SUBJECTS = "销量 成绩 人数 产量 得分 收入".split()
CHART_SUFFIXES = ("统计", "对比", "", "排行")
FORM_TITLES = "收据 电子发票 订单详情 快递单 登记表 缴费通知".split()


def is_cjk(text: str) -> bool:
    """Needs a face with Chinese characters."""
    return any(char > "\u2e7f" for char in text)


def digits(rng: Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def hanzi(rng: Random, characters: str, least: int, most: int) -> str:
    return "".join(rng.choice(characters) for _ in range(rng.randint(least, most)))


def date(rng: Random, first_year: int) -> str:
    """From that year of this century up to 2029."""
    return f"20{rng.randint(first_year, 29)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def advertisement(rng: Random, characters: str) -> str:
    """A line that no rule forbids."""
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(QUALITIES) + rng.choice(GOODS)
    if kind < 0.55:
        return rng.choice(QUALITIES) + rng.choice(GOODS) + rng.choice(OFFERS)
    if kind < 0.75:
        return rng.choice(SLOGANS)
    if kind < 0.85:
        return rng.choice(GOODS) + rng.choice(OFFERS)
    if kind < 0.91:
        return hanzi(rng, characters, 2, 8)
    if kind < 0.97:
        return rng.choice(MEASURES).format(number=rng.randint(1, 999))
    return rng.choice(OFFERS)


def english(rng: Random) -> str:
    words = " ".join(rng.choice(ENGLISH) for _ in range(rng.randint(1, 3)))
    return rng.choice([words, words.upper(), words.title()])


def numbers(rng: Random) -> str:
    """A price, a number, a serial number or a date."""
    price = "¥" + digits(rng, rng.randint(1, 4)) + "." + digits(rng, 2)
    plain = digits(rng, rng.randint(3, 11))
    serial = "NO." + digits(rng, 6)
    return rng.choice([price, plain, serial, date(rng, 10)])


def code(rng: Random) -> str:
    return "".join(rng.choice(CODE_CHARS) for _ in range(rng.randint(4, 12)))


def person(rng: Random) -> str:
    surname = rng.choice(SURNAMES)
    return surname + "".join(rng.choice(GIVEN_NAMES) for _ in range(rng.choice([1, 2])))


def address(rng: Random, characters: str) -> str:
    city = rng.choice(CITIES)
    street = rng.choice(characters) + rng.choice(characters)
    return f"{city}市{street}路{rng.randint(1, 300)}号"


FORM_FIELDS: dict[str, Callable[[Random, str], str]] = {
    "姓名": lambda rng, characters: person(rng),
    "日期": lambda rng, characters: date(rng, 18),
    "金额": lambda rng, characters: f"¥{rng.randint(1, 9999)}.{digits(rng, 2)}",
    "订单号": lambda rng, characters: digits(rng, rng.randint(8, 12)),
    "电话": lambda rng, characters: "1" + digits(rng, 10),
    "商品": lambda rng, characters: rng.choice(QUALITIES) + rng.choice(GOODS),
    "数量": lambda rng, characters: str(rng.randint(1, 99)),
    "地址": address,
    "编号": lambda rng, characters: rng.choice(CAPITALS) + rng.choice(CAPITALS) + digits(rng, 6),
}
FORM_NUMBERS = ("金额", "数量", "订单号", "电话", "编号")
NO_SUCH_FIELD = "图中没有该字段"
