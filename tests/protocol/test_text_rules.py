"""Which texts are accepted, and which hold nothing to see: the same by the check and by the pattern that the API shows."""

import re

import pytest

from protocol.text_rules import FILLED, FIT, blank, unfit

NOTHING = ("", " ", "\u3000", "\xa0\t\n", "\x1d", "\x85", "\x7f\x04", "\u200b\u200d", "\ufeff", "\xad\u2060")
SOMETHING = ("漏", "\x1d漏", " .\n", "\u200d\U0001f466", "0")
REFUSED = ("漏\x00", "漏\u202e", "\u2066漏")


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_with_nothing_to_see_is_blank(text: str) -> None:
    assert blank(text)
    assert not re.search(FILLED, text)
    assert unfit(text) is None


@pytest.mark.parametrize("text", SOMETHING)
def test_a_text_with_something_to_see_is_filled(text: str) -> None:
    assert not blank(text)
    assert re.search(FILLED, text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_no_text_may_hold_fits_neither_pattern(text: str) -> None:
    assert unfit(text) is not None
    assert not re.search(FIT, text)
    assert not re.search(FILLED, text)
