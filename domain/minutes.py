"""Held time: the time for which each party had to act in an issue.

Time in which no party could act, for example in an outage, counts for ``nobody``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from domain.clocks import RULE_CLOCKS, RULING
from domain.events import Event, Held, Objected, Resumed, TakenBack
from domain.issue import Holding, Issue, rank
from domain.pauses import EARLY
from domain.vocabulary import HandlerKind, Holder, Level, WaitReason

_HANDLERS: Final[Mapping[HandlerKind, Holder]] = MappingProxyType(
    {
        "company": "operator", "society": "operator", "community": "community", "volunteers": "third_party",
        "street": "street", "department": "department",
    }
)  # fmt: skip
_WAITS: Final[Mapping[WaitReason, Holder]] = MappingProxyType(
    {
        "parts": "third_party", "weather": "nobody", "access": "resident", "third_party": "third_party",
        "department": "department", "funds": "third_party", "vote": "third_party", "procurement": "third_party",
    }
)  # fmt: skip

_MILLISECOND: Final = timedelta(milliseconds=1)


def holder(issue: Issue) -> tuple[Holder, str | None]:
    """The party that has to act now, and the code of its organisation.

    There is no code for the resident, and none during a granted wait, unless the issue is shelved. A pause that a party
    took by itself is that party's own time, whatever its reason. A question makes it the resident's only where nobody
    must still accept, call or arrive, which it does not stop. Once a wish has not been ruled on in time, the time
    is that of the level that must rule.
    """
    if issue.is_dropped and (wish := issue.wish("objection")) is not None:  # it waits for whoever must rule
        return _at(issue, wish.ruler)
    if issue.status in ("completed", "closed"):
        return "resident", None
    stop = issue.paused
    if stop is not None and stop.own and stop.by == issue.handler.code:
        return _HANDLERS[issue.handler.kind], issue.handler.code
    if stop is not None and not stop.own and stop.stops != "nothing":
        if issue.shelved:
            return "street", issue.place.street
        if issue.status != "suspended":
            return _WAITS[issue.waits_for or "third_party"], None
        if not any(clock.milestone in EARLY and clock.clause not in RULE_CLOCKS for clock in issue.clocks):
            return "resident", None
    late: list[Level] = [
        clock.level for clock in issue.clocks if clock.clause in RULING and clock.overdue and clock.level != "issue"
    ]
    return _at(issue, max([issue.level, *late], key=rank))


def _at(issue: Issue, level: Level) -> tuple[Holder, str | None]:
    """As whom a level holds time."""
    match level:
        case "street":
            return "street", issue.place.street
        case "community":
            return "community", issue.place.community
        case "property":
            return _HANDLERS[issue.handler.kind], issue.handler.code


def held(issue: Issue, event: Event, after: Issue) -> tuple[Held, ...]:
    """The time since it was last counted, by holder: at each event, but from completion on at the answer to it, and that
    of a question at its end.

    Whoever takes a completion back, or asked what was needless, holds the time since then.

    A climb or the end of a pause happens at its due time but may be recorded later, say after an outage. The holder's
    time then ends at the due time, and the rest, up to the recording, counts for ``nobody``, since nobody could know of
    the change yet. No time counts twice, and none after the close.
    """
    holding = issue.holding
    if holding is None or issue.closed is not None or after.holding is holding:
        return ()
    at, since = event.at, holding.since
    parts = (Held(*_whose(issue, event, holding), _ms(at - since)),) if at > since else ()
    if event.recorded_at is not None and (seen := seen_at(event)) > max(at, since):
        parts = (*parts, Held("nobody", None, _ms(seen - max(at, since))))
    return parts


def _whose(issue: Issue, event: Event, holding: Holding) -> tuple[Holder, str | None]:
    """Whose the time was that ends with the event."""
    match event.body:
        case TakenBack() if event.actor is not None and not issue.is_dropped:
            return _as(issue, event.actor.org)
        case Objected() | Resumed(needless=True) if issue.status == "suspended" and issue.paused is not None:
            asked = holding.holder == "resident"
            return _as(issue, issue.paused.by) if asked else (holding.holder, holding.org)
        case _:
            return holding.holder, holding.org


def _as(issue: Issue, org: str | None) -> tuple[Holder, str | None]:
    """As whom the organisation holds time: by its kind as the handler, else by its level."""
    place = issue.place
    if org == issue.handler.code:
        return _HANDLERS[issue.handler.kind], org
    return ("community" if org == place.community else "street" if org == place.street else "operator"), org


def seen_at(event: Event) -> datetime:
    """The moment (UTC) from which people could know of the event.

    For a climb, a resumption, or what was undone because time passed, it is when the event was recorded; else the event's own time.
    """
    recorded = event.recorded_at
    return event.at if recorded is None or event.kind not in ("escalated", "resumed", "taken_back") else recorded


def _ms(span: timedelta) -> int:
    return span // _MILLISECOND


def totals(events: Iterable[Event]) -> dict[tuple[Holder, str | None], int]:
    """Milliseconds by holder and organisation over these events."""
    found: defaultdict[tuple[Holder, str | None], int] = defaultdict(int)
    for event in events:
        for part in event.held:
            found[part.holder, part.org] += part.ms
    return dict(found)
