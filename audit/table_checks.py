"""Checks tables of the database as a whole for what verification issue by issue never looks at."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Text, func, select, type_coerce
from sqlalchemy.orm import Session

from audit.case import Finding
from audit.notes import NoteError, parse
from audit.times import SKEW
from db.search import terms
from db.tables import (
    ArchiveRow,
    AttachmentRow,
    CalendarsRow,
    CodeRow,
    EventRow,
    HeadRow,
    IssueRow,
    OutboxRow,
    PolicyRow,
    ReceiptRow,
    SealRow,
    SearchTerm,
    VoiceRow,
)  # fmt: skip
from domain.wire import digest, parse_time

SETTLED: Final = timedelta(hours=1)
"""A closed issue that is still not sealed this long after its close is a finding: archiving normally takes seconds."""
_OF_ISSUES: Final = (EventRow, ReceiptRow, VoiceRow, CodeRow, SearchTerm, OutboxRow, AttachmentRow, ArchiveRow)
_NAMED: Final = 50
"""How many issues are named for each table at most."""


def check_tables(session: Session) -> Iterator[Finding]:
    """Findings about policies, calendars and heads."""
    yield from _check_pinned(session)
    yield from _check_heads(session)


def check_orphans(session: Session) -> Iterator[Finding]:
    """A finding for each table and issue of which it holds rows though nothing else is on record of that issue."""
    for table in _OF_ISSUES:
        unknown = table.issue.is_not(None) & table.issue.not_in(select(IssueRow.id))
        if table is ArchiveRow:  # the log may be restored before the rows are
            unknown &= table.issue.not_in(select(SealRow.issue))
        query = select(table.issue).where(unknown).distinct().order_by(table.issue).limit(_NAMED)
        for issue in session.scalars(query):
            what = "it holds rows of an issue that is not on record"
            yield Finding("rows", issue, f"table {table.__tablename__}", what)


def check_index(session: Session) -> Iterator[Finding]:
    """A finding for each issue that the search index leads to by other pairs than those of its words.

    Also of an issue whose texts were erased: its words are gone, and so must be what was made of them.
    """
    pairs = select(SearchTerm.issue, func.count().label("n")).group_by(SearchTerm.issue).subquery()
    query = select(IssueRow.id, IssueRow.words, func.coalesce(pairs.c.n, 0)).outerjoin(
        pairs, pairs.c.issue == IssueRow.id
    )
    for issue, held, count in session.execute(query.order_by(IssueRow.id)):
        if count > len(terms(held)):
            yield Finding("rows", issue, "search", f"the index has {count} pairs, its words only {len(terms(held))}")


def check_sealed_at(session: Session, now: datetime) -> Iterator[Finding]:
    """Checks that each leaf was stored when its record was made, since `--since` and the search for leaves that no head
    covers go by that time.
    """
    # The record as text: what is no JSON is found with its issue.
    query = select(SealRow.position, SealRow.issue, SealRow.sealed_at, type_coerce(SealRow.record, Text))
    try:
        for position, issue, sealed_at, record in session.execute(query.order_by(SealRow.position)):
            made = _archived_at(record)
            if made is not None and not made - SKEW <= sealed_at <= min(made, now) + SETTLED:
                yield Finding("seal", issue, f"leaf {position}", "it was not sealed when its record was made")
    except ValueError as error:
        yield Finding("seal", None, "leaves", f"a time cannot be read: {str(error)[:200]}")


def _archived_at(record: str | None) -> datetime | None:
    try:
        return parse_time(json.loads(record or "")["archived_at"])
    except (LookupError, TypeError, ValueError, RecursionError):
        return None


def _fields(body: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _check_pinned(session: Session) -> list[Finding]:
    """Checks that policies and calendars are stored under the digest of their content, and that none is missing that an
    issue names.
    """
    found: list[Finding] = []
    for table, name in ((PolicyRow, "policy"), (CalendarsRow, "calendars")):
        try:
            held = {row.digest: digest(row.body) for row in session.scalars(select(table))}
        except (ValueError, RecursionError):
            found.append(Finding("rows", None, name, "one of them is no JSON"))
            continue
        found += [
            Finding("rows", None, f"{name} {key}", "its text is not the one with this digest")
            for key, own in held.items()
            if key != own
        ]
        if table is PolicyRow:
            beside = (
                (row.digest, (row.id, row.version), _fields(row.body)) for row in session.scalars(select(PolicyRow))
            )
            found += [
                Finding("rows", None, f"policy {key}", "what stands beside its text, id and version, is not its own")
                for key, named, body in beside
                if named != (body.get("id"), body.get("version"))
            ]
        columns = (IssueRow.first_policy, IssueRow.policy_digest)
        if table is CalendarsRow:
            columns = (IssueRow.first_calendars, IssueRow.calendars_digest)
        named = {each for column in columns for each in session.scalars(select(column).distinct())}
        found += [Finding("rows", None, f"{name} {key}", "it is gone") for key in sorted(named - held.keys())]
    return found


def _check_heads(session: Session) -> Iterator[Finding]:
    """Checks that the columns beside a head's note in SQL agree with the note."""
    for row in session.scalars(select(HeadRow).order_by(HeadRow.at)):
        try:
            head, _ = parse(row.note)
        except NoteError:
            continue  # `check_log` reports it as a head that was never published
        if (head.size, head.at, head.root.hex()) != (row.size, row.at, row.root):
            yield Finding("head", None, f"head {row.size}", "what stands beside its note is not what it says")
