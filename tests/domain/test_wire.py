"""Values survive the wire, equal values have one form, and a value that does not fit names its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import domain.commands as c
from domain.commands import SIGNALS, Command, load_command
from domain.decide import RECORDED, TAKE
from domain.events import EVENTS, KINDS, Event, dump_event, load_event
from domain.evolve import CHANGES
from domain.policy import Policy
from domain.wire import WireError, canonical, digest, dump, format_time, load, load_fields, parse_time, truncate
from domain.worktime import Limit, YearCalendar
from tests.domain.casting import BODIES
from tests.domain.play import CALENDARS, COMPANY, FRIDAY, Stage, local, pack


@dataclass(frozen=True)
class Inner:
    level: Literal["low", "high"] = "low"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 0
    share: float = 0.5
    open: bool = False
    at: datetime | None = None
    day: date | None = None
    limit: Limit | None = None
    inner: Inner = field(default_factory=Inner)
    rows: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (0, "")
    words: frozenset[str] = frozenset()
    notes: Mapping[str, Inner] = field(default_factory=dict[str, Inner])
    free: dict[str, Any] = field(default_factory=dict[str, Any])


def plain_within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)


times = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
inners = st.builds(Inner, st.sampled_from(["low", "high"]), st.lists(st.text(max_size=4), max_size=3).map(tuple))
outers = st.builds(
    Outer,
    name=st.text(max_size=8),
    count=st.integers(),
    share=st.floats(allow_nan=False, allow_infinity=False),
    open=st.booleans(),
    at=st.none() | times,
    day=st.none() | st.dates(),
    limit=st.none() | st.builds(Limit, st.integers(1, 99), st.sampled_from(["s", "m", "h", "sm", "sh", "nd", "wd"])),
    inner=inners,
    rows=st.lists(inners, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.text(max_size=4)),
    words=st.frozensets(st.text(max_size=4), max_size=4),
    notes=st.dictionaries(st.text(max_size=4), inners, max_size=3),
    free=st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.lists(st.text(max_size=2)), max_size=3),
)
FULL = Outer("x", 1, 0.25, True, FRIDAY, date(2026, 11, 20), Limit(2, "nd"), Inner("high"), (Inner(), Inner("high", ("a",))))  # fmt: skip


@settings(deadline=None)
@given(outers)
def test_a_dumped_value_loads_to_the_same(value: Outer) -> None:
    sent = canonical(dump(value))
    assert load(Outer, json.loads(sent)) == value
    assert canonical(json.loads(sent)) == sent, "one form, however often it is read and written"


def test_defaults_are_left_out_so_that_a_new_field_changes_no_old_digest() -> None:
    assert dump(Outer("x")) == {"name": "x"}
    assert dump(FULL) == {
        "name": "x", "count": 1, "share": 0.25, "open": True, "at": "2026-11-20T02:00:00.000Z", "day": "2026-11-20",
        "limit": "2nd", "inner": {"level": "high"}, "rows": [{}, {"level": "high", "tags": ["a"]}],
    }  # fmt: skip


def test_the_canonical_form_sorts_names_and_keeps_chinese() -> None:
    assert canonical({"b": 1, "a": [True, None, "漏水"]}) == '{"a":[true,null,"漏水"],"b":1}'.encode()
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert len(digest([])) == 32
    assert digest(dump(frozenset({"b", "a"}))) == digest(["a", "b"])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), plain_within, max_leaves=8))
def test_the_canonical_form_is_what_json_says(plain: Any) -> None:
    said = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert canonical(plain) == said.encode()


def test_digests_are_what_they_were() -> None:
    """Old records must verify for ever."""
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad808"
    assert Command("1", FRIDAY, COMPANY, c.Accept()).digest == digest(["accept", {}])


# -------------------------------------------------------------------------------------------------------------- times


def test_times_are_utc_milliseconds_and_z() -> None:
    assert format_time(local("2026-11-20 10:00:00.123456")) == "2026-11-20T02:00:00.123Z"
    assert format_time(datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=8)))) == "2026-11-20T02:00:00.000Z"
    assert parse_time("2026-11-20T10:00:00.1239+08:00") == datetime(2026, 11, 20, 2, 0, 0, 123000, tzinfo=UTC)
    assert parse_time("2026-11-20T02:00:00Z") == FRIDAY


@given(st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
def test_times_are_written_as_the_library_writes_them(moment: datetime) -> None:
    said = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    assert format_time(moment) == said.replace("+00:00", "Z")


@given(times)
def test_times_are_read_back(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment
    assert truncate(moment) == moment


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T02:00:00", "2026-11-20", "yesterday", "", 5, None, [], "2026-13-01T00:00:00Z",
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"],
)  # fmt: skip
def test_what_is_no_time_with_a_zone_is_refused(text: Any) -> None:
    with pytest.raises(WireError, match="not a time with a zone"):
        parse_time(text)


def test_a_time_without_a_zone_is_not_written() -> None:
    for write in (format_time, truncate):
        with pytest.raises(WireError, match="needs a zone"):
            write(datetime(2026, 11, 20))  # noqa: DTZ001


# -------------------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "Outer: expected an object, got []"),
        ({}, "Outer.name: missing"),
        ({"name": 5}, "Outer.name: expected str, got 5"),
        ({"name": None}, "Outer.name: expected str, got None"),
        ({"name": "x", "mood": 1}, "Outer.mood: unknown field"),
        ({"name": "x", "count": "1"}, "Outer.count: expected int, got '1'"),
        ({"name": "x", "count": True}, "Outer.count: expected int, got True"),
        ({"name": "x", "count": 1.5}, "Outer.count: expected int, got 1.5"),
        ({"name": "x", "share": True}, "Outer.share: expected float, got True"),
        ({"name": "x", "open": 1}, "Outer.open: expected bool, got 1"),
        ({"name": "x", "at": "noon"}, "Outer.at: not a time with a zone: 'noon'"),
        ({"name": "x", "day": "2026-11-31"}, "Outer.day: not a date: '2026-11-31'"),
        ({"name": "x", "day": 5}, "Outer.day: not a date: 5"),
        ({"name": "x", "limit": "2 days"}, "Outer.limit: not a limit: '2 days'"),
        ({"name": "x", "limit": 2}, "Outer.limit: expected text, got 2"),
        ({"name": "x", "inner": {"level": "top"}}, "Outer.inner.level: 'top' is not one of low, high"),
        ({"name": "x", "inner": {"level": []}}, "Outer.inner.level: [] is not one of low, high"),
        ({"name": "x", "inner": {"tags": "ab"}}, "Outer.inner.tags: expected a list, got 'ab'"),
        ({"name": "x", "inner": {"tags": ["a", 1]}}, r"Outer.inner.tags[1]: expected str, got 1"),
        ({"name": "x", "rows": [{}, {"level": "top"}]}, "Outer.rows[1].level: 'top' is not one of low, high"),
        ({"name": "x", "rows": {}}, "Outer.rows: expected a list, got {}"),
        ({"name": "x", "pair": [1]}, "Outer.pair: expected a list of 2, got [1]"),
        ({"name": "x", "pair": [1, 2]}, "Outer.pair[1]: expected str, got 2"),
        ({"name": "x", "notes": {"a": {"level": 1}}}, "Outer.notes.a.level: 1 is not one of low, high"),
        ({"name": "x", "notes": []}, "Outer.notes: expected an object, got []"),
    ],
)
def test_what_does_not_fit_says_where(plain: Any, message: str) -> None:
    with pytest.raises(WireError) as found:
        load(Outer, plain)
    assert str(found.value).startswith(message)


def test_a_whole_number_is_a_share_too() -> None:
    assert load(Outer, {"name": "x", "share": 1}).share == 1.0


def test_a_whole_number_that_is_no_share_is_refused() -> None:
    with pytest.raises(WireError, match="beyond all measure"):
        load(float, 10**400)


def test_the_place_may_be_given_a_name() -> None:
    with pytest.raises(WireError, match=r"^Order\.name: missing"):
        load(Outer, {}, "Order")
    with pytest.raises(WireError, match=r"^Outer\.mood: unknown field"):
        load_fields(Outer, {"mood": 1})
    with pytest.raises(WireError, match=r"^Outer\.count: expected int"):
        load_fields(Outer, {"count": "x"})


# ---------------------------------------------------------------------------------------- commands, events and the rest


@pytest.mark.parametrize("name", SIGNALS)
def test_every_command_is_read_back(name: str) -> None:
    for make in BODIES[name]:
        command = Command("1", FRIDAY, COMPANY, make(FRIDAY), expected_version=4)
        plain = {"id": "1", "at": format_time(FRIDAY), "actor": dump(COMPANY), "body": dump(command.body)}
        plain["expected_version"] = 4
        assert load_command(name, json.loads(canonical(plain))) == command
        assert command.name == name


ACTOR = {"person": "p1", "role": "property", "org": "company-a"}


@pytest.mark.parametrize(
    ("name", "plain", "message"),
    [
        ("accept", {}, "Command.id: missing"),
        ("accept", {"id": "1", "at": "2026-11-20T02:00:00Z"}, "Command.actor: missing"),
        ("accept", {"id": "1", "at": "noon", "actor": ACTOR}, "Command.at: not a time"),
        ("accept", {"id": "1", "at": "2026-11-20T02:00:00Z", "actor": {**ACTOR, "role": "king"}}, "Command.actor.role"),
        ("accept", {"id": "1", "at": "2026-11-20T02:00:00Z", "actor": ACTOR, "body": {"x": 1}}, "Accept.x: unknown"),
        ("answer", {"id": "1", "at": "2026-11-20T02:00:00Z", "actor": ACTOR}, "Answer.text: missing"),
        ("accept", {"id": "1", "at": "2026-11-20T02:00:00Z", "actor": ACTOR, "x": 1}, "Command.x: unknown field"),
        ("deadline_passed", {"id": "1"}, "Command: there is no command 'deadline_passed'"),
        ("teleport", {}, "Command: there is no command 'teleport'"),
    ],
)
def test_a_command_that_does_not_fit_says_where(name: str, plain: dict[str, Any], message: str) -> None:
    with pytest.raises(WireError) as found:
        load_command(name, plain)
    assert str(found.value).startswith(message)


def test_commands_from_inside_are_never_signals() -> None:
    assert not {"deadline_passed", "undecodable", "report"} & SIGNALS.keys()
    assert all(name == name.lower() for name in SIGNALS)


def test_an_event_has_its_kind_and_data_on_the_wire() -> None:
    stage = Stage()
    accepted = stage.give(COMPANY, c.Accept("马上到"))[0]
    assert dump_event(accepted) == {
        "seq": 3, "kind": "accepted", "at": "2026-11-20T02:01:00.000Z", "level": "property",
        "actor": {"person": "staff-1", "role": "property", "org": "company-a"},
        "clause": "accept", "was_due": "2026-11-20T02:10:00.000Z", "due": "2026-11-20T02:06:00.000Z",
        "command": {"id": "command-2", "digest": digest(["accept", {"note": "马上到"}])},
        "held": [{"holder": "operator", "org": "company-a", "ms": 60000}],
        "data": {"note": "马上到"},
    }  # fmt: skip
    warned = stage.let_pass(local("2026-11-20 10:05:30"))[0]
    plain = dump_event(warned)
    assert (plain["kind"], plain["actor"], plain["data"]) == ("warned", None, {})
    assert plain["recorded_at"] > plain["at"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "vanished"}, "Event.kind: unknown kind 'vanished'"),
        ({"kind": ["accepted"]}, "Event.kind: unknown kind"),
        ({"seq": "3"}, "Event.seq: expected int"),
        ({"mood": 1}, "Event.mood: unknown field"),
        ({"held": [{"holder": "operator"}]}, "Event.held[0].org: missing"),
        ({"data": {"x": 1}}, "Accepted.x: unknown field"),
    ],
)
def test_an_event_that_does_not_fit_says_where(change: dict[str, Any], message: str) -> None:
    plain = dump_event(Stage().give(COMPANY, c.Accept())[0])
    with pytest.raises(WireError) as found:
        load_event({**plain, **change})
    assert str(found.value).startswith(message)


def test_every_kind_of_event_has_a_rule() -> None:
    assert CHANGES.keys() == KINDS.keys()


def test_every_command_is_taken_by_a_function_or_recorded_as_it_is() -> None:
    assert not TAKE.keys() & RECORDED.keys()
    assert TAKE.keys() | RECORDED.keys() == {c.Report, *SIGNALS.values()}
    for command, event in RECORDED.items():
        assert [(each.name, each.type) for each in fields(command)] == [
            (each.name, each.type) for each in fields(event)
        ]


def test_kinds_are_lower_case_past_tense_words_of_the_design() -> None:
    named = (
        "reported dispatched led accepted contacted sat assigned arrived assessed mitigated planned answered completed "
        "confirmed closed suspended resumed escalated redispatched returned declined extended warned overdue reminded "
        "urged refused rejected_signal"
    )
    assert set(named.split()) <= EVENTS.keys()
    assert all(Event(1, FRIDAY, None, "property", kind.__new__(kind)).kind == name for name, kind in EVENTS.items())


@pytest.mark.parametrize("policy_id", ["demo", "52022", "12345", "3+3+5", "dispute"])
def test_policies_and_calendars_are_read_back(policy_id: str) -> None:
    policy = pack(policy_id)
    again = load(Policy, json.loads(canonical(dump(policy))))
    assert again == policy
    assert again.digest == policy.digest
    calendars = tuple(load(YearCalendar, json.loads(canonical(dump(calendar)))) for calendar in CALENDARS)
    assert calendars == CALENDARS
