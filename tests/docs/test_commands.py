"""docs/commands.md says who may give which command, when, and what follows, in both languages: it is what the rules print."""

import pytest

from domain.commands import SIGNALS
from support.commands_page import GROUPS, PAGES, followed, page
from texts.catalogue import Language, named, tables


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_what_the_rules_print(language: Language) -> None:
    again = (
        f"{PAGES[language].name} is not what the rules print: run `PYTHONPATH=tests python -m support.commands_page`"
    )
    assert PAGES[language].read_text("utf-8") == page(language), again


def test_every_command_is_on_the_page_once() -> None:
    shown = [name for names in GROUPS for name in names]
    assert sorted(shown) == sorted(SIGNALS)


def test_each_command_has_its_name_and_sentence_in_chinese_and_none_is_left_over() -> None:
    told = tables("zh")["commands"]
    assert told.keys() == SIGNALS.keys()
    text = page("zh")
    for name, sentence in told.items():
        assert f"| **`{name}`** {named(name, 'zh')}:{sentence} |" in text
        assert not named(name, "zh").isascii()


def test_of_every_command_it_is_known_what_follows() -> None:
    follows = followed()
    assert [name for name, kinds in follows.items() if not kinds] == []
    assert follows["reopen"] == ["reopened", "taken_back", "escalated"]
