"""Takes the pictures of erased issues away: unreadable already, since their key is gone, they only take room."""

from sqlalchemy.orm import Session

from db import attachments
from db.engine import Database
from shelf import Shelf


class StoredPictures:
    """What the read model knows of pictures, and where they lie."""

    def __init__(self, database: Database, shelf: Shelf) -> None:
        self._database = database
        self._shelf = shelf

    async def remove(self, issue: str) -> None:
        """All of an issue. Raises ShelfError."""
        async with self._database.read() as session:
            rows = await attachments.of_issue(session, issue)
        for row in rows:
            await self._shelf.remove(row.digest)

        def forget(session: Session) -> None:
            attachments.remove(session, issue)

        await self._database.transact(forget)
