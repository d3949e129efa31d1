"""The job that adds the words of a sealed report to the search index. It decrypts the report for this purpose only."""

from typing import Final

from sqlalchemy.orm import Session

from db import erasures, projector, queries
from db.engine import Database
from db.outbox import Entry
from domain.events import Reported
from security.vault import ERASED, UNREADABLE, Vault

_UNREADABLE: Final = (ERASED, UNREADABLE)


class SearchJobs:
    """The job ``index``, which is retried until the key store answers."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def index(self, job: Entry) -> None:
        """Adds the words of the issue's report to the search index, unless the erasure of the issue was requested."""
        issue = job.payload["issue"]
        async with self._database.read() as session:
            first = await queries.event(session, issue, 1)
        if first is None or not isinstance(first.body, Reported):
            return
        body = (await self._vault.open_body(issue, first)).body
        assert isinstance(body, Reported)
        text = "".join(str(part) for part in (body.description, body.location) if part not in _UNREADABLE)

        def write(session: Session) -> None:
            # Under the row's lock: the text decrypted above may have been erased since.
            if projector.lock(session, issue) is not None and not erasures.is_asked(session, issue):
                projector.index(session, issue, text)

        await self._database.transact(write)
