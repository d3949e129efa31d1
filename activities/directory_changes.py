"""Tells open issues what the directory says today: after an import, at each midnight, and after a start.

An import takes effect at once, and dates in contracts and appointments do at midnight in Shanghai. The worker sends
what changed, and not the import, so that nothing is missed while Temporal or a worker is away.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from db import directory as stored
from db import queries
from db.engine import Database
from domain.commands import directory_command_id
from domain.directory import Directory
from domain.directory_changes import said_of
from domain.resolving import change
from domain.wire import dump, truncate
from domain.worktime import SHANGHAI
from runtime.pause import pause
from security.credentials import CredentialsError, Signer
from workflows.signals import ordered, signal

PERIOD_SECONDS: Final = 2.0
"""Seconds between two looks at which directory is in force."""
SETTLED: Final = timedelta(seconds=15)
"""After which every API process reports by the directory of today, and what was reported is on record."""

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass
class Told:
    """How many open issues were told that their people changed, and how many could not be reached."""

    told: int = 0
    unreached: int = 0


class DirectoryChanges:
    """Tells each open issue once; a command that is sent twice has effect once."""

    def __init__(self, client: Client, database: Database, signer: Signer) -> None:
        self._client = client
        self._database = database
        self._signer = signer
        self._done: tuple[int, date, bool] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every PERIOD_SECONDS until `stop` is set."""
        while not stop.is_set():
            try:
                await self.look(truncate(datetime.now(UTC)))
            except (SQLAlchemyError, OSError, ValueError) as error:
                log.warning("directory_changes.cannot_look", error=type(error).__name__)
            await pause(stop, PERIOD_SECONDS)

    async def look(self, now: datetime) -> Told:
        """Tells all open issues if the directory or the day is another one, and once more when that has settled."""
        today = now.astimezone(SHANGHAI).date()
        async with self._database.read() as session:
            version = await stored.version(session)
            if version is None:
                return Told()
            since = max(version.imported_at, datetime.combine(today, time(), SHANGHAI))
            state = (version.number, today, now >= since + SETTLED)
            if state == self._done:
                return Told()
            directory = await stored.load_directory(session)
            issues = await queries.open_issues(session)
        found = Told()
        for each in issues:
            await self._tell(each.id, directory, now, found)
        if found.told or found.unreached:
            log.info("directory_changes.told", told=found.told, unreached=found.unreached)
        if not found.unreached:
            self._done = state
        return found

    async def _tell(self, issue: str, directory: Directory, now: datetime, found: Told) -> None:
        async with self._database.read() as session:
            known = await queries.issue(session, issue)
        if known is None or known.is_closed:
            return
        body = said_of(known, directory, now.astimezone(SHANGHAI).date())
        if change(known, body) is None:
            return
        command = ordered(
            directory_command_id(issue, known.resolved, body), known.place.street, dump(body), truncate(now)
        )
        try:
            signed = self._signer.sign(known.root, issue, "directory_changed", command)
            await signal(self._client, issue, "directory_changed", signed)
            found.told += 1
        except (RPCError, RuntimeError, CredentialsError) as error:
            if not (isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND):  # closed in the meantime
                log.warning("directory_changes.not_sent", issue=issue, reason=str(error))
                found.unreached += 1
