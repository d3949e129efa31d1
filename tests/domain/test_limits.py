"""Commands that could stall an issue are refused: too heavy, too deep, not storable, beyond all calendars."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import domain.commands as c
from domain.clocks import next_deadline, wake_after
from domain.limits import DEEPEST, LONGEST_ID, MOST_BYTES, check_weight, shown
from domain.wire import WireError, dump, format_time
from support.stories import PROPERTY, STREET, Story

END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)


def letter(body: dict[str, Any], command: str = "c1") -> dict[str, Any]:
    return {"id": command, "at": "2026-03-02T01:00:00.000Z", "actor": dump(PROPERTY), "body": body}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_a_value_over_the_maximum_bytes_is_refused() -> None:
    check_weight(b'"' + b"a" * (MOST_BYTES - 2) + b'"')
    with pytest.raises(WireError, match="too many"):
        check_weight(b"a" * (MOST_BYTES + 1))


def test_depth_counts_brackets_not_text() -> None:
    check_weight(nested(DEEPEST))
    check_weight(json.dumps(letter({"text": '[{"\\' * 50})).encode())
    check_weight(b"[" + b"[1],{}," * 100 + b"1]")
    with pytest.raises(WireError, match="deeper"):
        check_weight(nested(DEEPEST + 1))


@pytest.mark.parametrize("text", ["\0", "\ud800", "漏\udfff水"])
def test_text_that_no_database_holds(text: str) -> None:
    for body in ({"text": text}, {text: "x"}):
        with pytest.raises(WireError, match="NUL or half"):
            c.load_command("comment", letter(body))
    with pytest.raises(WireError, match="NUL or half"):
        c.load_command("plan", letter({"steps": [{"title": text, "due": "2026-03-02T01:00:00Z"}]}))
    c.load_command("comment", letter({"text": "漏水💧\n"}))


@pytest.mark.parametrize("command", ["", "i" * (LONGEST_ID + 1)])
def test_a_command_needs_an_id_of_its_own(command: str) -> None:
    with pytest.raises(WireError, match="characters"):
        c.load_command("comment", letter({"text": "x"}, command))


def test_what_is_shown_of_a_text_from_outside() -> None:
    assert shown("漏水\n\x1b[31m\ud800\0", 100) == "漏水??[31m??"
    assert shown("abc", 2) == "ab"


def test_a_plan_beyond_all_calendars_is_refused() -> None:
    """It would be granted, and then a pause be added to its last day: no date holds that."""
    story = Story()
    story.reported()
    story.give(c.Accept(), PROPERTY)
    story.give(c.Arrive("complex"), PROPERTY)
    (refused,) = story.give(c.Plan((c.Step("砌墙", END_OF_TIME),)), PROPERTY)
    assert refused["kind"] == "refused"
    (refused,) = story.give(c.Schedule(END_OF_TIME), PROPERTY)
    assert refused["kind"] == "refused"
    story.give(c.Plan((c.Step("砌墙", story.now + timedelta(days=3659)),)), PROPERTY)
    story.give(c.Grant("plan"), STREET)
    story.give(c.Wait("parts", story.now + timedelta(days=90)), PROPERTY)
    story.give(c.Grant("pause"), STREET)
    (resumed,) = story.give(c.Resume(), PROPERTY)
    assert resumed["kind"] == "resumed"
    deadline = next_deadline(story.issue, story.now)
    assert deadline is not None
    assert format_time(deadline.at + wake_after(story.issue, deadline))
