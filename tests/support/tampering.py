"""Alters files and rows of an installation, and recomputes every digest within reach."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from google.protobuf.message import Message
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.converter import PayloadConverter

from audit.archive import Archive, pack, seal_key, unpack
from audit.case import ArchivedCase, Leaf, Step
from audit.content import cited
from audit.holdings import Holdings
from audit.log import leaf_from
from audit.merkle import commitment, leaf_hash
from audit.record import digest_of, facts
from audit.refold import DeliveredCommand, Refolded, RefoldError, refold
from audit.stored_batches import StoredBatch, stored_batches
from db.engine import Database
from db.tables import ArchiveRow, SealRow
from domain.batches import batches
from domain.events import Event, dump_event
from domain.wire import canonical
from support.crowd import Crowd

T = TypeVar("T")


class UnfitError(Exception):
    """This issue has nothing that could be altered so; another one has."""


def some(found: Iterable[T]) -> T:
    for each in found:
        return each
    raise UnfitError


@dataclass(frozen=True)
class Subject:
    """An issue of the crowd as it was before, with what is known of it."""

    issue: str
    position: int
    histories: tuple[bytes, ...]
    folded: Refolded
    stored: tuple[tuple[StoredBatch, tuple[int, ...]], ...]
    """What was recorded, and the numbers of the events in it."""
    erased: bool = False

    @property
    def runs(self) -> list[History]:
        """Histories to alter."""
        return [History.FromString(history) for history in self.histories]

    def given(self) -> Iterator[tuple[DeliveredCommand, Event]]:
        """Each command that was applied, with its first event."""
        first: dict[str, Event] = {}
        for event in self.folded.events:
            if event.command is not None and event.kind != "refused":
                first.setdefault(event.command.id, event)
        for taken in self.folded.commands:
            if taken.event_id > 1 and taken.command.id in first:
                yield taken, first.pop(taken.command.id)

    def record_of(self, seq: int) -> StoredBatch:
        """By what this event was recorded."""
        return next(each for each, numbers in self.stored if seq in numbers)


async def subjects(crowd: Crowd) -> list[Subject]:
    """All issues, the first in the log first."""
    database = Database(crowd.database_url)
    try:
        holdings = Holdings(database, Archive(crowd.archive_url), rows=False)
        return [_subject(await holdings.case(issue), n) async for n, issue in holdings.sealed()]
    finally:
        await database.close()


def _subject(case: ArchivedCase, position: int) -> Subject:
    issue, histories = case.issue, case.runs
    runs = [History.FromString(history).events for history in histories]
    folded = refold(issue, runs)
    parts = [part for turn in folded.turns for part in batches(map(dump_event, turn.events))]
    stored = [each for n, run in enumerate(runs) for each in stored_batches(n, run)]
    numbered = [tuple(event["seq"] for event in part) for part in parts]
    return Subject(issue, position, histories, folded, tuple(zip(stored, numbered, strict=True)), case.erased)


class Scene:
    """A copy of the installation, with one issue of it as the victim."""

    def __init__(self, crowd: Crowd, folder: Path, victim: Subject, others: Sequence[Subject]) -> None:
        self.crowd = Crowd(folder)
        self.keys_of_log = crowd.keys
        self.victim = victim
        self.others = others
        shutil.copytree(crowd.folder / "archive", folder / "archive", copy_function=os.link)
        shutil.copytree(crowd.folder / "attachments", folder / "attachments", copy_function=os.link)
        shutil.copytree(crowd.heads, self.crowd.heads)
        shutil.copytree(crowd.vault, self.crowd.vault)
        shutil.copyfile(crowd.folder / "jiesu.db", folder / "jiesu.db")
        self._engine = create_engine(f"sqlite:///{folder / 'jiesu.db'}")
        self.session = Session(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.commit()
        self.session.close()
        self._engine.dispose()

    # Keys and pictures

    def keys(self, statement: str, *values: Any) -> None:
        """Alters something in the key store."""
        with contextlib.closing(sqlite3.connect(self.crowd.vault / "issues.db")) as connection, connection:
            assert connection.execute(statement, values).rowcount

    def picture(self, of: Subject | None = None) -> tuple[str, Path]:
        """A picture that a completion of an issue names, by default the victim's: its digest, and the file."""
        digest = some(digest for digest, upload in cited((of or self.victim).folded).items() if upload is not None)
        return digest, self.crowd.folder / "attachments" / digest[:2] / digest

    # Files

    def file(self, n: int, issue: str = "") -> Path:
        return self.crowd.folder / "archive" / self.index(issue)[n].key

    def seal_file(self, issue: str = "") -> Path:
        return self.crowd.folder / "archive" / seal_key(issue or self.victim.issue)

    def write(self, n: int, history: bytes, issue: str = "") -> None:
        put(self.file(n, issue), pack(history))

    # Rows

    def index(self, issue: str = "") -> list[ArchiveRow]:
        of = ArchiveRow.issue == (issue or self.victim.issue)
        return list(self.session.scalars(select(ArchiveRow).where(of).order_by(ArchiveRow.n)))

    def seal(self, issue: str = "") -> SealRow:
        return self.session.scalars(select(SealRow).where(SealRow.issue == (issue or self.victim.issue))).one()

    def reseal(self, issue: str = "", change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Everything that is reckoned from the files is reckoned anew: index, record, leaf, and the seal beside them."""
        issue, row = issue or self.victim.issue, self.seal(issue)
        record: dict[str, Any] = json.loads(canonical(row.record))
        record["runs"] = []
        histories: list[bytes] = []
        for run in self.index(issue):
            packed = (self.crowd.folder / "archive" / run.key).read_bytes()
            history = unpack(run.key, packed)
            histories.append(history)
            run.sha256, run.size, run.stored = hashlib.sha256(history).hexdigest(), len(history), len(packed)
            run.events = len(History.FromString(history).events)
            record["runs"].append({"run": run.run, "sha256": run.sha256, "events": run.events})
        try:
            folded = refold(issue, [History.FromString(history).events for history in histories])
        except RefoldError:
            pass
        else:
            events = [dump_event(event) for event in folded.events]
            record |= facts(folded)
            record["events"] = {"count": len(events), "digest": digest_of(events)}
        if change is not None:
            change(record)
        self.put_leaf(row, record)

    def put_leaf(self, row: SealRow, record: dict[str, Any]) -> None:
        """The record under the salt that is there, in SQL and in the archive."""
        row.record = record
        row.leaf = leaf_hash(commitment(bytes.fromhex(row.salt or ""), canonical(record))).hex()
        self.session.flush()
        self.put_seal(leaf_from(row), row.issue)

    def put_seal(self, leaf: Leaf, issue: str = "") -> None:
        put(self.seal_file(issue), pack(canonical(leaf.seal())))


Names = Mapping[str, object]
"""What the place of a finding is made of: `n` is a run, `event` an event of it, and so on."""
Forge = Callable[[Subject, list[History]], Names | None]


@dataclass(frozen=True)
class Tamper:
    """What is altered, by somebody who does that and no more; where it is found, and by which step.

    `place` is a regular expression in which names in braces stand for what `alter` tells; the finding is about the
    issue, unless its place begins with ``head``.
    """

    name: str
    alter: Callable[[Scene], Names | None]
    step: Step
    place: str
    fits: Callable[[Subject], bool] = lambda _: True
    """Whether the issue has what is to be altered."""
    spares: bool = True
    """Whether nothing is found of other issues."""
    after: timedelta = timedelta()
    """How long afterwards somebody looks."""


@dataclass(frozen=True)
class Forgery:
    """Something altered in a history, and where it is found even if every digest here was reckoned anew."""

    name: str
    alter: Forge
    step: Step
    place: str
    fits: Callable[[Subject], bool] = lambda _: True


def put(file: Path, data: bytes) -> None:
    """The files are shared with the original: none is written over."""
    file.unlink()
    file.write_bytes(data)


# Histories


def of_kind(runs: Sequence[History], kind: EventType) -> Iterator[tuple[int, HistoryEvent]]:
    return ((n, event) for n, run in enumerate(runs) for event in run.events if event.event_type == kind)


def at(runs: Sequence[History], n: int, event_id: int) -> HistoryEvent:
    return runs[n].events[event_id - 1]


def edit(payload: Payload, change: Callable[[Any], None]) -> None:
    """Alters the JSON in a payload, in the words of the SDK."""
    plain = json.loads(payload.data)
    change(plain)
    payload.data = PayloadConverter.default.to_payload(plain).data


def shift(event: HistoryEvent, ms: int) -> None:
    """Moves the server's time of an event."""
    event.event_time.FromNanoseconds(event.event_time.ToNanoseconds() + ms * 1_000_000)


def cut(run: History, event_id: int) -> None:
    """Takes an event out and closes the gap."""
    del run.events[event_id - 1]
    renumber(run, lambda number: number - (number > event_id))


def insert(run: History, event: HistoryEvent, event_id: int) -> None:
    """Puts an event in at this place; all that come after move on."""
    renumber(run, lambda number: number + (number >= event_id))
    event.event_id = event_id
    rest = [*run.events[: event_id - 1], event, *run.events[event_id - 1 :]]
    del run.events[:]
    run.events.extend(rest)


def renumber(run: History, new: Callable[[int], int]) -> None:
    """Each event's own number, and those by which others refer to it."""
    for event in run.events:
        event.event_id = new(event.event_id)
        attributes = getattr(event, event.WhichOneof("attributes") or "")
        _renumber(attributes, new)


def _renumber(message: Message, new: Callable[[int], int]) -> None:
    for field, value in message.ListFields():
        if field.name.endswith("_event_id") and value:
            setattr(message, field.name, new(value))
