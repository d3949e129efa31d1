"""An archive beside a worker, for tests of the archiver; run as a program it does one job, to be killed in it."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import select
from temporalio.client import Client

from activities.notices import Deliverer, TableChannel
from audit.archive import Archive
from audit.archiver import Archiver
from audit.gate import golden
from audit.holdings import Holdings
from audit.verify import verify
from db import outbox
from db.engine import Database
from db.outbox import Entry
from db.tables import AlarmRow, ArchiveRow, SealRow
from domain.wire import truncate
from support.keys import ephemeral_keys
from worker import handlers

PATIENCE = 300.0


def now() -> datetime:
    return truncate(datetime.now(UTC))


def later() -> datetime:
    """Jobs need not be waited for."""
    return now() + timedelta(days=60)


def job(issue: str, seq: int = 9) -> Entry:
    """A claimed job; of seq 0 it is one that the reconciler asked for."""
    payload = {"issue": issue, "body": {}}
    return Entry(1, issue, seq, "job", "archive", None, False, payload, 1, later())


async def warm() -> None:
    """Begins the child that replays, so that no job spends its patience on that."""
    await verify(golden()[:1])


@dataclass
class Archiving:
    """Everything that archives, on one server and database."""

    client: Client
    database: Database
    folder: Path

    def __post_init__(self) -> None:
        self.archive = Archive(self.folder.as_uri())
        self.archivist = Archiver(self.client, self.database, self.archive)
        jobs = handlers(self.client, self.database, self.archive, ephemeral_keys())
        self.deliverer = Deliverer(self.database, TableChannel(self.database), jobs, clock=later)

    @property
    def holdings(self) -> Holdings:
        return Holdings(self.database, self.archive)

    async def until_sealed(self, *issues: str) -> None:
        """Does the outbox's jobs until these issues have a leaf each."""
        async with asyncio.timeout(PATIENCE):
            while not set(issues) <= {row.issue for row in await self.seals()}:
                await self.deliverer.deliver_pending()
                await asyncio.sleep(0.05)

    async def ask(self, issue: str) -> bool:
        """As the reconciler asks, and then does all that is due."""
        await warm()
        asked = await self.database.transact(lambda session: outbox.request(session, issue, "archive", now()))
        await self.deliverer.deliver_pending()
        return asked

    async def seals(self) -> Sequence[SealRow]:
        async with self.database.read() as session:
            return (await session.scalars(select(SealRow).order_by(SealRow.position))).all()

    async def runs(self, issue: str) -> Sequence[ArchiveRow]:
        async with self.database.read() as session:
            return (
                await session.scalars(select(ArchiveRow).where(ArchiveRow.issue == issue).order_by(ArchiveRow.n))
            ).all()

    async def alarms(self) -> list[tuple[str, str | None]]:
        return [(row.kind, row.issue) for row in await self.alarm_rows()]

    async def alarm_rows(self) -> Sequence[AlarmRow]:
        async with self.database.read() as session:
            return (await session.scalars(select(AlarmRow).order_by(AlarmRow.id))).all()

    async def everything(self) -> tuple[Any, ...]:
        """All that is held, to be compared with what is held later."""
        seals = [(row.position, row.issue, row.leaf, row.salt, row.record) for row in await self.seals()]
        async with self.database.read() as session:
            rows = await session.execute(select(*ArchiveRow.__table__.columns).order_by(ArchiveRow.run))
            runs = [tuple(row) for row in rows]
        return seals, runs, files(self.folder)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder: its bytes, and when it was last written."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


async def _once(address: str, url: str, folder: str, issue: str) -> None:
    """One job; nobody would try it again if it lost patience with its replay."""
    database = Database(url)
    with mock.patch("audit.archiver.PATIENCE", PATIENCE):
        await Archiving(await Client.connect(address), database, Path(folder)).archivist.archive(job(issue))
    await database.close()


if __name__ == "__main__":
    asyncio.run(_once(*sys.argv[1:]))
