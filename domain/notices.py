"""The notifications and outbox jobs that follow an event."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import domain.events as e
from domain.clocks import RULING, owner, ruling_level
from domain.commands import merge_command_id, split_command_id
from domain.followers import present
from domain.issue import Issue, lead_org, lowest, next_rung, org_of, rank
from domain.personal import is_sealed
from domain.wire import dump, format_time
from domain.worktime import opening

SETTLES: Final = timedelta(seconds=5)
"""How long archiving waits after the close. The workflow ends shortly after its last event is recorded, and only then
is its history complete."""


@dataclass(frozen=True)
class Notice:
    """One message about an event: to an organisation, or to a resident (`org` is None).

    The resident is the reporter, or the one who follows the issue under the name `voice`.

    `template` is the event's kind; channels turn it into text. `ring` calls the duty phone. `earliest` is the moment
    (UTC) until which the notice may wait; None: it goes at once. If its addressee is told of the issue before that, it
    goes along, since no notice overtakes another one of its issue to its addressee.
    """

    org: str | None
    template: str
    ring: bool = False
    earliest: datetime | None = None
    voice: str = ""


@dataclass(frozen=True)
class Job:
    """An outbox job, done once its event is stored and `wait` has passed.

    ``tell_merged`` sends `issue` the merge command in `body`, ``tell_split`` the command that undoes a merge; ``archive`` copies the history of `issue` into the
    archive; ``index`` makes the sealed text of the report of `issue` searchable; ``send_code`` texts the tracking code of
    `issue` to the resident for whom staff took it in.
    """

    name: str
    issue: str
    body: dict[str, Any]
    wait: timedelta = timedelta()


_TO_REPORTER: Final = frozenset(
    {
        "accepted", "assigned", "scheduled", "attempted", "arrived", "planned", "answered", "suspended", "waited",
        "granted", "completed", "rejected", "merged", "escalated", "referred", "redispatched", "shelved", "taken_back", "closed",
    }
)  # fmt: skip
"""Event kinds of which the reporter is notified, unless a resident caused them; who follows the issue hears of them in
any case."""
_TO_HANDLER: Final = frozenset(
    {
        "dispatched", "redispatched", "returned", "reopened", "urged", "objected", "supplied", "supervised",
        "instructed", "ruled", "extended", "denied", "granted", "overdue", "withdrawn", "escalated", "resumed",
        "taken_back", "closed", "followed", "adopted", "split",
    }
)  # fmt: skip
_TO_LEAD: Final = frozenset(
    {
        "escalated", "overdue", "reminded", "completed", "urged", "returned", "referred", "reopened", "resumed",
        "rejected_signal", "taken_back", "ruled", "extended", "granted", "denied", "followed", "adopted", "split",
    }
)  # fmt: skip
_TO_LEAD_AND_ABOVE: Final = frozenset({"suspended", "waited", "requested", "declined", "objected", "policy_changed"})
"""Event kinds by which a party that is judged stops its clocks, or wishes for more time or another handler, by which the
resident objects, or by which an administrator changes all limits: the lead and the level above it hear of each.
`_is_told_above` tells which events of other kinds they hear of, too."""
_AT_OPENING: Final = frozenset({"warned", "overdue", "reminded"})
"""Event kinds of which people hear at the next opening, unless the issue is urgent."""


def notices(event: e.Event, after: Issue, before: Issue | None = None) -> tuple[Notice, ...]:
    """The notices of an event; the organisation that caused it gets none. `after` is the state after the event.

    With `before`, the state before it, a handler who loses the work by it is told, too. An urge that is only counted
    has none: its giver reads that in the receipt.
    """
    if isinstance(event.body, e.Urged) and event.body.counted_only:
        return ()
    ring = after.urgent and event.kind in ("dispatched", "escalated")
    earliest = _earliest(event, after)
    # The administrator by whom the directory speaks is of the street, which may be the one that is told.
    by = None if event.actor is None or isinstance(event.body, e.DirectoryChanged) else event.actor.org
    recipients = dict.fromkeys(org for org in (*_orgs(event, after), *_loser(after, before)) if org != by)
    found = [Notice(org, event.kind, ring, earliest) for org in recipients]
    found += [Notice(None, event.kind, voice=voice) for voice in _residents(event, after, before)]
    return tuple(found)


def _residents(event: e.Event, after: Issue, before: Issue | None) -> Iterator[str]:
    """The residents who are told of the event; the reporter is ``""``."""
    actor, follow = event.actor, present(after)
    is_own, is_told = actor is not None and actor.role == "resident", _is_told(event)
    match event.body:
        case e.Withdrawn() if after.reporter in after.followers:  # who decides from now on
            yield ""
        case e.Split() if before is not None and before.reporter != after.reporter:
            yield ""
        case e.Reopened() if actor is not None and actor.person != after.reporter:
            yield ""
        case _ if is_told and not is_own:
            yield ""
        case _:
            pass
    if is_told or event.kind == "reopened":
        yield from (person for person in follow if actor is None or person != actor.person)


def _is_told(event: e.Event) -> bool:
    """Whether residents hear of this event.

    Not only by its kind: they also hear of another handler by the directory, and how an objection was denied.
    """
    match event.body:
        case e.DirectoryChanged(handler=handler):
            return handler is not None
        case e.Denied(what="objection"):
            return True
        case _:
            return event.kind in _TO_REPORTER


def _earliest(event: e.Event, after: Issue) -> datetime | None:
    """The next opening of service hours for what is recorded outside them and can wait; else None."""
    if after.urgent or event.kind not in _AT_OPENING:
        return None
    recorded = event.recorded_at or event.at
    opens = opening(recorded, after.policy.service_hours)
    return opens if opens > recorded else None


def _loser(after: Issue, before: Issue | None) -> tuple[str, ...]:
    """The organisation that did the work before the event and does it no more, if there is one."""
    had = "" if before is None else before.handler.code
    return (had,) if had and had != after.handler.code else ()


def _orgs(event: e.Event, after: Issue) -> Iterator[str]:
    if event.kind in _TO_HANDLER:
        yield after.handler.code
    if event.kind in _TO_LEAD:
        yield _lead(after)
    if event.kind in _TO_LEAD_AND_ABOVE or _is_told_above(event, after):
        yield _lead(after)
        yield _above(after)
    match event.body:
        case e.Warned() | e.Overdue():
            clock = next((clock for clock in after.clocks if clock.clause == event.clause), None)
            if clock is not None and (org := owner(after, clock)) is not None:
                yield org
                if event.kind == "overdue" and clock.clause in RULING:  # not ruled on in time: the next above as well
                    yield org_of(after, lowest(after.ladder, rank(ruling_level(clock)) + 1) or after.ladder[-1])
        case e.Reminded(review=None):  # at the top: also whoever does the work, and the street, which supervises
            yield after.handler.code
            yield after.place.street
        case e.Rejected() | e.Merged():  # ended from above: whoever answered for it, the level above, and the street
            yield _lead(after)
            yield _above(after)
            yield after.place.street
        case e.CalendarPublished(wrong=str()) if after.last_climb is not None:  # the lead may return it
            yield lead_org(after)
            yield org_of(after, after.last_climb.from_level)
        case e.Planned(needs=needs) if needs is not None:
            yield org_of(after, needs)
        case e.Objected() if (wish := after.wish("objection")) is not None:  # whoever must rule on it
            yield org_of(after, wish.ruler)
        case e.DirectoryChanged(lost=lost, got=got, left=left):
            yield from (*lost, *got)
            if left is not None:  # somebody else must go
                yield after.handler.code
        case _:
            pass


def _is_told_above(event: e.Event, after: Issue) -> bool:
    """Whether lead and level above hear of this event, though not of each of its kind: a plan that needs a grant, an
    interim answer, a size that replaces another, another category or urgency.
    """
    match event.body:
        case e.Planned(needs=needs):
            return needs is not None
        case e.Answered(interim=interim):
            return interim
        case e.Corrected(category=category, urgent=urgent):
            return category is not None or urgent is not None
        case e.Assessed(assessment=size):
            return any(kind.startswith("assessed:") and kind != f"assessed:{size}" for kind in after.marks)
        case _:
            return False


def _lead(issue: Issue) -> str:
    """The organisation that answers for the issue; the street for one that it has shelved."""
    return issue.place.street if issue.shelved else lead_org(issue)


def _above(issue: Issue) -> str:
    """The organisation of the level above the lead; for a lead at the top of the ladder, the lead's own."""
    return org_of(issue, next_rung(issue) or issue.ladder[-1])


def jobs(event: e.Event, after: Issue) -> tuple[Job, ...]:
    """The outbox jobs of an event: an adopted issue is merged, the older one told of a split, a closed one archived, a sealed report indexed,
    and the code of one that staff took in is sent to its resident.
    """
    match event.body:
        case e.Adopted(issue=other):
            head = {"id": merge_command_id(other, after.id), "at": format_time(event.at), "actor": dump(event.actor)}
            return (Job("tell_merged", other, {**head, "body": {"into": after.id}}),)
        case e.TakenBack(leaves=str() as older, persons=persons):
            return (_tell_split(event, after, older, {"issue": after.id, "persons": list(persons)}),)
        case e.Split(issue=younger, persons=persons, onward=str() as older):
            return (
                _tell_split(event, after, older, {"issue": younger, "through": after.id, "persons": list(persons)}),
            )
        case e.Closed():
            return (Job("archive", after.id, {}, SETTLES),)
        case e.Reported() as body:
            index = (Job("index", after.id, {}),) if is_sealed(body) else ()
            return (*index, Job("send_code", after.id, {})) if body.reporter else index
        case _:
            return ()


def _tell_split(event: e.Event, after: Issue, older: str, body: dict[str, Any]) -> Job:
    head = {"id": split_command_id(after.id, older, event.seq), "at": format_time(event.at)}
    return Job("tell_split", older, {**head, "body": body})
