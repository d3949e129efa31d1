"""docs/commands.md says who may give which command, when, and what follows: it is what the rules print."""

from domain.commands import SIGNALS
from support.commands_page import GROUPS, PAGE, followed, page


def test_the_page_is_what_the_rules_print() -> None:
    again = "docs/commands.md is not what the rules print: run `PYTHONPATH=tests python -m support.commands_page`"
    assert PAGE.read_text("utf-8") == page(), again


def test_every_command_is_on_the_page_once() -> None:
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted(shown) == sorted(SIGNALS)


def test_of_every_command_it_is_known_what_follows() -> None:
    follows = followed()
    assert [name for name, kinds in follows.items() if not kinds] == []
    assert follows["reopen"] == ["reopened", "taken_back", "escalated"]
