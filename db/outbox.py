"""What is to be done once outside because of an event: written with it in one transaction, claimed and settled here.

A claim is marked before anything is sent, so two deliverers never send the same entry. If one dies in between,
the lease runs out and nobody knows whether it was sent: `claim` says what becomes of it then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.rows import refold
from db.tables import EventRow, IssueRow, OutboxRow
from db.upsert import table_of
from domain.events import Event, load_event
from domain.issue import Issue
from domain.notices import Notice, jobs, notices
from domain.wire import canonical, dump

_INSERT: Final = insert(table_of(OutboxRow))
UNKNOWN: Final = "outcome unknown: the deliverer died while sending"
_WHAT: Final = ("seq", "kind", "template", "to_org", "to_reporter", "payload")
"""By what an entry is known again after a rewrite."""


@dataclass(frozen=True)
class Entry:
    """A claimed entry of the outbox. `attempt` counts from 1 and tells this claim from a later one."""

    id: int
    issue: str | None
    seq: int
    kind: str
    template: str
    to_org: str | None
    to_reporter: bool
    payload: dict[str, Any]
    attempt: int
    lease: datetime


def add(session: Session, fence: int, changes: Iterable[tuple[Event, Issue]], now: datetime) -> None:
    """Queues what the events, each with the state after it, ask for.

    After a rewrite, what was sent already in the same words is not sent again.
    """
    rows = [row for change in changes for row in _asked(*change, now)]
    if rows and fence:
        done = _done(session, rows[0]["issue"], rows[0]["seq"])
        rows = [row for row in rows if _key(row) not in done]
    if rows:
        head = {"fence": fence, "status": "pending", "attempts": 0, "created_at": now, "ready_at": now}
        session.connection().execute(_INSERT, [head | row for row in rows])


def request(session: Session, issue: str, job: str, now: datetime) -> bool:
    """Queues a job that no event asks for, unless it waits already; whether it did. The issue must have a row."""
    same = and_(OutboxRow.issue == issue, OutboxRow.kind == "job", OutboxRow.template == job)
    if session.scalar(select(exists().where(same, OutboxRow.ready_at.is_not(None)))):
        return False
    n = session.scalar(select(func.count()).where(OutboxRow.issue == issue, OutboxRow.seq == 0)) or 0
    row: dict[str, Any] = {
        "issue": issue,
        "seq": 0,
        "n": n,
        "kind": "job",
        "template": job,
        "payload": {"issue": issue, "body": {}},
    }
    _put(session, [row | {"to_org": None}], now)
    return True


def tell(
    session: Session, orgs: Iterable[str], template: str, number: int, facts: dict[str, Any], now: datetime
) -> None:
    """Queues a notice that concerns no issue, one for each organisation; `number` is stored as its seq."""
    head = {"issue": None, "seq": number, "kind": "notice", "template": template, "payload": facts}
    _put(session, [{**head, "n": n, "to_org": org} for n, org in enumerate(orgs)], now)


def _put(session: Session, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    head = {"fence": 0, "status": "pending", "attempts": 0, "created_at": now, "ready_at": now, "to_reporter": False}
    if rows:
        session.connection().execute(_INSERT, [head | row for row in rows])


def withdraw(session: Session, issue: str, first: int, now: datetime) -> None:
    """Takes back what was not sent yet because of this event and later ones."""
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.issue == issue, OutboxRow.seq >= first, OutboxRow.status == "pending")
        .values(status="withdrawn", ready_at=None, finished_at=now)
    )


async def is_due(session: AsyncSession, now: datetime) -> bool:
    """Whether there is anything to claim; cheap, for a reader."""
    return bool(await session.scalar(select(exists().where(OutboxRow.ready_at <= now))))


def claim(
    session: Session, now: datetime, lease: datetime, *, most: int = 20, repeatable: bool = False
) -> tuple[Entry, ...]:
    """Takes what is due, oldest first, for oneself until `lease`.

    Entries whose lease ran out are taken again only if nothing can be doubled by it: jobs, which must be
    idempotent, and notices if the gateway drops repeats (`repeatable`); other notices fail for good.
    """
    if not repeatable:
        session.execute(
            update(OutboxRow)
            .where(OutboxRow.status == "sending", OutboxRow.kind == "notice", OutboxRow.ready_at <= now)
            .values(status="failed", last_error=UNKNOWN, ready_at=None, finished_at=now)
        )
    query = select(OutboxRow).where(OutboxRow.ready_at <= now).order_by(OutboxRow.id).limit(most)
    rows = (session.scalars(query.with_for_update(skip_locked=True))).all()
    for row in rows:
        row.status, row.attempts, row.ready_at = "sending", row.attempts + 1, lease
    session.flush()
    return tuple(_entry(row, lease) for row in rows)


def settle(session: Session, entry: Entry, now: datetime, error: str | None = None) -> None:
    """For good: it was sent, or, with an error, it failed."""
    status = "failed" if error else "sent"
    _close(session, entry, status=status, last_error=error, ready_at=None, finished_at=now)


def postpone(session: Session, entry: Entry, now: datetime, until: datetime, error: str) -> None:
    """It was surely not sent; the next try is at `until`."""
    _give_back(session, entry, now, ready_at=until, last_error=error)


def release(session: Session, entries: Sequence[Entry], now: datetime) -> None:
    """Gives back what was claimed and not begun; the attempt does not count."""
    for entry in entries:
        _give_back(session, entry, now, ready_at=now, attempts=entry.attempt - 1)


async def tally(session: AsyncSession) -> dict[tuple[str, str], int]:
    """(kind, status) -> number of entries."""
    query = select(OutboxRow.kind, OutboxRow.status, func.count()).group_by(OutboxRow.kind, OutboxRow.status)
    return {(kind, status): number for kind, status, number in await session.execute(query)}


def _give_back(session: Session, entry: Entry, now: datetime, **values: Any) -> None:
    """For another try, unless the record was rewritten meanwhile and nothing asks for it any more."""
    if _is_asked_for(session, entry):
        _close(session, entry, **values, status="pending")
    else:
        _close(session, entry, **values | {"status": "withdrawn", "ready_at": None, "finished_at": now})


def _is_asked_for(session: Session, entry: Entry) -> bool:
    """Whether an event of that number still asks for it in the same words, or it was never an event that did."""
    if entry.issue is None or entry.seq == 0:
        return True
    issue = session.get_one(IssueRow, entry.issue, with_for_update=True)
    if not issue.fence:
        return True
    query = select(EventRow.body).where(EventRow.issue == entry.issue, EventRow.seq == entry.seq)
    body = session.scalar(query)
    if body is None:
        return False
    after = refold(session, issue, before=entry.seq + 1)
    return _key(vars(entry)) in map(_key, _asked(load_event(body), after, entry.lease))


def _close(session: Session, entry: Entry, **values: Any) -> None:
    """Changes the entry only while this claim holds: a later claim owns it."""
    holds = and_(OutboxRow.id == entry.id, OutboxRow.status == "sending", OutboxRow.attempts == entry.attempt)
    session.execute(update(OutboxRow).where(holds).values(**values))


def _asked(event: Event, after: Issue, now: datetime) -> Iterator[dict[str, Any]]:
    cause = {"issue": after.id, "seq": event.seq}
    told = notices(event, after)
    for n, notice in enumerate(told):
        to = {"to_org": notice.org, "to_reporter": notice.org is None}
        yield {**cause, "n": n, "kind": "notice", "template": notice.template, **to,
               "payload": _facts(event, after, notice)}  # fmt: skip
    for n, job in enumerate(jobs(event, after), len(told)):
        to = {"to_org": None, "to_reporter": False}
        yield {**cause, "n": n, "kind": "job", "template": job.name, **to,
               "payload": {"issue": job.issue, "body": job.body}, "ready_at": now + job.wait}  # fmt: skip


def _facts(event: Event, after: Issue, notice: Notice) -> dict[str, Any]:
    """What a channel needs to put the notice into words; nothing that anybody wrote."""
    facts = {
        "number": after.number, "place": after.place.name, "category": after.category, "level": after.level,
        "clause": event.clause, "due": dump(event.due), "ring": notice.ring,
    }  # fmt: skip
    return {name: fact for name, fact in facts.items() if fact}


def _done(session: Session, issue: str, first: int) -> set[bytes]:
    """The keys of what was sent or begun for this event or later ones, before the record was rewritten."""
    query = select(OutboxRow).where(
        OutboxRow.issue == issue, OutboxRow.seq >= first, OutboxRow.status.in_(("sent", "sending", "failed"))
    )
    return {_key(vars(row)) for row in session.scalars(query)}


def _key(entry: Mapping[str, Any]) -> bytes:
    return canonical([entry[name] for name in _WHAT])


def _entry(row: OutboxRow, lease: datetime) -> Entry:
    return Entry(
        row.id, row.issue, row.seq, row.kind, row.template, row.to_org, row.to_reporter, row.payload, row.attempts,
        lease,
    )  # fmt: skip
