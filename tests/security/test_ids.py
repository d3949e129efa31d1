"""Ids, numbers and codes are the same for the same input for ever, and tolerate how people type."""

import base64
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.ids import command_id, issue_id, number, tracking_code, tracking_hash, tracking_matches
from security.ids import typed as as_typed

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = "0b9f6f2e-0000-4000-8000-000000000000"
CODE = "2W3EK-YTKA5-VP0Y5-TJG8J"


def test_the_codes_of_today_are_those_of_ever() -> None:
    """Stored hashes and old idempotency keys depend on these very values: they may never change."""
    issue = issue_id(SECRET, "anonymous", KEY)
    assert issue == "tguk7kdayc5z7as677eklt6yeq"
    assert number(issue) == "JS-Y3C0V-59AQ0"
    assert tracking_code(SECRET, issue, 0) == "40HYE-49JDR-8B6H0-03AWM"
    assert (
        tracking_hash(tracking_code(SECRET, issue, 0))
        == "1b59e2909cf25178e20807fc472cd4aca6537e96ad1c010ae8088b451e0c3082"
    )
    assert command_id(issue, "p1", "property", KEY) == "ce079d8f-94bc-5e14-ab12-57adec883c00"


def test_ids_numbers_and_codes_have_their_documented_form() -> None:
    issue = issue_id(SECRET, "anonymous", KEY)
    assert re.fullmatch(r"[a-z2-7]{26}", issue)
    assert re.fullmatch(r"JS(-[0-9A-HJKMNP-TV-Z]{5}){2}", number(issue))
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){3}", tracking_code(SECRET, issue, 0))
    assert uuid.UUID(command_id(issue, "p1", "property", KEY)).version == 5


@pytest.mark.attack(9)
def test_an_id_has_128_bits_of_which_each_is_as_often_set_as_not() -> None:
    ids = {issue_id(SECRET, "anonymous", str(uuid.UUID(int=number))) for number in range(2000)}
    found = [base64.b32decode(issue.upper() + "=" * (-len(issue) % 8)) for issue in ids]
    assert (len(found), {len(each) for each in found}) == (2000, {16})
    for bit in range(128):
        share = sum(int.from_bytes(each, "big") >> bit & 1 for each in found) / len(found)
        assert 0.4 < share < 0.6, f"bit {bit}"


@pytest.mark.attack(9)
def test_a_tracking_code_has_a_hundred_bits_and_opens_one_issue() -> None:
    found = {tracking_code(SECRET, str(number), 0).replace("-", "") for number in range(2000)}
    assert (len(found), {len(each) for each in found}) == (2000, {20})
    for place in range(20):
        assert len({each[place] for each in found}) == 32


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_other_input_gives_another_id(pairs: list[tuple[str, str]]) -> None:
    first, second = pairs
    assert issue_id(SECRET, *first) != issue_id(SECRET, *second)
    assert command_id(*first, "property", KEY) != command_id(*second, "property", KEY)


def test_the_border_between_scope_and_key_counts() -> None:
    assert issue_id(SECRET, "ab", "c") != issue_id(SECRET, "a", "bc")
    assert command_id("i", "p1", "property", KEY) != command_id("i", "p1property", "", KEY)


@pytest.mark.attack(9)
def test_another_secret_or_generation_gives_another_code() -> None:
    issue = issue_id(SECRET, "anonymous", KEY)
    codes = {tracking_code(SECRET, issue, 0), tracking_code(SECRET, issue, 1), tracking_code(SECRET[::-1], issue, 0)}
    assert len(codes) == 3
    assert issue_id(SECRET[::-1], "anonymous", KEY) != issue


@pytest.mark.parametrize(
    "typed",
    [
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        f"  {CODE}\n",
        CODE.replace("0", "O"),
        CODE.replace("0", "o"),
        "\u3000".join(CODE),
    ],
)
def test_a_code_as_typed_by_people_is_recognised(typed: str) -> None:
    assert tracking_matches(typed, tracking_hash(CODE))


def test_letters_that_look_like_one_are_one() -> None:
    assert tracking_hash("I1L") == tracking_hash("111") == tracking_hash("il1")


@pytest.mark.parametrize("typed", ["", "-", CODE[:-1], CODE + "0", CODE.replace("2", "3"), "\ud800", "诉"])
def test_a_wrong_tracking_code_does_not_match(typed: str) -> None:
    assert not tracking_matches(typed, tracking_hash(CODE))


@given(st.integers(0, 2**128 - 1))
def test_every_code_survives_being_typed(seed: int) -> None:
    code = tracking_code(SECRET, f"{seed:x}", 0)
    assert tracking_matches(code.lower().replace("-", " "), tracking_hash(code))


@pytest.mark.parametrize(
    "way",
    [
        "４０ＨＹＥ－４９ＪＤＲ－８Ｂ６Ｈ０－０３ＡＷＭ",
        "40hye—49jdr—8b6h0—O3awm。",
        "\u202d40HYE\u00a049JDR\u20108B6H0\uff0e03AWM\u202c",
    ],
)
def test_a_code_is_the_same_however_a_keyboard_types_it(way: str) -> None:
    assert tracking_matches(way, tracking_hash("40HYE-49JDR-8B6H0-03AWM"))
    assert not tracking_matches(
        way.replace("Ｗ", "Ｖ").replace("w", "v").replace("W", "V"), tracking_hash("40HYE-49JDR-8B6H0-03AWM")
    )


def test_what_is_no_letter_of_a_code_counts_for_nothing_however_often_it_is_read() -> None:
    """Found by the fuzz: a letter that falls into two signs in capitals."""
    for code in ("7K3QM-2ZP9X\u1fe6", "7k3qm—2zp9x。", "７Ｋ３ＱＭ２ＺＰ９Ｘ"):
        assert as_typed(code) == as_typed(as_typed(code)) == "7K3QM2ZP9X"
