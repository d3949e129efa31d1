"""The job by which an issue is found: by its codes, and by the words of its report, decrypted for this purpose only."""

from typing import Final

from sqlalchemy.orm import Session

from activities.codes import CodeJobs
from db import erasures, projector, queries
from db.engine import Database
from db.outbox import Entry
from db.search import words
from domain.events import Reported
from security.vault import ERASED, UNREADABLE, Vault

_UNREADABLE: Final = (ERASED, UNREADABLE)


class SearchJobs:
    """The job ``index``, which is retried until the key store answers."""

    def __init__(self, database: Database, vault: Vault, codes: CodeJobs | None = None) -> None:
        """Without `codes` no issue is found by its codes alone."""
        self._database = database
        self._vault = vault
        self._codes = codes

    async def index(self, job: Entry) -> None:
        """Stores the codes of the issue, and puts the words of its report into the search index, unless its erasure was
        requested.
        """
        issue = job.payload["issue"]
        async with self._database.read() as session:
            first, state = await queries.event(session, issue, 1), await queries.issue(session, issue)
        if self._codes is not None and state is not None:
            codes = self._codes.hashes(state)
            await self._database.transact(lambda session: projector.put_codes(session, issue, codes))
        if first is None or not isinstance(first.body, Reported):
            return
        body = (await self._vault.open_body(issue, first)).body
        assert isinstance(body, Reported)
        place, text = ("" if part in _UNREADABLE else str(part) for part in (body.location, body.description))

        def write(session: Session) -> None:
            # Under the row's lock: the text decrypted above may have been erased since.
            if projector.lock(session, issue) is not None and not erasures.is_asked(session, issue):
                projector.index(session, issue, words(place, text))

        await self._database.transact(write)
