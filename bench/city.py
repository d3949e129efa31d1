"""A city's issues in the read model: real ones, folded and recorded, copied to other places, times and people.

29 streets, 406 communities and 1,300 compounds, of which one company runs a fifth and 208 others run the rest; an issue each
157 seconds; 3 % are open, 0.2 % late, 0.8 % with the street.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from bench.copies import COPY, copy, older
from db.projector import record
from db.tables import IssueRow
from db.upgrade import make_sync_engine, upgrade
from domain.advance import advance
from domain.commands import Accept, Actor, Authority, Body, Command, Report, Withdraw
from domain.directory import Works
from domain.events import Event, dump_event
from domain.issue import Issue
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import Category
from domain.wire import dump
from policies.loader import load_pack

ORIGINALS: Final = 500
BEGAN: Final = datetime(2026, 3, 2, tzinfo=UTC)
PACE: Final = 157
"""Seconds from one report to the next."""
STREETS, COMMUNITIES, COMPOUNDS, COMPANIES = 29, 406, 1300, 208
BIG: Final = "big"
"""The company that runs a fifth of the compounds."""
MANY: Final = "resident-with-many"
OF_ONE: Final = 60
"""How many issues this resident reported."""
_PLACE: Final = Place("c", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")
_RESIDENT: Final = Actor("resident-1", "resident")
_STAFF: Final = Actor("worker-1", "property", "demo-property")
_REPORTER: Final = Authority("resident", None, "report")
_SOON: Final = timedelta(seconds=1)
_CLIMBED: Final = tuple(timedelta(seconds=each) for each in (40, 100, 300))
"""When the clock is looked at of an issue that climbs up to the street, and is late there."""
_OPERATOR: Final = f"CASE WHEN c % 5 = 0 THEN '{BIG}' ELSE 'p' || (c % {COMPANIES}) END"
_COMMUNITY: Final = f"'m' || (c % {COMMUNITIES})"
_STREET: Final = f"'s' || (c % {COMMUNITIES} % {STREETS})"


def works_of(company: str) -> Works:
    """Where a company of the city works."""
    compounds = [c for c in range(COMPOUNDS) if company == (BIG if c % 5 == 0 else f"p{c % COMPANIES}")]
    streets = {f"s{c % COMMUNITIES % STREETS}" for c in compounds}
    return Works(frozenset(f"c{c}" for c in compounds), frozenset(streets))


def fill(url: str, number: int, originals: int = ORIGINALS) -> None:
    """Puts about so many issues into a new database, all copies of so many real ones."""
    upgrade(url)
    engine = make_sync_engine(url)
    try:
        policy = load_pack("demo")
        with Session(engine) as session, session.begin():
            for at in range(originals):
                _record(session, policy, at)
        ordinal = f"({COPY} * {originals} + CAST(id AS INTEGER))"
        issue = {
            "id": f"id || '-' || {COPY}", "number": f"'JS-' || {COPY} || substr(number, 9)",
            "compound": "'c' || c", "community": _COMMUNITY, "street": _STREET, "operator": _OPERATOR,
            "handler": _body("handler"), "lead_org": _body("lead_org"),
            "reporter": f"CASE WHEN ordinal % {max(1, number // OF_ONE)} = 0 THEN '{MANY}' ELSE 'r' || ordinal / 3 END",
            "opened_at": older(engine, "opened_at", PACE * originals),
            "closed_at": older(engine, "closed_at", PACE * originals),
        }  # fmt: skip
        more = {"ordinal": ordinal, "c": f"({ordinal} * 7919) % {COMPOUNDS}"}
        copy(engine, 1, number // originals - 1, {IssueRow: issue}, more)
    finally:
        engine.dispose()


def _body(column: str) -> str:
    """Who stands in this column at the place of the copy."""
    return (
        f"CASE {column} WHEN '{_PLACE.operator}' THEN {_OPERATOR} WHEN '{_PLACE.community}' THEN {_COMMUNITY} "
        f"ELSE {_STREET} END"
    )


def _record(session: Session, policy: Policy, at: int) -> None:
    """Records the original with this ordinal number: closed, or in the state that its number gives it."""
    began = BEGAN + timedelta(seconds=at * PACE)
    category: Category = "leak" if at % 10 < 3 else "animals" if at % 83 == 5 else "facility"
    report = Report(f"JS-00000-{at:05}", _PLACE, category, "楼道里的灯坏了")
    told: list[tuple[timedelta, Actor, Authority, Body]] = [(timedelta(), _RESIDENT, _REPORTER, report)]
    is_open, climbs = at % 33 == 32, at % 125 == 7
    if is_open and at % 5 == 4:
        told.append((_SOON, _STAFF, Authority("property", _STAFF.org, compound=_PLACE.compound), Accept()))
    if not is_open and at != 7:
        told.append((_CLIMBED[-1] + _SOON if climbs else _SOON, _RESIDENT, _REPORTER, Withdraw()))
    issue, happened, moment = Issue.new(f"{at:05}", policy, ()), list[Event](), began
    for after in sorted({*(each[0] for each in told), *(_CLIMBED if climbs else ())}):
        moment = began + after
        inbox = [
            Command(f"{at}-{n}", moment, actor, body, grants=(authority,))
            for n, (when, actor, authority, body) in enumerate(told)
            if when == after
        ]
        issue, events = advance(issue, inbox, moment)
        happened += events
    plain = [dump_event(event) for event in happened]
    record(session, issue.id, plain, now=moment, policy=dump(policy), calendars=[])
