"""Suggests a category for what a resident wrote, by words that stand in it. It is a suggestion: whoever reports decides."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from domain.vocabulary import Category

WORDS: Final[Mapping[Category, tuple[str, ...]]] = MappingProxyType(
    {
        "falling_objects": ("高空抛物", "高空坠物", "墙皮脱落", "外墙脱落", "瓷砖脱落", "掉下来"),
        "elevator": ("电梯", "困人", "轿厢", "扶梯"),
        "ebike_charging": ("电动车", "电瓶车", "飞线", "充电桩", "充电棚"),
        "illegal_building": ("违建", "违章", "搭建", "私搭", "占绿", "圈占"),
        "drain": ("下水", "排水", "污水", "堵塞", "反水", "返水", "化粪池", "窨井", "井盖", "积水"),
        "leak": ("漏水", "渗水", "滴水", "水管", "漏雨", "爆管", "跑水"),
        "utilities": ("停水", "停电", "停气", "暖气", "供暖", "跳闸", "没电", "没水", "燃气", "煤气", "水压"),
        "safety": ("消防", "灭火器", "安全出口", "防火门", "监控", "门禁", "陌生人", "被盗", "小偷", "堵住通道"),
        "noise": ("噪音", "噪声", "太吵", "扰民", "广场舞", "装修声", "吵闹"),
        "parking": ("停车", "车位", "占道", "挡车", "地库", "道闸", "僵尸车"),
        "sanitation": ("垃圾", "卫生", "保洁", "脏", "臭", "蟑螂", "老鼠", "小广告"),
        "greening": ("绿化", "树", "草坪", "花坛", "修剪"),
        "animals": ("狗", "猫", "宠物", "遛狗", "犬"),
        "common_income": ("公共收益", "广告收入", "收益公示", "账目"),
        "fees": ("物业费", "收费", "缴费", "停车费", "发票", "涨价"),
        "owners_affairs": ("业委会", "业主大会", "业主委员会", "维修资金", "表决"),
        "care": ("独居", "老人", "残疾", "孤寡", "没人照顾"),
        "dispute": ("纠纷", "吵架", "打架", "调解", "邻居矛盾"),
        "facility": (
            "路灯",
            "灯不亮",
            "灯坏",
            "单元门",
            "大门",
            "健身器材",
            "楼道",
            "路面",
            "护栏",
            "扶手",
            "门坏",
            "玻璃",
        ),
    }
)
"""The words that speak for each category. Of categories with equally many, the one that stands first here is meant."""


def suggested(text: str) -> Category | None:
    """The category for which most words of the text speak; None if none does."""
    counts: dict[Category, int] = {
        category: sum(text.count(word) for word in words) for category, words in WORDS.items()
    }
    best = max(counts, key=lambda category: counts[category])
    return best if counts[best] else None
