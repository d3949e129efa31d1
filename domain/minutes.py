"""Whose minutes they are: every minute of an issue belongs to whoever held it, and to nobody during an outage."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from domain.events import Event, Held
from domain.issue import Issue, lowest, rank
from domain.vocabulary import HandlerKind, Holder, WaitReason

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


def holder(issue: Issue) -> tuple[Holder, str | None]:
    """Whose minutes run now, and the code of that organisation where it is one."""
    if issue.status in ("suspended", "completed", "closed"):
        return "resident", None
    if issue.status == "waiting":
        if issue.shelved:
            return "street", issue.place.street
        return _WAITS[issue.waits_for or "third_party"], None
    if issue.level == "street":
        return "street", issue.place.street
    if issue.level == "community":
        return "community", issue.place.community
    if issue.declined:  # whoever rules on it holds it: the street, where the operator is the community itself
        ruler = lowest(issue.ladder, rank("community"))
        return ("community", issue.place.community) if ruler == "community" else ("street", issue.place.street)
    return _HANDLERS[issue.handler.kind], issue.handler.code


def held(issue: Issue, event: Event) -> tuple[Held, ...]:
    """The time between the event before and this one, by holder.

    A climb counts up to its due time, and so does the end of a pause; from then until it was recorded nobody could see
    it. No minute counts twice, and none after the close.
    """
    holding = issue.holding
    if holding is None or issue.is_closed:
        return ()
    parts: list[Held] = []
    if event.at > holding.since:
        parts.append(Held(holding.holder, holding.org, _ms(event.at - holding.since)))
    unseen = max(event.at, holding.since)
    if (seen := seen_at(event)) > unseen:
        parts.append(Held("nobody", None, _ms(seen - unseen)))
    return tuple(parts)


def seen_at(event: Event) -> datetime:
    """From when on others could act on the event: where the clock changed whose turn it is, once that was recorded."""
    return event.recorded_at or event.at if event.kind in ("escalated", "resumed") else event.at


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def totals(events: Iterable[Event]) -> dict[tuple[Holder, str | None], int]:
    """Milliseconds by holder and organisation over these events."""
    found: defaultdict[tuple[Holder, str | None], int] = defaultdict(int)
    for event in events:
        for part in event.held:
            found[part.holder, part.org] += part.ms
    return dict(found)
