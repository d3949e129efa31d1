"""The rules never read personal text: other texts lead to the same events, unreadable ones to no error."""

import ast
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import domain
import domain.commands as c
from domain.advance import advance
from domain.commands import SIGNALS, Body, Command
from domain.events import EVENTS, Event, EventBody
from domain.issue import Issue, dump_issue
from domain.wire import PERSONAL, canonical
from support.grants import granted
from tests.domain.casting import BODIES, body, rightful, usual
from tests.domain.play import CALENDARS, FRIDAY, REPORTER, pack, place


def personal(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.metadata == PERSONAL)


def rewrite(given: Any, word: Callable[[str], str]) -> Any:
    """Every text in it in other words; what was empty stays empty."""
    if isinstance(given, str):
        return word(given) if given.strip() else given
    if isinstance(given, tuple):
        return tuple(rewrite(each, word) for each in given)
    assert is_dataclass(given)
    assert not isinstance(given, type)
    return replace(given, **{each.name: rewrite(getattr(given, each.name), word) for each in fields(given)})


def in_other_words(given: Body, word: Callable[[str], str]) -> Body:
    return replace(given, **{name: rewrite(getattr(given, name), word) for name in personal(type(given))})


class Unreadable(str):  # noqa: PLW1641
    """Text of which a rule may know only whether it is empty, and which it may hand on."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other == "":
            return False
        return self._read() if isinstance(other, str) else False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def strip(self, *_: Any) -> str:
        return "not empty"

    def _read(self, *_: Any) -> Any:
        raise AssertionError("a rule read what is personal")

    __hash__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __getitem__ = __iter__ = __add__ = _read
    __radd__ = __mod__ = __mul__ = __format__ = __str__ = lower = upper = casefold = startswith = endswith = _read
    find = index = count = split = replace = encode = isdigit = partition = removeprefix = lstrip = rstrip = _read


LONG = settings(max_examples=300)
MARK = "谁也不该看"
Script = list[tuple[bool, int, int, float]]
scripts = st.lists(
    st.tuples(st.booleans(), st.integers(0, 500), st.integers(0, 9), st.sampled_from((0.5, 8, 300, 7200, 90_000))),
    min_size=5,
    max_size=30,
)
packs = st.sampled_from(("demo", "52022", "12345", "3+3+5", "dispute"))


def life(pack_id: str, script: Script, word: Callable[[str], str]) -> tuple[Issue, list[Event]]:
    contact = c.ContactDetails("住户", "13800000000")
    report = c.Report("JS-1", place(), "leak", "漏水", location="3幢", contact=contact)
    issue, now = Issue.new("issue-1", pack(pack_id), CALENDARS), FRIDAY
    issue, events = advance(issue, [Command("0", now, REPORTER, in_other_words(report, word))], now)
    for number, (forward, choice, variant, jump) in enumerate(script, 1):
        now += timedelta(seconds=jump)
        actor, name = (usual if forward else rightful)(issue, choice)
        said, grants = in_other_words(body(name, variant, now), word), granted(actor, issue.place)
        command = Command(str(number), now, actor, said, grants=grants)
        issue, more = advance(issue, [command], now)
        events += more
    return issue, events


def impersonal(event: Event) -> Any:
    """All of the event but what is personal, and the digest over it."""
    data = {each.name: getattr(event.body, each.name) for each in fields(event.body)}
    for name in personal(type(event.body)):
        data[name] = bool(data[name])
    head = {each.name: getattr(event, each.name) for each in fields(event)} | {
        "command": event.command and event.command.id
    }
    return event.kind, head | {"body": data}


@LONG
@given(pack_id=packs, script=scripts)
def test_other_words_lead_to_the_same_events(pack_id: str, script: Script) -> None:
    one, events = life(pack_id, script, lambda text: text)
    other, reworded = life(pack_id, script, lambda text: f"{text}(另一种说法)")
    assert [impersonal(event) for event in events] == [impersonal(event) for event in reworded]
    without = [replace(issue, receipts={key: replace(each, digest="") for key, each in issue.receipts.items()})
               for issue in (one, other)]  # fmt: skip
    assert without[0] == without[1]


@LONG
@given(pack_id=packs, script=scripts)
def test_the_rules_never_read_personal_text(pack_id: str, script: Script) -> None:
    issue, events = life(pack_id, script, lambda text: Unreadable(f"{MARK}{len(text)}"))
    assert MARK not in canonical(dump_issue(issue)).decode(), "the state holds nothing personal"
    for event in events:
        for each in fields(event.body):
            if each.metadata != PERSONAL:
                value = getattr(event.body, each.name)
                assert MARK not in json.dumps(value, default=_plain, ensure_ascii=False), f"{event.kind}.{each.name}"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return value.isoformat() if isinstance(value, datetime) else repr(value)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_personal_field_is_filled_in_some_play(name: str) -> None:
    for field in personal(SIGNALS[name]):
        assert any(getattr(make(FRIDAY), field) for make in BODIES[name]), f"{name}.{field} is never put to the test"


def test_what_people_write_is_marked_as_personal() -> None:
    """Free text by or about people, by the names that such fields bear here."""
    free = {"text", "note", "comment", "question", "description", "location", "contact", "parties", "answer"}
    for kind in (*SIGNALS.values(), c.Report, *EVENTS.values()):
        for each in fields(kind):
            assert each.name not in free or each.metadata == PERSONAL, f"{kind.__name__}.{each.name}"


def test_the_rules_of_state_do_not_name_personal_fields() -> None:
    """What only looks at states and events need not even bind such a field; `decide` hands them on, see above."""
    kinds: tuple[type[Any], ...] = (*SIGNALS.values(), c.Report, *EVENTS.values())
    marked = {name for kind in kinds for name in personal(kind)}
    open_too = {each.name for kind in kinds for each in fields(kind) if each.metadata != PERSONAL}
    of_heads = {each.name for kind in (c.Actor, Event, Issue) for each in fields(kind)}
    secret = marked - open_too - of_heads
    assert {"text", "note", "comment", "question", "description", "location", "contact"} <= secret
    allowed = {
        ("evolve.py", "answer"),  # whether there is one, and no more
        ("notices.py", "description"),  # whether it is sealed, and no more
    }
    for module in ("access", "advance", "clocks", "evolve", "minutes", "notices", "promise"):
        path = Path(domain.__file__).with_name(f"{module}.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [node.attr] if isinstance(node, ast.Attribute) else []
            named += node.kwd_attrs if isinstance(node, ast.MatchClass) else []
            assert not [name for name in named if name in secret and (path.name, name) not in allowed], path.name


def test_the_unreadable_word_would_catch_a_rule_that_reads() -> None:
    word = Unreadable("x")
    assert word
    assert word != ""
    assert json.loads(json.dumps([word])) == ["x"]
    for read in (lambda: word == "x", lambda: "x" in word, lambda: f"{word}", word.lower, lambda: {word: 1}):
        with pytest.raises(AssertionError, match="personal"):
            read()


def test_bodies_are_of_their_command() -> None:
    assert BODIES.keys() == SIGNALS.keys()
    assert all(type(make(FRIDAY)) is SIGNALS[name] for name, makers in BODIES.items() for make in makers)
    assert all(issubclass(kind, EventBody) for kind in EVENTS.values())
