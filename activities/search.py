"""The job that lets an issue be found by what was reported: opened for this alone, and kept folded beside its row."""

from typing import Final

from sqlalchemy.orm import Session

from db import erasures, projector, queries
from db.engine import Database
from db.outbox import Entry
from domain.events import Reported
from security.vault import ERASED, UNREADABLE, Vault

_UNSEEN: Final = (ERASED, UNREADABLE)


class SearchJobs:
    """Repeated until the key store has answered."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def index(self, job: Entry) -> None:
        """Fills in what an issue can be found by; nothing where its content was erased meanwhile."""
        issue = job.payload["issue"]
        async with self._database.read() as session:
            first = await queries.event(session, issue, 1)
        if first is None or not isinstance(first.body, Reported):
            return
        body = (await self._vault.open_body(issue, first)).body
        assert isinstance(body, Reported)
        found = "".join(str(text) for text in (body.description, body.location) if text not in _UNSEEN)

        def write(session: Session) -> None:
            # Behind the row's lock: what was opened a moment ago may be erased by now.
            if projector.lock(session, issue) is not None and not erasures.is_asked(session, issue):
                projector.index(session, issue, found)

        await self._database.transact(write)
