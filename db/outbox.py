"""The outbox: notices and jobs, written in one transaction with the event that causes them, then claimed and settled.

A claim is stored before anything is sent, so two deliverers never send the same entry. If a deliverer dies while it
sends, the lease of the claim expires, and nobody knows whether the entry was sent: `claim` then decides whether another
deliverer sends it again.

The notices of one issue to one receiver are a *lane*: no notice of a lane is sent while an earlier one waits.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from domain.rules import evolve
from domain.wire import canonical, dump

_INSERT: Final = insert(table_of(OutboxRow))
_PENDING: Final = select(OutboxRow).where(OutboxRow.status == "pending").with_for_update(skip_locked=True)
UNKNOWN: Final = "outcome unknown: the deliverer died while sending"
BEHIND_UNKEPT: Final = "an earlier notice waits, and this one could not be kept here"
BEHIND: Final = "an earlier notice of the issue to this receiver waits"
ELSEWHERE: Final = timedelta(seconds=1)
"""When a notice is looked at again whose predecessor another deliverer is just sending."""
_WHAT: Final = ("seq", "kind", "template", "to_org", "to_reporter", "payload")
"""The columns by which an entry is recognised after its issue's events were rewritten: equal in these, equal entry."""


@dataclass(frozen=True)
class Entry:
    """A claimed entry of the outbox. `attempt` is the number of the attempt that may be made now, from 1.

    `attempt` distinguishes this claim from later ones. `lease` is the time until which the claim holds. `behind`: an
    earlier notice of the lane waits until then, so this one must not be sent now; None: it may be. `kept`: its addressee
    can read it here already.
    """

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
    behind: datetime | None = None
    kept: bool = False

    @property
    def lane(self) -> Hashable:
        """The issue and the receiver of a notice; None for what has no predecessor."""
        return _lane(vars(self))


@dataclass(frozen=True)
class Change:
    """An event, with the states of the issue before and after it."""

    event: Event
    before: Issue
    after: Issue


def add(session: Session, fence: int, changes: Iterable[Change], now: datetime) -> None:
    """Queues the notices and jobs that the events cause.

    If the issue's events were ever rewritten (`fence` > 0), entries whose equals were sent already are left out.
    """
    rows = [row for change in changes for row in _caused(change, now)]
    if rows and fence:
        sent = _sent(session, rows[0]["issue"], rows[0]["seq"])
        rows = [row for row in rows if _key(row) not in sent]
    _put(session, rows, now, fence)


def request(session: Session, issue: str, job: str, now: datetime) -> bool:
    """Queues a job that no event causes, unless the job is queued already. Returns whether this call queued it.

    The issue must have a row.
    """
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
    """Queues a notice that concerns no issue, one for each organisation; `number` is stored as `seq`."""
    head = {"issue": None, "seq": number, "kind": "notice", "template": template, "payload": facts}
    _put(session, [{**head, "n": n, "to_org": org} for n, org in enumerate(orgs)], now)


def _put(session: Session, rows: Sequence[dict[str, Any]], now: datetime, fence: int = 0) -> None:
    """Inserts the rows as pending entries. Values that a row itself gives replace the general ones."""
    timing = {"created_at": now, "ready_at": now}
    head = {"fence": fence, "status": "pending", "attempts": 0, "to_reporter": False, **timing}
    if rows:
        session.connection().execute(_INSERT, [head | row for row in rows])


def withdraw(session: Session, issue: str, first: int, now: datetime) -> None:
    """Withdraws the pending entries that event number `first` and later events caused."""
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.issue == issue, OutboxRow.seq >= first, OutboxRow.status == "pending")
        .values(status="withdrawn", ready_at=None, finished_at=now)
    )


async def is_due(session: AsyncSession, now: datetime) -> bool:
    """Whether an entry is due, so that `claim` would find one. This read is cheap."""
    return bool(await session.scalar(select(exists().where(OutboxRow.ready_at <= now))))


def claim(
    session: Session, now: datetime, lease: datetime, *, most: int = 20, repeatable: bool = False
) -> tuple[Entry, ...]:
    """Claims due entries, oldest first, until `lease`.

    What waits in front of a due notice only for its opening hour is claimed along with it; a due notice behind one that
    waits for another reason is claimed with `behind` set.

    An entry whose lease has expired may have been sent. It is claimed again only where sending twice is harmless: a
    job, which must be idempotent, or a notice whose channel drops repeats (`repeatable`). Any other notice fails for
    good.
    """
    if not repeatable:
        session.execute(
            update(OutboxRow)
            .where(OutboxRow.status == "sending", OutboxRow.kind == "notice", OutboxRow.ready_at <= now)
            .values(status="failed", last_error=UNKNOWN, ready_at=None, finished_at=now)
        )
    query = select(OutboxRow).where(OutboxRow.ready_at <= now).order_by(OutboxRow.id).limit(most)
    due = session.scalars(query.with_for_update(skip_locked=True)).all()
    early, behind = _in_lanes(session, due, now)
    rows = [*due, *session.scalars(_PENDING.where(OutboxRow.id.in_(early))).all()] if early else due
    if len(rows) < len(due) + len(early):  # another deliverer has just taken one of them
        behind |= {row.id: now + ELSEWHERE for row in due if _lane(vars(row)) is not None}
    for row in rows:
        row.status, row.attempts, row.ready_at = "sending", row.attempts + 1, lease
    session.flush()
    return tuple(_entry(row, lease, behind.get(row.id)) for row in sorted(rows, key=lambda row: row.id))


def _in_lanes(session: Session, due: Sequence[OutboxRow], now: datetime) -> tuple[list[int], dict[int, datetime]]:
    """Which notices wait in front of due ones only for their opening hour, and which due ones are behind others.

    The ids of the former, and the id of each of the latter with the time until which it must wait. Read after the due
    ones are locked: what another deliverer has claimed meanwhile is seen as waiting.
    """
    claimed = {row.id: lane for row in due if (lane := _lane(vars(row))) is not None}
    if not claimed:
        return [], {}
    last = {lane: number for number, lane in sorted(claimed.items())}
    waiting = select(OutboxRow).where(
        OutboxRow.issue.in_({row.issue for row in due if row.id in claimed}), OutboxRow.kind == "notice",
        OutboxRow.ready_at.is_not(None), OutboxRow.id <= max(claimed),
    )  # fmt: skip
    early: list[int] = []
    until: dict[Hashable, datetime] = {}
    behind: dict[int, datetime] = {}
    for row in session.scalars(waiting.order_by(OutboxRow.id).execution_options(populate_existing=True)):
        lane, ready = _lane(vars(row)), row.ready_at or now
        if row.id in claimed:
            behind |= {row.id: until[lane]} if lane in until else {}
        elif row.id < last.get(lane, 0) and lane not in until:
            if row.status == "pending" and ready > now and row.last_error is None:
                early.append(row.id)
            else:
                until[lane] = ready if row.status == "pending" and ready > now else now + ELSEWHERE
    return early, behind


def settle(session: Session, entry: Entry, now: datetime, error: str | None = None) -> None:
    """Ends the entry for good: as failed if there is an error, else as sent."""
    status = "failed" if error else "sent"
    _close(session, entry, status=status, last_error=error, ready_at=None, finished_at=now)


def postpone(session: Session, entry: Entry, now: datetime, until: datetime, error: str, *, made: bool = True) -> None:
    """Gives back an entry that was certainly not sent; the next attempt is at `until`.

    `made`: whether an attempt was made. If not, none is counted, and an error of an earlier one stays on record.
    """
    if made or entry.attempt == 1:
        _give_back(session, entry, now, ready_at=until, last_error=error, attempts=entry.attempt - (not made))
    else:
        _give_back(session, entry, now, ready_at=until, attempts=entry.attempt - 1)


def release(session: Session, entries: Sequence[Entry], now: datetime) -> None:
    """Gives back entries that were claimed but not attempted; the claim is not counted as an attempt."""
    for entry in entries:
        _give_back(session, entry, now, ready_at=now, attempts=entry.attempt - 1)


async def tally(session: AsyncSession) -> dict[tuple[str, str], int]:
    """(kind, status) -> number of entries."""
    query = select(OutboxRow.kind, OutboxRow.status, func.count()).group_by(OutboxRow.kind, OutboxRow.status)
    return {(kind, status): number for kind, status, number in await session.execute(query)}


def _give_back(session: Session, entry: Entry, now: datetime, **values: Any) -> None:
    """Makes the entry pending again, or withdraws it if, after a rewrite, no event causes the entry any more."""
    if is_caused(session, entry, entry.lease):
        _close(session, entry, **values, status="pending")
    else:
        _close(session, entry, **values | {"status": "withdrawn", "ready_at": None, "finished_at": now})


def is_caused(session: Session, entry: Entry | OutboxRow, now: datetime) -> bool:
    """Whether the stored event still causes an equal entry. True for an entry that no event caused."""
    if entry.issue is None or entry.seq == 0:
        return True
    issue = session.get_one(IssueRow, entry.issue, with_for_update=True)
    if not issue.fence:
        return True
    query = select(EventRow.body).where(EventRow.issue == entry.issue, EventRow.seq == entry.seq)
    body = session.scalar(query)
    if body is None:
        return False
    event, before = load_event(body), refold(session, issue, before=entry.seq)
    change = Change(event, before, evolve(before, event))
    return _key(vars(entry)) in map(_key, _caused(change, now))


def _close(session: Session, entry: Entry, **values: Any) -> None:
    """Sets columns of the entry, unless somebody else has claimed the entry since."""
    holds = and_(OutboxRow.id == entry.id, OutboxRow.status == "sending", OutboxRow.attempts == entry.attempt)
    session.execute(update(OutboxRow).where(holds).values(**values))


def _caused(change: Change, now: datetime) -> Iterator[dict[str, Any]]:
    """The rows of the notices and jobs that an event causes."""
    event, after = change.event, change.after
    cause = {"issue": after.id, "seq": event.seq}
    first = notices(event, after, change.before)
    for n, notice in enumerate(first):
        to = {"to_org": notice.org, "to_reporter": notice.org is None}
        yield {**cause, "n": n, "kind": "notice", "template": notice.template, **to,
               "payload": _facts(event, after, notice), "ready_at": max(now, notice.earliest or now)}  # fmt: skip
    for n, job in enumerate(jobs(event, after), len(first)):
        to = {"to_org": None, "to_reporter": False}
        yield {**cause, "n": n, "kind": "job", "template": job.name, **to,
               "payload": {"issue": job.issue, "body": job.body}, "ready_at": now + job.wait}  # fmt: skip


def _facts(event: Event, after: Issue, notice: Notice) -> dict[str, Any]:
    """The facts from which a channel writes the text of the notice; none is a text that people wrote."""
    facts = {
        "number": after.number, "place": after.place.name, "category": after.category, "level": after.level,
        "clause": event.clause, "due": dump(event.due), "ring": notice.ring, "voice": notice.voice,
    }  # fmt: skip
    return {name: fact for name, fact in facts.items() if fact}


def _sent(session: Session, issue: str, first: int) -> set[bytes]:
    """The keys (`_key`) of entries whose sending has begun, of event number `first` and later events."""
    query = select(OutboxRow).where(
        OutboxRow.issue == issue, OutboxRow.seq >= first, OutboxRow.status.in_(("sent", "sending", "failed"))
    )
    return {_key(vars(row)) for row in session.scalars(query)}


def _key(entry: Mapping[str, Any]) -> bytes:
    return canonical([entry[name] for name in _WHAT])


def _lane(entry: Mapping[str, Any]) -> Hashable:
    is_in_one = entry["kind"] == "notice" and entry["issue"] is not None
    return (entry["issue"], entry["to_org"], entry["payload"].get("voice", "")) if is_in_one else None


def _entry(row: OutboxRow, lease: datetime, behind: datetime | None) -> Entry:
    return Entry(
        row.id, row.issue, row.seq, row.kind, row.template, row.to_org, row.to_reporter, row.payload, row.attempts,
        lease, behind, row.last_error == BEHIND,
    )  # fmt: skip
