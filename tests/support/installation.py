"""An installation for audit tests: issues really played, archived and sealed, with published heads."""

import asyncio
import contextlib
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

import worker
from audit.archive import Archive
from audit.heads import Destinations, publish
from audit.holdings import Holdings
from audit.log_keys import FIRST, LogKeys
from audit.service import AuditService
from audit.verify_all import Source
from db.engine import Database
from db.upgrade import upgrade_async
from domain.wire import format_time
from policies.loader import load_pack
from runtime.settings import Settings
from security.opening import prepare_keys
from support.archiving import Archiving, now
from support.golden import SIGNER, give, play, start_issue
from support.scenarios import STAFF
from support.temporal import dev_server

LOG = "city.example/jiesu"
EARLY = ("golden-refused", "golden-standard")
"""Covered by both heads, of 2 and of 4 issues."""
LATER = ("golden-again", "golden-big")
"""Covered by the second head only; the first of them has two runs."""
COVERED = (*EARLY, *LATER)
UNCOVERED = "golden-declined"
"""Sealed after the second head."""
SEALED = (*COVERED, UNCOVERED)
OPEN = "open"
"""Open, and in its second run: the first one is archived already."""
SUGGESTED = "limit.historyCount.suggestContinueAsNew=60"


@dataclass(frozen=True)
class Installation:
    """The home of an installation in which nothing runs. Nobody changes it: who tampers works on a copy."""

    home: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.home / 'jiesu.db'}"

    @property
    def archive(self) -> Archive:
        return Archive((self.home / "archive").as_uri())

    @property
    def heads(self) -> Path:
        return self.home / "heads"

    @property
    def head_files(self) -> list[Path]:
        """The notes, the oldest first."""
        return sorted(file for file in self.heads.glob("*.txt") if file.name != FIRST)

    @property
    def vkey(self) -> str:
        return (self.heads / FIRST).read_text("utf-8").strip()

    @property
    def source(self) -> Source:
        return Source(self.url, self.archive.url)

    @contextlib.asynccontextmanager
    async def service(self) -> AsyncIterator[AuditService]:
        database = Database(self.url)
        try:
            yield AuditService(Holdings(database, self.archive), self.heads)
        finally:
            await database.close()

    def copied(self, folder: Path) -> "Installation":
        """The same installation once more, for somebody to tamper with."""
        shutil.copytree(self.home, folder)
        return Installation(folder)

    def sql(self, statement: str, *values: Any) -> int:
        """Does it behind everybody's back; how many rows it changed."""
        with contextlib.closing(sqlite3.connect(self.home / "jiesu.db")) as connection, connection:
            return connection.execute(statement, values).rowcount

    def settle(self) -> None:
        """What no auditor gets is gone, and what the first one would have made is there."""
        for file in self.home.glob("temporal*"):
            file.unlink()
        (self.home / "keys" / "secret").write_text(secrets.token_hex(32), "utf-8")

    def erase(self, issue: str) -> None:
        """What is on record once the key of its texts is destroyed."""
        asked = "2026-11-24T08:00:00.000Z"
        assert self.sql("INSERT INTO erasures VALUES (?, 'request', ?, ?)", issue, asked, asked) == 1

    def take_away(self, issue: str) -> None:
        """All that is held of it but its leaf, as nobody does who may."""
        assert self.sql("UPDATE seals SET salt = NULL, record = NULL WHERE issue = ?", issue) == 1
        for table in ("events", "receipts", "notices", "outbox", "archive"):
            self.sql(f"DELETE FROM {table} WHERE issue = ?", issue)
        assert self.sql("DELETE FROM issues WHERE id = ?", issue) == 1
        (folder,) = (self.home / "archive" / "issues").glob(f"*/{issue}")
        shutil.rmtree(folder)


_BUILT: Final = pytest.StashKey[Installation]()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One for all tests of a process, whichever conftest gives it to them. Nobody changes it."""
    stash = request.config.stash
    if _BUILT not in stash:
        stash[_BUILT] = await build(tmp_path_factory.mktemp("installation"))
    return stash[_BUILT]


async def build(home: Path) -> Installation:
    """Plays it on a real server with the real worker and deliverer, then takes the server away."""
    made = Installation(home)
    await upgrade_async(made.url)
    await prepare_keys(Settings(home=home), has_issues=False)
    database = Database(made.url)
    async with dev_server(home, SUGGESTED) as client, worker.build(client, database):
        held = Archiving(client, database, home / "archive")
        ring, outlets = (
            LogKeys.create(home / "keys" / "seal", LOG),
            Destinations(made.heads, roots=lambda: [SIGNER.root]),
        )

        async def played(*issues: str) -> None:
            await asyncio.gather(*(play(client, issue.removeprefix("golden-"), Path()) for issue in issues))

        async def opened() -> None:
            # Its limits are hours: on a slow machine those of the demo pack, ten seconds, would add events.
            await start_issue(client, OPEN, policy=load_pack("12345"))
            for number in range(60):
                plain = {"id": f"{OPEN}-{number}", "at": format_time(now()), "actor": STAFF, "body": {"text": "在办"}}
                await give(client, OPEN, "comment", plain)

        await asyncio.gather(played(*EARLY), opened())
        await held.until_sealed(*EARLY)
        # A head says when it was signed to the second, and each must have a time of its own.
        await publish(database, ring, outlets, now() - timedelta(seconds=1))
        await played(*LATER)
        await held.until_sealed(*LATER)
        await publish(database, ring, outlets, now())
        await played(UNCOVERED)
        await held.until_sealed(UNCOVERED)
        async with asyncio.timeout(60):
            while not await held.runs(OPEN):
                await held.ask(OPEN)
                await asyncio.sleep(0.1)
    await database.close()
    await asyncio.to_thread(made.settle)
    return made
