"""docs/rules.md says what the rules do: it is what they print."""

from support.rules_page import PAGE, page


def test_the_page_is_what_the_rules_print() -> None:
    again = "docs/rules.md is not what the rules print: run `PYTHONPATH=tests python -m support.rules_page`"
    assert PAGE.read_text("utf-8") == page(), again
