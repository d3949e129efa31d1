"""Removes the stored pictures of erased issues. They are unreadable already: the key of the issue is destroyed."""

from sqlalchemy.orm import Session

from db import attachments
from db.engine import Database
from runtime.blobs import DigestStore


class StoredPictures:
    """The rows of pictures in the read model, and the blob store with their encrypted bytes."""

    def __init__(self, database: Database, blobs: DigestStore) -> None:
        self._database = database
        self._blobs = blobs

    async def remove(self, issue: str) -> None:
        """Removes all pictures of an issue. Raises BlobError."""
        async with self._database.read() as session:
            digests = [row.digest for row in await attachments.of_issue(session, issue)]
        for digest in digests:
            await self._blobs.remove(digest)

        def forget(session: Session) -> None:
            # A picture uploaded since the read keeps its row, so that the next run removes it.
            attachments.remove(session, issue, digests)

        await self._database.transact(forget)
