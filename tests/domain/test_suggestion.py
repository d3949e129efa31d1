"""The category that is suggested for what a resident wrote."""

from typing import get_args

import pytest

from domain.suggestion import WORDS, suggested
from domain.vocabulary import Category


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("厨房水管漏水,楼下也渗了", "leak"), ("下水道堵了,返水", "drain"), ("电梯停在三楼不动", "elevator"),
        ("楼道路灯不亮", "facility"), ("楼上半夜噪音太大", "noise"), ("有人在楼道给电动车飞线充电", "ebike_charging"),
        ("门口垃圾很臭,三天没人收", "sanitation"), ("物业费怎么又涨价了", "fees"),
    ],
)  # fmt: skip
def test_words_speak_for_a_category(text: str, category: Category) -> None:
    assert suggested(text) == category


def test_where_no_word_speaks_for_any_nothing_is_suggested() -> None:
    assert suggested("") is None
    assert suggested("请来看一下") is None


def test_every_category_has_words_but_the_one_for_the_rest_and_no_word_speaks_for_two() -> None:
    assert set(WORDS) == set(get_args(Category)) - {"other"}
    words = [word for each in WORDS.values() for word in each]
    assert len(words) == len(set(words))
