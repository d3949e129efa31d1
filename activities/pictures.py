"""Takes the pictures of erased issues away: unreadable already, since their key is gone, they only take room."""

from sqlalchemy.orm import Session

from db import attachments
from db.engine import Database
from runtime.blobs import DigestStore


class StoredPictures:
    """What the read model knows of pictures, and where they lie."""

    def __init__(self, database: Database, blobs: DigestStore) -> None:
        self._database = database
        self._blobs = blobs

    async def remove(self, issue: str) -> None:
        """All of an issue. Raises BlobError."""
        async with self._database.read() as session:
            digests = [row.digest for row in await attachments.of_issue(session, issue)]
        for digest in digests:
            await self._blobs.remove(digest)

        def forget(session: Session) -> None:
            # One that came in between stays known, so that it is removed the next time.
            attachments.remove(session, issue, digests)

        await self._database.transact(forget)
