"""Responses show readers the issue, with personal data masked for those who may not read it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

import api.app  # every route's shapes are loaded
from api.http.responses import EventView, IssueView, ReceiptView, TimelineView
from domain.access import Sight, sight
from domain.accounts import Climb
from domain.advance import advance
from domain.commands import Accept, Actor, Arrive, Assign, Body, Command, Complete, Confirm, ContactDetails, Report, Sit
from domain.events import Event
from domain.issue import Issue
from domain.place import Place
from domain.wire import WireError, format_time, parse_time
from policies.loader import load_pack
from protocol.masking import MASK, mask_phone
from protocol.reader import Timeline
from support.completions import ANSWER
from support.grants import granted

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
PLACE = Place("demo", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")
RESIDENT = Actor("r1", "resident")
STAFF = Actor("p1", "property", "demo-property")
COMMUNITY = Actor("c1", "community", "demo-community")
STREET = Actor("s1", "street", "demo-street")
AUDITOR = Actor("a1", "auditor", "demo-street")
ADMIN = Actor("m1", "admin", "demo-street")
REPORT = Report(
    number="JS-1", place=PLACE, category="leak", description="厨房漏水", location="3幢",
    contact=ContactDetails("王五", "13812348000"),
)  # fmt: skip


def play(*commands: tuple[Actor, Body]) -> tuple[Issue, list[Event]]:
    """An issue after its report and these commands, a second apart."""
    issue, events = Issue.new("i1", load_pack("demo"), ()), []
    for n, (actor, body) in enumerate([(RESIDENT, REPORT), *commands]):
        at = START.replace(second=n)
        issue, more = advance(issue, [Command(f"c{n}", at, actor, body, grants=granted(actor, PLACE))], at)
        events += more
    return issue, events


def wire(view: BaseModel) -> dict[str, Any]:
    """What is sent."""
    return json.loads(view.model_dump_json(exclude_unset=True))


def seen_by(viewer: Actor, issue: Issue, event: Event) -> dict[str, Any]:
    return wire(EventView.from_event(event, sight(issue, viewer)))


def shapes(base: type[BaseModel] = BaseModel) -> Iterator[type[BaseModel]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("api."):
            yield kind
        yield from shapes(kind)


EXAMPLES = sorted({kind for kind in shapes() if hasattr(kind, "example")}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_an_example_has_the_shape_that_it_stands_for(kind: Any) -> None:
    assert api.app
    assert len(EXAMPLES) > 15
    kind.model_validate_json(json.dumps(kind.example))


def test_an_issue_looks_as_in_the_contract() -> None:
    view = wire(IssueView.from_issue(play()[0]))
    assert view["status"] == "dispatched"
    assert view["level"] == "property"
    assert view["handler"] == "demo-property"
    assert view["version"] == 2
    assert set(view["policy"]) == {"id", "version", "digest"}
    assert view["next"] == {
        "milestone": "accept", "due": "2026-11-21T08:00:10.000Z", "org": "demo-property", "clause": "accept",
    }  # fmt: skip
    assert view["closed"] is None


def test_a_closed_issue_says_how_and_expects_nothing() -> None:
    done = (
        (STAFF, Accept()),
        (STAFF, Arrive("minor")),
        (STAFF, Complete(answer=ANSWER)),
        (RESIDENT, Confirm("solved", "satisfied")),
    )
    view = wire(IssueView.from_issue(play(*done)[0]))
    assert view["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    assert view["next"] is None


def test_an_event_has_every_field_of_the_contract() -> None:
    _, events = play((STAFF, Accept("马上到")))
    view = wire(EventView.from_event(events[-1], Sight(text=True, phone=True)))
    assert {"seq", "kind", "at", "recorded_at", "actor", "level", "clause", "due", "data"} <= set(view)
    assert view["kind"] == "accepted"
    assert view["at"] == "2026-11-21T08:00:01.000Z"
    assert view["recorded_at"] is None
    assert view["actor"] == {"person": "p1", "role": "property", "org": "demo-property"}
    assert view["was_due"] == "2026-11-21T08:00:10.000Z"
    assert view["held"] == [{"holder": "operator", "org": "demo-property", "ms": 1000}]
    assert view["data"] == {"note": "马上到"}


def test_data_shows_fields_at_their_default_too() -> None:
    _, events = play()
    data = EventView.from_event(events[0], Sight(text=True, phone=True)).data
    assert data["urgent"] is False
    assert data["follows"] is None


@pytest.mark.parametrize("viewer", [RESIDENT, STAFF])
def test_reporter_handler_and_lead_see_all(viewer: Actor) -> None:
    issue, events = play()
    data = seen_by(viewer, issue, events[0])["data"]
    assert data["description"] == "厨房漏水"
    assert data["contact"] == {"name": "王五", "phone": "13812348000"}


@pytest.mark.parametrize("viewer", [COMMUNITY, STREET])
def test_the_levels_above_read_but_do_not_see_the_phone(viewer: Actor) -> None:
    issue, events = play()
    data = seen_by(viewer, issue, events[0])["data"]
    assert data["description"] == "厨房漏水"
    assert data["contact"] == {"name": "王五", "phone": "138****8000"}


@pytest.mark.parametrize("viewer", [AUDITOR, ADMIN])
def test_auditors_and_administrators_see_that_there_is_something_but_not_what(viewer: Actor) -> None:
    issue, events = play()
    view = seen_by(viewer, issue, events[0])
    assert view["data"]["description"] == MASK
    assert view["data"]["location"] == MASK
    assert view["data"]["contact"] == {"name": MASK, "phone": MASK}
    assert view["data"]["category"] == "leak"
    assert view["actor"] == {"person": MASK, "role": "resident", "org": None}


def test_an_auditor_sees_which_member_of_staff_acted() -> None:
    issue, events = play((STAFF, Accept("马上到")))
    view = seen_by(AUDITOR, issue, events[-1])
    assert view["actor"] == {"person": "p1", "role": "property", "org": "demo-property"}
    assert view["data"] == {"note": MASK}


def test_every_personal_field_is_masked_lists_included() -> None:
    issue, events = play(
        (STAFF, Accept()), (STAFF, Assign("老王")), (STAFF, Arrive()), (STAFF, Sit("", ("501", "401")))
    )
    kinds = {event.kind: seen_by(AUDITOR, issue, event)["data"] for event in events}
    assert kinds["assigned"] == {"person": MASK, "note": "", "appointed": None}
    assert kinds["sat"] == {"note": "", "parties": [MASK, MASK]}


@pytest.mark.parametrize(
    ("phone", "shown"),
    [("13800008000", "138****8000"), ("021-12345678", "021*****5678"), ("110", MASK), ("", "")],
)
def test_a_phone_number_keeps_its_ends(phone: str, shown: str) -> None:
    assert mask_phone(phone, Sight(text=True, phone=False)) == shown


def test_the_timeline_says_whose_minutes_they_were() -> None:
    issue, events = play((STAFF, Accept()), (STAFF, Arrive("minor")))
    view = wire(TimelineView.from_timeline(Timeline.of(events, ()), sight(issue, STAFF), issue.policy))
    assert [event["seq"] for event in view["events"]] == list(range(1, issue.version + 1))
    assert view["minutes"] == [{"holder": "operator", "org": "demo-property", "ms": 2000, "minutes": 0.03}]


def test_the_timeline_shows_the_climbs_on_the_account_of_the_handler() -> None:
    issue, events = play((STAFF, Accept()))
    climb = Climb(5, "accept", START, "demo-property", made_good=False, ms=90_000)
    view = wire(TimelineView.from_timeline(Timeline.of(events, (climb,)), sight(issue, STAFF), issue.policy))
    assert view["accounts"] == [
        {
            "seq": 5,
            "clause": "accept",
            "at": format_time(START),
            "org": "demo-property",
            "made_good": False,
            "ms": 90_000,
        }
    ]


def test_a_refused_command_keeps_its_reason_in_the_receipt() -> None:
    issue, _ = play((STAFF, Arrive()))
    view = wire(ReceiptView.from_issue("c1", issue))
    assert (view["outcome"], view["code"]) == ("refused", "accept-first")
    assert "accept" in view["reason"]


def test_times_are_written_as_the_wire_reads_them() -> None:
    try:
        parse_time(wire(IssueView.from_issue(play()[0]))["next"]["due"])
    except WireError:
        pytest.fail("not a time")
