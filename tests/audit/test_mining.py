"""Exports for process mining: independent readers of the standards read back the events."""

import copy
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import domain.commands as c
from audit.mining.attributes import _flat
from audit.mining.ocel import write_ocel
from audit.mining.traces import Exported, IssueTrace, Pseudonyms
from audit.mining.xes import write_xes
from audit.timeline import states
from domain.advance import advance
from domain.commands import Actor, Command
from domain.events import EVENTS, Event, EventBody, Held, PolicyRef
from domain.issue import Issue, lead_org
from domain.personal import Personal, Sealed
from domain.place import Handler, Place
from domain.policy import Policy
from domain.vocabulary import HandlerKind, Holder
from domain.wire import PERSONAL, truncate
from domain.worktime import Limit, YearCalendar
from support.grants import granted
from support.mining_readers import Ocel, OcelObject, Unfit, Xes, read_ocel, read_xes
from support.mining_sums import read_tables, sums_of_objects, sums_of_tables, sums_of_traces
from tests.domain.casting import body, rightful, usual
from tests.domain.play import CALENDARS, CASTING, COMPANY, FRIDAY, REPORTER, SETTLED_2027, Stage, arrived, pack, place

KEY: Final = b"a key for pseudonyms"
MARK: Final = "谁也不该看见这一句话"
"""Stands in every personal text, and must stand in no export."""
ORGS: Final = {
    "company-a": "operator:company-a", "company-b": "operator:company-b", "helpers": "operator:helpers",
    "elm": "community:elm", "oak": "community:oak", "north": "street:north", "south": "street:south",
    "enforcement": "department:enforcement",
}  # fmt: skip
"""The organisations of the tests as objects, by hand."""
Steps = Sequence[tuple[Event, Issue]]
Script = list[tuple[bool, int, int, float]]
SCRIPTS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 500), st.integers(0, 9), st.sampled_from((0, 8, 300, 7200, 90_000))),
    max_size=20,
)
PACKS = st.sampled_from(("demo", "52022", "12345", "3+3+5", "dispute"))
OPERATORS = st.sampled_from(("company", "society", "volunteers", None))


def life(pack_id: str, kind: Any, script: Script, follows: str | None) -> Steps:
    """What becomes of one issue at random; and in the end it is left alone for two months."""
    where = replace(place(kind), grid="g1") if follows else place(kind)
    report = c.Report("JS-1", where, "leak", MARK, location=MARK, contact=c.ContactDetails(MARK), follows=follows)
    issue, now = Issue.new("issue-1", pack(pack_id), CALENDARS), FRIDAY
    start = issue
    issue, events = advance(issue, [Command("0", now, REPORTER, report)], now)
    for number, (forward, choice, variant, jump) in enumerate(script, 1):
        now += timedelta(seconds=jump)
        actor, name = (usual if forward else rightful)(issue, choice)
        command = Command(str(number), now, actor, body(name, variant, now), grants=granted(actor, where))
        issue, more = advance(issue, [command], now)
        events += more
    issue, more = advance(issue, [], now + timedelta(days=60))
    return list(states(start, [*events, *more]))


def export(write: Callable[..., Exported], told: dict[str, Steps], **options: Any) -> bytes:
    file = BytesIO()
    key = options.pop("key", KEY)
    written = write((IssueTrace(name, iter(steps)) for name, steps in told.items()), file, key, **options)
    some = [steps for steps in told.values() if steps]
    assert written == Exported(len(some), sum(map(len, some)))
    return file.getvalue()


# What the events say, worked out from the values themselves ------------------------------------------------------------


def writable(text: str) -> str:
    def fits(sign: str) -> bool:
        return sign in "\t\n\r" or (sign >= " " and not "\ud800" <= sign <= "\udfff" and sign not in "\ufffe\uffff")

    return "".join(sign if fits(sign) else "\ufffd" for sign in text)


def named(policy: Policy | PolicyRef) -> str:
    return f"{policy.id}/{policy.version}"


UNTOLD = {
    ("refused", "params"),
    ("reported", "reporter"),
    ("reported", "taken_by"),
    ("reported", "building"),
    ("assigned", "appointed"),
    ("directory_changed", "left"),
}


def said(event: Event, people: Callable[[str], str]) -> dict[str, Any]:
    """Every attribute of the event."""
    found: dict[str, Any] = {
        "seq": event.seq, "level": event.level, "clause": event.clause, "due": event.due, "was_due": event.was_due,
        "recorded_at": event.recorded_at,
    }  # fmt: skip
    if event.actor:
        found |= {"resource": people(event.actor.person), "role": event.actor.role, "org": event.actor.org}
    for part in event.held:
        found[f"held_ms_{part.holder}"] = sum(each.ms for each in event.held if each.holder == part.holder)
        orgs = [each.org for each in event.held if each.holder == part.holder and each.org is not None]
        found[f"held_org_{part.holder}"] = " ".join(dict.fromkeys(orgs)) if orgs else None
    for each in fields(event.body):
        value, name = getattr(event.body, each.name), f"data_{each.name}"
        if each.metadata == PERSONAL or (event.kind, each.name) in UNTOLD:
            continue
        match value:
            case Place():
                continue
            case Handler(code, kind):
                found |= {name: code, f"{name}_kind": kind}
            case Policy() | PolicyRef():
                found[name] = named(value)
            case YearCalendar():
                found[name] = f"{value.year}/{value.version}"
            case Limit():
                found[name] = f"{value.amount}{value.unit}"
            case tuple():
                found[name] = " ".join(value) if each.name in ("ladder", "routes") else len(value)
            case _:
                found[name] = value
    return {
        name: writable(value) if isinstance(value, str) else value for name, value in found.items() if value is not None
    }


def stands(issue: Issue) -> dict[str, Any]:
    """What an issue is at a moment; without what it has not."""
    found: dict[str, Any] = {
        "number": issue.number or None, "category": issue.category, "urgent": issue.urgent,
        "about_operator": issue.about_operator, "grid": issue.place.grid or None, "follows": issue.follows,
        "policy": named(issue.policy), "status": issue.status, "level": issue.level, "lead": lead_org(issue) or None,
        "handler": issue.handler.code or None, "assessment": issue.assessment,
        "outcome": issue.closed and issue.closed.kind, "satisfaction": issue.closed and issue.closed.satisfaction,
    }  # fmt: skip
    return {
        name: writable(value) if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None
    }  # fmt: skip


def related(steps: Steps, at: int, issue: str) -> set[tuple[str, str]]:
    """To what the event at this place is related."""
    event, state = steps[at]
    before = steps[at - 1][1] if at else None
    found = {(f"issue:{issue}", "issue")}
    if before is None:
        found |= places(state)
    if event.actor and event.actor.org:
        found.add((ORGS[event.actor.org], "by"))
    found |= {(ORGS[part.org], "held") for part in event.held if part.org}
    if lead_org(state) and (before is None or lead_org(before) != lead_org(state)):
        found.add((ORGS[lead_org(state)], "lead"))
    if state.handler.code and (before is None or before.handler.code != state.handler.code):
        found.add((ORGS[state.handler.code], "handler"))
    if before is None or named(before.policy) != named(state.policy):
        found.add((f"policy:{named(state.policy)}/{state.policy.digest}", "policy"))
    return found


def places(state: Issue) -> set[tuple[str, str]]:
    found = {("compound:garden", "compound"), ("community:elm", "community"), ("street:north", "street")}
    return found | ({("operator:company-a", "operator")} if state.place.operator else set())


def timed(steps: Steps) -> dict[tuple[str, datetime], Any]:
    """What became of the issue: at each moment the last value, and an empty one where there is none yet or any more.

    A value that is taken away at the moment it is given is none.
    """
    later = {name for _, state in steps for name in stands(state)}
    found: dict[tuple[str, datetime], Any] = {(name, steps[0][0].at): "" for name in later}
    before: dict[str, Any] = {}
    for event, state in steps:
        now = stands(state)
        for name in [*now, *(before.keys() - now.keys())]:
            if now.get(name) != before.get(name):
                found[name, event.at] = now.get(name, "")
        before = now
    held = {name for (name, _), value in found.items() if value != ""}
    return {key: value for key, value in found.items() if key[0] in held}


def check_ocel(log: Ocel, told: dict[str, Steps], people: Callable[[str], str]) -> None:
    told = {writable(name): steps for name, steps in told.items() if steps}
    assert log.event_types.keys() == EVENTS.keys()
    events = {f"{name}:{event.seq}": (name, at) for name, steps in told.items() for at, (event, _) in enumerate(steps)}
    assert log.events.keys() == events.keys()
    for key, (name, at) in events.items():
        event = told[name][at][0]
        assert (log.events[key].type, log.events[key].time) == (event.kind, event.at)
        assert log.events[key].attributes == said(event, people)
        assert log.events[key].relations == related(told[name], at, name)
    for name, steps in told.items():
        assert log.objects[f"issue:{name}"] == OcelObject("issue", timed(steps), places(steps[0][1]))
    shared = {key: each for key, each in log.objects.items() if each.type != "issue"}
    assert len(shared) + len(told) == len(log.objects)
    meant = {other for each in log.events.values() for other, _ in each.relations if not other.startswith("issue:")}
    assert shared.keys() == meant, "objects that nothing happened to"
    assert all(each.type == key.partition(":")[0] for key, each in shared.items())
    reports = [(steps[0][0].at, steps[0][1].place) for steps in told.values()]
    beyond = {"compound:garden": {("community:elm", "community")}, "community:elm": {("street:north", "street")}}
    for key, each in shared.items():
        assert each.relations == beyond.get(key, set())
        if key.startswith("policy:"):
            (at,) = {at for _, at in each.attributes}
            id_, version, digest = key.removeprefix("policy:").split("/")
            assert each.attributes == {("id", at): id_, ("version", at): int(version), ("digest", at): digest}
        elif key == "compound:garden":
            assert each.attributes == shown("name", ((at, writable(of.name)) for at, of in reports))
        elif key == "operator:company-a":
            own = ((at, of.operator_kind) for at, of in reports if of.operator)
            assert each.attributes == shown("kind", own)
        else:
            assert each.attributes == {}


def shown(name: str, seen: Iterable[tuple[datetime, str | None]]) -> dict[tuple[str, datetime], str]:
    """What a place is called, each name from when it is first seen; of two at once that of the issue told first."""
    least: dict[str, datetime] = {}
    for at, value in seen:
        if value:
            least[value] = min(at, least.get(value, at))
    return {(name, at): next(value for value in least if least[value] == at) for at in least.values()}


def check_xes(log: Xes, told: dict[str, Steps], people: Callable[[str], str]) -> None:
    told = {name: steps for name, steps in told.items() if steps}
    assert log.extensions.keys() == {"concept", "time", "org", "lifecycle"}
    assert len(log.traces) == len(told)
    tags = {bool: "boolean", int: "int", str: "string", datetime: "date"}
    standard = {"resource": "org:resource", "role": "org:role", "org": "org:group"}
    for trace, (name, steps) in zip(log.traces, told.items(), strict=True):
        state = steps[-1][1]
        at = state.place  # another one than at first where the directory changed
        where: dict[str, Any] = {"compound": "garden", "community": at.community, "street": at.street}
        if at.operator:
            where["operator"] = at.operator
        own = {f"jiesu:{key}": value for key, value in {"number": "", **stands(state), **where}.items()}
        own |= {"concept:name": writable(name)}
        assert trace.attributes == {key: (tags[type(value)], value) for key, value in own.items()}
        assert len(trace.events) == len(steps)
        for got, (event, _) in zip(trace.events, steps, strict=True):
            own = {standard.get(key, f"jiesu:{key}"): value for key, value in said(event, people).items()}
            own |= {"concept:name": event.kind, "time:timestamp": event.at, "lifecycle:transition": "complete"}
            assert got == {key: (tags[type(value)], value) for key, value in own.items()}


def check(told: dict[str, Steps], **options: Any) -> tuple[bytes, bytes]:
    """Both exports, after everything in them was found to be what the events say."""
    people = Pseudonyms(KEY, names=options.get("names", False)).resource
    ocel, xes = export(write_ocel, told, **options), export(write_xes, told, **options)
    if any(told.values()):
        check_ocel(read_ocel(ocel), told, people)
    check_xes(read_xes(xes), told, people)
    return ocel, xes


# Issues as they happen -------------------------------------------------------------------------------------------------

LIVES = st.lists(st.tuples(PACKS, OPERATORS, SCRIPTS, st.sampled_from((None, "issue-0"))), max_size=3)


@settings(max_examples=100)
@given(lives=LIVES)
def test_whatever_happened_is_read_back(lives: list[tuple[str, Any, Script, str | None]]) -> None:
    told = {f"issue-{number}": life(*each) for number, each in enumerate(lives)}
    for data in check(told):
        assert MARK.encode() not in data
        assert not [actor for actor in CASTING.values() if f'"{actor.person}"'.encode() in data]


# Events as no issue has them: every kind, with any text -----------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: truncate(at.replace(tzinfo=UTC)))  # noqa: DTZ001
HOLDINGS: Final[tuple[tuple[Holder, str | None], ...]] = (
    ("operator", "company-a"), ("operator", "company-b"), ("resident", None), ("community", "elm"),
    ("street", "north"), ("department", "enforcement"), ("third_party", "helpers"), ("nobody", None),
)  # fmt: skip
HANDLERS = st.builds(Handler, TEXT, st.sampled_from(get_args(HandlerKind)))


def anything(hint: Any, personal: bool) -> st.SearchStrategy[Any]:
    """Any value of the type; what is personal has the mark."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint == Personal:
        return st.sampled_from((MARK, Sealed(MARK, MARK)))
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0], personal), max_size=3).map(tuple)
    if args := [each for each in get_args(hint) if each is not type(None)]:
        return st.none() | anything(args[0], personal)
    return {
        str: st.just(MARK) if personal else TEXT, bool: st.booleans(), int: st.integers(0, 2**40), datetime: MOMENTS,
        Limit: st.builds(Limit, st.integers(1, 9), st.sampled_from(("s", "sm", "h", "nd", "wd"))),
        Place: st.just(place()), Handler: HANDLERS, PolicyRef: st.builds(PolicyRef, TEXT, st.integers(1, 9), TEXT),
        Actor: st.sampled_from((*CASTING.values(),)),
        Policy: st.sampled_from(("demo", "52022")).map(pack), YearCalendar: st.just(SETTLED_2027),
        c.Voice: st.builds(c.Voice, st.just(MARK), MOMENTS, st.just(MARK)),
        c.Step: st.builds(c.Step, st.just(MARK), MOMENTS, st.just(MARK)),
        c.ContactDetails: st.just(c.ContactDetails(MARK, MARK)),
    }[hint]  # fmt: skip


def of_kind(kind: type[EventBody]) -> st.SearchStrategy[EventBody]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{f.name: anything(hints[f.name], f.metadata == PERSONAL) for f in fields(kind)})


MAYBE = st.none() | MOMENTS
PEOPLE = st.builds(
    lambda actor, person: replace(actor, person=f"person-{person}"), st.sampled_from((*CASTING.values(),)), TEXT
)
HELD = st.lists(
    st.builds(lambda whose, ms: Held(whose[0], whose[1], ms), st.sampled_from(HOLDINGS), st.integers(0, 2**40))
)


def happened(kind: type[EventBody]) -> st.SearchStrategy[Event]:
    return st.builds(
        Event, seq=st.just(0), at=MOMENTS, actor=st.none() | PEOPLE, level=st.sampled_from(("property", "street")),
        body=of_kind(kind), recorded_at=MAYBE, clause=st.none() | TEXT, due=MAYBE, was_due=MAYBE, held=HELD.map(tuple),
    )  # fmt: skip


STATE: Final = arrived().issue
STATES = st.builds(
    lambda number, name, grid, follows, kind: replace(
        STATE, number=number, follows=follows or None, place=replace(place(kind), name=name, grid=grid)
    ),
    TEXT, TEXT, TEXT, st.none() | TEXT, st.sampled_from(("company", "society")),
)  # fmt: skip


GROUPS: Final = [tuple(EVENTS)[first : first + 10] for first in range(0, len(EVENTS), 10)]
"""Kinds that are told in one file: to write and read what every file declares takes longer than ten events."""


@pytest.mark.parametrize("kinds", GROUPS, ids=" ".join)
def test_every_kind_of_event_is_told_with_all_that_is_not_personal(kinds: Sequence[str]) -> None:
    @settings(max_examples=25)
    @given(
        events=st.tuples(*(happened(EVENTS[kind]) for kind in kinds)).flatmap(st.permutations),
        state=STATES, issue=TEXT, names=st.booleans(),
    )  # fmt: skip
    def is_told(events: list[Event], state: Issue, issue: str, names: bool) -> None:
        steps = [(replace(event, seq=seq), state) for seq, event in enumerate(events, 1)]
        for data in check({issue: steps}, names=names):
            assert MARK.encode() not in data
            assert names or b"person-" not in data

    is_told()


def test_a_new_field_of_an_unheard_of_type_is_not_left_out_in_silence() -> None:
    with pytest.raises(TypeError, match="how is"):
        list(_flat("price", float))


# Pseudonyms ------------------------------------------------------------------------------------------------------------------


def staged() -> Stage:
    """Refused, reopened, sent round, climbed to the top, overlooked, put under another policy, closed: a long life."""
    stage = arrived("complex")
    stage.give(CASTING["rival"], c.Accept())
    stage.give(COMPANY, c.Plan((c.Step(MARK, stage.now + timedelta(days=2)),), MARK))
    stage.give(COMPANY, c.Complete("solved", MARK, ("照片",), MARK))
    stage.give(REPORTER, c.Reopen(MARK))
    stage.give(CASTING["community"], c.Redispatch("helpers", MARK, "volunteers"))
    stage.give(CASTING["volunteers"], c.Accept())
    stage.let_pass(86_400 * 20)
    stage.outage(86_400 * 20)
    stage.give(CASTING["admin"], c.ChangePolicy("demo", MARK, pack("demo")))
    stage.give(CASTING["street"], c.Accept())
    stage.give(CASTING["street"], c.Arrive())
    stage.give(CASTING["street"], c.Complete("solved", MARK))
    stage.let_pass(86_400 * 20)
    return stage


def steps_of(stage: Stage, policy: str = "52022") -> Steps:
    return list(states(Issue.new(stage.issue.id, pack(policy), CALENDARS), stage.events))


STEPS: Final = steps_of(staged())


def test_a_long_life_is_read_back_and_the_file_is_the_same_each_time() -> None:
    kinds = {event.kind for event, _ in STEPS}
    assert {"refused", "redispatched", "reopened", "overdue", "escalated", "policy_changed", "closed"} <= kinds
    assert check({"one": STEPS, "two": STEPS[:3], "none": []}) == check({"one": STEPS, "two": STEPS[:3], "none": []})


def test_signs_that_mean_something_to_a_format_are_text_like_any_other() -> None:
    odd = "&amp;<b>\"'\\\t\n\r\x00\x1b\x7f\x85\u2028\ud800\ufffe漏\U0001f6b0 ]]> "
    steps = [(event, replace(state, number=odd, place=replace(state.place, name=odd))) for event, state in STEPS]
    check({odd: steps}, names=True)


def test_nothing_exported_is_a_log_all_the_same() -> None:
    ocel, xes = check({})
    assert not read_ocel(ocel).objects
    assert not read_xes(xes).traces


def test_people_are_one_pseudonym_under_one_key_and_another_under_another() -> None:
    def seen(key: bytes, **options: Any) -> list[Any]:
        log = read_ocel(export(write_ocel, {"one": STEPS}, key=key, **options))
        return [event.attributes.get("resource") for event in log.events.values()]

    people = [event.actor and event.actor.person for event, _ in STEPS]
    one, other = seen(KEY), seen(KEY[::-1])
    assert len({*zip(people, one, strict=True)}) == len({*people}) == len({*one})
    assert {*one} & {*other} == {None}
    assert seen(b"", names=True) == people
    with pytest.raises(ValueError, match="at least 16 bytes"):
        export(write_xes, {}, key=b"too short")


def test_a_community_that_runs_a_compound_is_one_object_not_two() -> None:
    where = replace(place("community"), operator="elm")
    stage = Stage(where=where)
    stage.give(Actor("officer-1", "property", "elm"), c.Accept())
    stage.let_pass(86_400 * 3)
    log = read_ocel(export(write_ocel, {"one": steps_of(stage)}))
    assert {key for key in log.objects if key.endswith(":elm")} == {"community:elm"}
    assert ("community:elm", "operator") in log.events["one:1"].relations
    assert ("community:elm", "by") in log.events[f"one:{stage.events[2].seq}"].relations


def test_in_the_most_used_reader_who_gave_the_command_stays_so() -> None:
    """It keeps the last relation of an event to an object; so that is the most telling one."""
    kept = [dict(_relations(each)) for each in json.loads(export(write_ocel, {"one": STEPS}))["events"]]
    by = [ORGS[event.actor.org] if event.actor and event.actor.org else None for event, _ in STEPS]
    assert len({*filter(None, by)}) > 2
    for each, org in zip(kept, by, strict=True):
        assert [other for other, qualifier in each.items() if qualifier == "by"] == ([org] if org else [])


def _relations(event: Any) -> list[tuple[str, str]]:
    return [(each["objectId"], each["qualifier"]) for each in event["relationships"]]


def test_in_the_most_used_reader_nothing_is_known_before_it_was() -> None:
    """It lets the first value of each attribute hold from the beginning."""
    tables = read_tables(export(write_ocel, {"one": STEPS}))
    assert tables.value("issue:one", "outcome", datetime.min.replace(tzinfo=UTC)) == ""
    assert tables.value("issue:one", "outcome", STEPS[-1][0].at) == "solved"
    for name in ("outcome", "satisfaction", "assessment", "lead", "handler"):
        for event, state in STEPS:
            last = [each for other, each in STEPS if other.at == event.at][-1]
            assert state is not last or tables.value("issue:one", name, event.at) == stands(state).get(name, "")


def test_independent_readers_agree_on_sums() -> None:
    told = {"one": STEPS, "two": STEPS[:9], "three": steps_of(arrived())}
    ocel, xes = export(write_ocel, told), export(write_xes, told)
    strict, loose, traces = sums_of_objects(read_ocel(ocel)), sums_of_tables(read_tables(ocel)), sums_of_traces(xes)
    assert strict == loose == traces
    assert strict["events"] == sum(map(len, told.values()))
    held = sum(part.ms for steps in told.values() for event, _ in steps for part in event.held)
    assert sum(ms for name, ms in strict.items() if name.startswith("held_ms_")) == held > 0
    assert strict["refused before anything was done"] > 0 < strict["by company-a"]


def test_levels_of_an_issue_are_values_in_time() -> None:
    log = read_ocel(export(write_ocel, {"one": STEPS}))
    moves = [(a[1].level, b[1].level, b[0].at) for a, b in pairwise(STEPS) if a[1].level != b[1].level]
    known = log.objects["issue:one"].attributes
    assert moves
    assert all(known["level", at] == new for _, new, at in moves)


# Memory --------------------------------------------------------------------------------------------------------------------


class Nowhere:
    def write(self, data: bytes, /) -> None:
        pass


def many(events: int, keep: list[str] | None = None) -> Iterator[IssueTrace]:
    """So many events of ever other issues, each reported by somebody else; what comes before the first is not counted."""
    for number in range(events // len(STEPS) + 1):
        if number == 1:
            tracemalloc.reset_peak()
        first, state = STEPS[0]
        who = replace(first, actor=Actor(f"resident-{number}", "resident"))
        if keep is not None:
            keep.append(f"resident-{number}")
        yield IssueTrace(f"issue-{number}", [(who, state), *STEPS[1:]])


def peak(write: Callable[..., Exported], events: int, keep: list[str] | None = None) -> int:
    tracemalloc.start()
    try:
        assert write(many(events, keep), Nowhere(), KEY).events >= events
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("write", [write_ocel, write_xes])
def test_ten_times_the_events_take_no_more_memory(write: Callable[..., Exported]) -> None:
    peak(write, 1_000)
    assert peak(write, 10_000) <= 1.2 * peak(write, 1_000)


def test_the_memory_measure_detects_a_growing_export() -> None:
    assert peak(write_xes, 10_000, keep=[]) > 1.2 * peak(write_xes, 1_000, keep=[])


@pytest.mark.night
@pytest.mark.parametrize("write", [write_ocel, write_xes])
def test_a_million_events_take_no_more_memory(write: Callable[..., Exported]) -> None:
    peak(write, 1_000)
    assert peak(write, 1_000_000) <= 1.2 * peak(write, 10_000)


# The readers refuse --------------------------------------------------------------------------------------------------------


def _spoil_type(log: Any) -> None:
    log["events"][0]["type"] = "unheard-of"


def _spoil_relation(log: Any) -> None:
    log["events"][0]["relationships"].append({"objectId": "issue:two", "qualifier": "issue"})


def _spoil_name(log: Any) -> None:
    log["events"][0]["attributes"].append({"name": "price", "value": "1"})


def _spoil_value(log: Any) -> None:
    next(each for each in log["events"][0]["attributes"] if each["name"] == "seq")["value"] = "first"


def _spoil_number(log: Any) -> None:
    next(each for each in log["events"][0]["attributes"] if each["name"] == "seq")["value"] = "1"


def _spoil_truth(log: Any) -> None:
    next(each for each in log["objects"][0]["attributes"] if each["name"] == "urgent")["value"] = "false"


def _spoil_time(log: Any) -> None:
    log["events"][0]["time"] = "2026-11-20"


def _spoil_object(log: Any) -> None:
    log["objects"].append(log["objects"][0])


def _spoil_timed(log: Any) -> None:
    del log["objects"][0]["attributes"][0]["time"]


def _spoil_keys(log: Any) -> None:
    log["version"] = "2.0"


def _spoil_declaration(log: Any) -> None:
    log["objectTypes"][0]["attributes"][0]["type"] = "text"


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil_type, _spoil_relation, _spoil_name, _spoil_value, _spoil_number, _spoil_truth, _spoil_time,
        _spoil_object, _spoil_timed, _spoil_keys, _spoil_declaration,
    ],
)  # fmt: skip
def test_the_reader_of_ocel_refuses(spoil: Callable[[Any], None]) -> None:
    plain = json.loads(export(write_ocel, {"one": STEPS}))
    read_ocel(json.dumps(plain).encode())
    spoiled = copy.deepcopy(plain)
    spoil(spoiled)
    with pytest.raises(Unfit):
        read_ocel(json.dumps(spoiled).encode())


EVENT: Final = "./trace/event"


@pytest.mark.parametrize(
    ("path", "tag", "attributes"),
    [
        (".", "note", {}),
        (".", "global", {}),
        (".", "extension", {"name": "Cost", "prefix": "cost", "uri": "http://www.xes-standard.org/cost.xesext"}),
        ("./trace", "string", {"key": "late", "value": "after the events"}),
        (EVENT, "string", {"key": "concept:name", "value": "twice"}),
        (EVENT, "string", {"key": "org:unheard-of", "value": ""}),
        (EVENT, "string", {"key": "cost:total", "value": "", "more": ""}),
        (EVENT, "string", {"key": "no name", "value": ""}),
        (EVENT, "string", {"key": "lacking"}),
        (EVENT, "int", {"key": "big", "value": str(2**63)}),
        (EVENT, "int", {"key": "text", "value": "one"}),
        (EVENT, "boolean", {"key": "truth", "value": "yes"}),
        (EVENT, "date", {"key": "day", "value": "2026-11-20"}),
        (EVENT, "event", {}),
    ],
)
def test_the_reader_of_xes_refuses(path: str, tag: str, attributes: dict[str, str]) -> None:
    root = ET.fromstring(export(write_xes, {"one": STEPS}))
    read_xes(ET.tostring(root))
    ET.SubElement(root if path == "." else root.findall(path)[0], tag, attributes)
    with pytest.raises(Unfit):
        read_xes(ET.tostring(root))


def test_the_reader_of_xes_misses_what_is_global() -> None:
    root = ET.fromstring(export(write_xes, {"one": STEPS}))
    event = root.findall(EVENT)[0]
    event.remove(event.findall("string[@key='jiesu:level']")[0])
    with pytest.raises(Unfit, match="global"):
        read_xes(ET.tostring(root))
