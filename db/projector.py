"""Turns the events of an issue into rows, in one transaction that may be repeated at will.

An event is stored under (issue, seq). If an event comes under a number that is stored already, the digests of the two
are compared. If the digests are equal, the event is a repeat. If they differ, the stored events came from a workflow
task that Temporal never committed: they are replaced from that number on, the row's `fence` (the number of rewrites)
goes up by one, pending outbox entries of the replaced events are withdrawn, and an alarm is raised.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.orm import Session, undefer

from db import outbox, pinned, search
from db.alarms import put_alarm
from db.outbox import Change
from db.rows import UNSEEN, columns, first_columns, refold, state_of, voices, words
from db.tables import CodeRow, EventRow, IssueRow, ReceiptRow, SearchTerm, VoiceRow
from db.upsert import insert_missing, is_sqlite, table_of, upsert
from domain.events import Event, chain, event_digest, load_event
from domain.issue import Issue, Receipt
from domain.pins import read_calendars, read_policy
from domain.rules import evolve

CodesOf = Callable[[Issue], Sequence[str]]
INDEX: Final = "index"
"""The job that puts the words of a sealed report into the search index, and the issue's codes where they are missing."""
_ROW: Final = (
    select(IssueRow)
    .where(IssueRow.id == bindparam("issue"))
    .options(undefer(IssueRow.state))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_BODIES: Final = (
    select(EventRow.body)
    .where(EventRow.issue == bindparam("issue"), EventRow.seq.between(bindparam("first"), bindparam("last")))
    .order_by(EventRow.seq)
)
_TAKEN: Final = select(IssueRow.id).where(IssueRow.number == bindparam("number")).limit(1)
_EVENTS: Final = insert(table_of(EventRow))
_TERMS: Final = insert(table_of(SearchTerm))
# Built once: building a statement takes longer than running it.


class GapError(Exception):
    """Events before the batch are missing: an earlier batch is not stored yet, so the caller must retry later."""


class ConflictError(Exception):
    """A different event is stored under one of the batch's numbers, and the caller may not replace stored events."""


class ClosedError(Exception):
    """The batch would begin an issue under the id of a closed one, which is not overwritten."""


@dataclass(frozen=True)
class Recorded:
    """An event in its stored form, with its digest."""

    plain: Mapping[str, Any]
    digest: str
    event: Event

    @property
    def seq(self) -> int:
        return self.event.seq


def record(
    session: Session,
    issue: str,
    events: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    policy: Mapping[str, Any] | None = None,
    calendars: Sequence[Mapping[str, Any]] | None = None,
    may_rewrite: bool = True,
    restoring: bool = False,
    codes: CodesOf = lambda _: (),
) -> str:
    """Stores the new events of the batch and returns the digest over the stored form of the whole batch.

    `codes` gives the hashes of an issue's tracking codes, by which it is found.
    `policy` and `calendars` are those that the issue pinned at its start; the batch with the first event needs them.
    Raises GapError, ClosedError and, without `may_rewrite`, ConflictError; the caller then rolls back. With
    `restoring`, the batch is the issue's whole history: stored events that differ are replaced, events beyond the batch
    are deleted, and no notice is queued, since all notices were sent long ago.
    """
    batch = [Recorded(plain, event_digest(plain), load_event(plain)) for plain in events]
    if not batch:
        return chain(())
    row = lock(session, issue, batch[0].seq)
    fresh = _fresh(session, row, issue, batch)
    first = fresh[0].seq if fresh else batch[-1].seq + 1
    projection = _Projection(session, issue, now, policy, calendars, codes, notify=not restoring)
    if row is None:
        projection.go_on(None, projection.start(), fresh)
    elif restoring and _digests(session, issue, first):
        projection.rewrite(row, first, fresh)
    elif not fresh:
        pass
    elif first == row.version + 1:
        projection.go_on(row, state_of(session, row), fresh)
    elif not may_rewrite:
        raise ConflictError(f"issue {issue}: another event {first} is stored")
    elif first == 1 and row.closed_at is not None and not restoring:
        # Never a genuine rewrite: an issue closes only after all earlier events were stored for good.
        raise ClosedError(f"issue {issue} is closed, and begins anew")
    else:
        projection.rewrite(row, first, fresh)
    return _stored(session, issue, batch)


def rebuild(session: Session, issue: str) -> bool:
    """Recomputes the row and the receipts of an issue from its stored events. Returns whether anything changed."""
    row = lock(session, issue)
    if row is None:
        raise LookupError(f"no issue {issue}")
    state = refold(session, row)
    found = columns(state)
    differs = any(getattr(row, name) != value for name, value in found.items())
    _set(session, row, found)
    differs = _put_voices(session, state) or differs
    rows = session.scalars(select(ReceiptRow).where(ReceiptRow.issue == issue))
    receipts = {each.command_id: Receipt(each.digest, each.outcome, each.seq, each.code, each.params) for each in rows}
    if receipts == state.receipts:
        return differs
    session.execute(delete(ReceiptRow).where(ReceiptRow.issue == issue))
    _put_receipts(session, state, state.receipts)
    return True


def index(session: Session, issue: str, words: str) -> None:
    """Puts the words of an issue (`search.words`) into the search index, in place of what it holds of this issue."""
    row = lock(session, issue)
    if row is not None and row.words != words:
        search.drop(session, row)
        _set(session, row, {"words": words})
        _put_terms(session, row)


def put_codes(session: Session, issue: str, codes: Iterable[str]) -> None:
    """Stores the hashes of tracking codes of an issue that has a row. Those of former codes stay, and open nothing."""
    insert_missing(session, CodeRow, [{"hash": code, "issue": issue} for code in codes])


def lock(session: Session, issue: str, first: int = 1) -> IssueRow | None:
    """The issue's row, locked until this transaction ends; None if there is none.

    In that case, if `first` is 1, the id is locked instead, so that no two transactions insert the row.
    """
    row = session.scalar(_ROW, {"issue": issue})
    if row is None and first == 1 and not is_sqlite(session):  # which has a single writer
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(issue, 0))))
        row = session.scalar(_ROW, {"issue": issue})
    return row


def _fresh(session: Session, row: IssueRow | None, issue: str, batch: list[Recorded]) -> list[Recorded]:
    """The end of the batch that is not stored yet: from the first event that is missing or stored with another digest.

    Raises GapError.
    """
    first = batch[0].seq
    version = row.version if row else 0
    if first > version + 1:
        raise GapError(f"issue {issue} is at version {version}, the batch begins with {first}")
    if first == version + 1:
        return batch
    # Computed from the body: the stored digest may not match a body that was altered.
    query = select(EventRow.seq, EventRow.body).where(
        EventRow.issue == issue, EventRow.seq.between(first, batch[-1].seq)
    )
    known = {row.seq: event_digest(row.body) for row in session.execute(query)}
    same = 0
    while same < len(batch) and known.get(batch[same].seq) == batch[same].digest:
        same += 1
    return batch[same:]


def _digests(session: Session, issue: str, first: int) -> list[str]:
    """The digests of the stored events from number `first` on."""
    query = select(EventRow.body).where(EventRow.issue == issue, EventRow.seq >= first).order_by(EventRow.seq)
    return [event_digest(body) for body in session.scalars(query)]


def _stored(session: Session, issue: str, batch: Sequence[Recorded]) -> str:
    """The digest over the events of the batch, computed from their stored bodies."""
    span = {"issue": issue, "first": batch[0].seq, "last": batch[-1].seq}
    return chain(event_digest(body) for body in session.scalars(_BODIES, span).all())


@dataclass(frozen=True)
class _Projection:
    """Writes one batch of an issue's events, and the rows that follow from them."""

    session: Session
    issue: str
    now: datetime
    policy: Mapping[str, Any] | None
    calendars: Sequence[Mapping[str, Any]] | None
    codes: CodesOf
    notify: bool

    def go_on(self, row: IssueRow | None, start: Issue, fresh: Sequence[Recorded]) -> None:
        """Folds the events onto the state `start` and writes the resulting rows; inserts a missing row."""
        changes = _changes(start, fresh)
        state = changes[-1].after
        if state.policy is not start.policy or state.calendars is not start.calendars:
            pinned.keep(self.session, state.policy, state.calendars)
        found = words(fresh[0].event)
        if row is None:
            row = self._new_row(start, {**columns(state), **found})
        else:
            _set(self.session, row, {**columns(state), **found})
        if found:
            _put_terms(self.session, row)
        if state.followers is not start.followers:
            _put_voices(self.session, state)
        if start.version == 0 or (state.followers, state.generation) != (start.followers, start.generation):
            put_codes(self.session, state.id, self.codes(state))
        self._put_events(fresh)
        _put_receipts(self.session, state, _commands(fresh))
        if self.notify:
            outbox.add(self.session, row.fence, changes, self.now)
        if found == UNSEEN and (row.fence or not self.notify):  # `outbox.add` may not have queued it
            outbox.request(self.session, row.id, INDEX, self.now)

    def rewrite(self, row: IssueRow, first: int, fresh: Sequence[Recorded]) -> None:
        """Replaces the stored events from number `first` on by `fresh`, and raises an alarm."""
        came = [item.digest for item in fresh]
        known = _digests(self.session, row.id, first)
        detail = {"from": first, "stored": known, "came": came, "fence": row.fence + 1}
        put_alarm(self.session, "record-rewritten", row.id, detail, self.now)
        anew = first == 1
        if anew:
            search.drop(self.session, row)
        start = self.start() if anew else refold(self.session, row, before=first)
        self.session.execute(delete(EventRow).where(EventRow.issue == row.id, EventRow.seq >= first))
        self.session.execute(delete(ReceiptRow).where(ReceiptRow.issue == row.id))
        outbox.withdraw(self.session, row.id, first, self.now)
        _set(
            self.session,
            row,
            {"fence": row.fence + 1, **(first_columns(start.policy, start.calendars) if anew else {})},
        )
        _put_receipts(self.session, start, start.receipts)
        _put_voices(self.session, start)
        if fresh:
            self.go_on(row, start, fresh)
        else:
            _set(self.session, row, columns(start))

    def start(self) -> Issue:
        """Stores the policy and the calendars of the batch, and returns the issue without any event.

        Raises ValueError if the batch brings no policy or no calendars.
        """
        if self.policy is None or self.calendars is None:
            raise ValueError(f"issue {self.issue}: the first batch must bring policy and calendars")
        policy, calendars = read_policy(self.policy), read_calendars(self.calendars)
        pinned.keep(self.session, policy, calendars)
        return Issue.new(self.issue, policy, calendars)

    def _new_row(self, start: Issue, values: Mapping[str, Any]) -> IssueRow:
        if (other := self.session.scalar(_TAKEN, {"number": values["number"]})) is not None:
            put_alarm(self.session, "number-taken", self.issue, {"by": other}, self.now)
        row = IssueRow(
            id=self.issue, fence=0, **first_columns(start.policy, start.calendars), **{"words": "", **values}
        )
        self.session.add(row)
        self.session.flush()
        return row

    def _put_events(self, fresh: Sequence[Recorded]) -> None:
        rows = [
            {"issue": self.issue, "seq": item.seq, "kind": item.event.kind, "at": item.event.at,
             "recorded_at": item.event.recorded_at, "digest": item.digest, "stored_at": self.now, "body": item.plain}
            for item in fresh
        ]  # fmt: skip
        self.session.connection().execute(_EVENTS, rows)


def _changes(start: Issue, fresh: Sequence[Recorded]) -> list[Change]:
    changes: list[Change] = []
    state = start
    for item in fresh:
        changes.append(Change(item.event, state, evolve(state, item.event)))
        state = changes[-1].after
    return changes


def _commands(fresh: Sequence[Recorded]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.event.command.id for item in fresh if item.event.command is not None))


def _set(session: Session, row: IssueRow, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()


def _put_terms(session: Session, row: IssueRow) -> None:
    found = [{"term": term, "opened_at": row.opened_at, "issue": row.id} for term in search.terms(row.words)]
    if found:
        session.connection().execute(_TERMS, found)


def _put_voices(session: Session, state: Issue) -> bool:
    """Stores who follows the issue, in place of what was stored. Returns whether that differs."""
    wanted = voices(state)
    known = session.scalars(select(VoiceRow).where(VoiceRow.issue == state.id))
    if {row.person: row.reported for row in known} == wanted:
        return False
    session.execute(delete(VoiceRow).where(VoiceRow.issue == state.id))
    rows = [{"issue": state.id, "person": person, "reported": reported} for person, reported in wanted.items()]
    upsert(session, VoiceRow, rows)
    return True


def _put_receipts(session: Session, state: Issue, commands: Iterable[str]) -> None:
    rows: list[dict[str, Any]] = []
    for command in commands:
        receipt = state.receipts[command]
        rows.append(
            {"command_id": command, "issue": state.id, "digest": receipt.digest, "outcome": receipt.outcome,
             "code": receipt.code, "params": dict(receipt.params), "seq": receipt.seq}
        )  # fmt: skip
    upsert(session, ReceiptRow, rows)
