"""The command line speaks the language of its environment, and what people wrote stays as it is."""

import pytest

from cli.demo import _happened
from cli.issues import said, span
from cli.language import clause_name, language

VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"), ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "zh"}, "zh"), ({"LANG": "ZH_tw"}, "zh"), ({"LANG": "C"}, "en"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"), ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "zh_HK", "LANG": "en_US"}, "zh"), ({"LC_ALL": "zh_CN", "LC_MESSAGES": "en_US"}, "zh"),
    ],
)  # fmt: skip
def test_the_language_is_that_of_the_first_variable_that_is_set(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_the_demo_tells_what_happened_in_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    climbed = {"kind": "escalated", "level": "community", "clause": "deadline", "data": {"from_level": "property"}}
    closed = {"kind": "closed", "level": "property", "data": {"kind": "solved", "satisfaction": "not_rated"}}
    assert _happened(climbed, []) == "escalated property->community (deadline)"
    assert _happened(closed, []) == "closed solved, not rated"
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert _happened(climbed, [{"word": "deadline", "zh": "超时", "en": "deadline"}]) == "已提级 物业→社区(超时)"
    assert _happened(closed, []).startswith("已结案")
    assert "closed" not in _happened(closed, [])


def test_words_are_told_by_name_and_what_people_wrote_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    waited = {"kind": "waited", "data": {"reason": "parts"}}
    assert said(waited) == "等配件"
    assert said({"kind": "withdrawn", "data": {"reason": "parts"}}) == "parts"
    assert said({"kind": "refused", "data": {"code": "accept-first", "params": {"command": "arrive"}}}).startswith(
        "先签收"
    )
    assert span(3 * 86400 + 7200) == "3 天 2 小时"
    assert clause_name("accept", [{"word": "accept", "zh": "物业签收", "en": "property: accept"}]) == "物业签收"
    monkeypatch.setenv("LC_ALL", "C")
    assert said(waited) == "parts"
    assert clause_name("nowhere", []) == "nowhere"
