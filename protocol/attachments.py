"""Pictures of an issue: cleaned, sealed under the issue's key, and stored under the digest of the sealed bytes.

The blob store holds only sealed bytes. Once the key of the issue is destroyed, nobody can see its pictures any more.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import attachments
from db.engine import Database
from db.tables import AttachmentRow
from domain.limits import MOST_PICTURES
from domain.refusals import against
from protocol.clock import Now
from protocol.errors import Invalid, NotFound, ProtocolError, Refused, Unavailable, why
from protocol.pictures import Picture, PictureError, clean
from protocol.read_model import ReadModel, SqlDown
from protocol.reader import VisibleIssue
from protocol.sealing import content_erased
from protocol.uploads import uploader
from runtime.blobs import BlobError, DigestStore, MissingBlob
from runtime.causes import cause_of
from security.keystore import KeyStoreDown
from security.vault import Erased, NoKey, UnsealError, Vault

log: Final = structlog.stdlib.get_logger(__name__)

AT_ONCE: Final = 1
"""How many pictures are decoded at a time. Decoding one takes a core, and the largest up to 650 MB."""
TURN: Final = 10.0
"""How many seconds an uploaded picture waits in memory for its turn to be decoded."""
_WRITE_SECONDS: Final = 2.0
"""How many seconds one write to the database may take."""
_ADDED_BY: Final = "added_by"


@dataclass(frozen=True)
class Attachment:
    """What is known of a picture. `person` is the name of who added it, or `security.vault.ERASED` if it cannot be opened any more."""

    digest: str
    kind: str
    size: int
    person: str
    role: str
    org: str | None
    added_at: datetime


class Attachments:
    """Adds, lists and opens pictures."""

    def __init__(self, *, blobs: DigestStore, vault: Vault, database: Database, model: ReadModel, now: Now) -> None:
        self._blobs = blobs
        self._vault = vault
        self._database = database
        self._model = model
        self._now = now
        self._turn = asyncio.Semaphore(AT_ONCE)

    def check(self, admitted: VisibleIssue) -> None:
        """Raises Refused if the caller may not add a picture to the issue."""
        found = against(admitted.issue, admitted.actor, "attach", admitted.grants, self._now())
        if found is not None:
            raise Refused(found.code, found.params)

    async def add(self, admitted: VisibleIssue, data: bytes) -> str:
        """Stores a picture and returns the digest of its sealed bytes; adding it again returns that digest again.

        Raises Invalid if the bytes are no accepted picture, Refused, Unavailable.
        """
        issue, actor = admitted.issue.id, admitted.actor
        try:
            async with self._decoding():
                picture = await asyncio.to_thread(clean, data)
        except PictureError as error:
            raise Invalid(("body", error)) from None
        try:
            key = await self._vault.key_for(issue, make=True)
            digest = await self._blobs.put(key.seal_bytes(picture.data))
        except Erased:
            raise content_erased() from None
        except (KeyStoreDown, BlobError) as error:
            raise _away(error) from None
        row = {
            "issue": issue, "digest": digest, "kind": picture.kind, "size": len(picture.data),
            "added_by": str(key.seal(actor.person, digest, _ADDED_BY)), "role": actor.role, "org": actor.org,
            "added_at": self._now(),
        }  # fmt: skip
        match await self._note(row):
            case "full":
                await self._discard(digest)
                raise Refused("pictures-full", {"most": str(MOST_PICTURES)})
            case "unknown":
                raise Unavailable("picture-while-written")
            case "added":
                log.info("attachment.added", issue=issue, digest=digest, role=actor.role, org=actor.org)
            case "known":
                pass
        return digest

    async def of_issue(self, seen: VisibleIssue) -> Sequence[Attachment]:
        """All pictures of an issue, oldest first; none for who follows the issue of another. Raises Unavailable."""
        if seen.sight.own and not seen.sight.text:
            return ()
        try:
            async with self._model.read() as session:
                rows = await attachments.of_issue(session, seen.issue.id)
            return [_attachment(row, await uploader(self._vault, row)) for row in rows]
        except (SqlDown, KeyStoreDown) as error:
            raise _away(error) from None

    async def open(self, digest: str, *seen: VisibleIssue) -> Picture:
        """The opened picture, of one of these issues.

        Raises NotFound if it does not exist, was erased or may not be seen; Unavailable.
        """
        readable = [each.issue.id for each in seen if each.sight.text]
        try:
            async with self._model.read() as session:
                rows = [await attachments.find(session, issue, digest) for issue in readable]
            row = next(filter(None, rows), None)
            if row is None:
                raise NotFound
            key = await self._vault.key_for(row.issue, make=False)
            return Picture(row.kind, key.open_bytes(await self._blobs.get(digest)))
        except (Erased, NoKey):
            raise NotFound from None
        except (SqlDown, KeyStoreDown, BlobError, UnsealError) as error:
            raise _away(error) from None

    @contextlib.asynccontextmanager
    async def _decoding(self) -> AsyncGenerator[None]:
        """A context for decoding a picture; AT_ONCE may be entered at a time. Raises Unavailable after TURN seconds."""
        try:
            async with asyncio.timeout(TURN):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("pictures-many") from None
        try:
            yield
        finally:
            self._turn.release()

    async def _note(self, row: dict[str, Any]) -> attachments.Added:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                return await self._database.transact(lambda session: attachments.add(session, row))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise _away(error) from None

    async def _discard(self, digest: str) -> None:
        with contextlib.suppress(BlobError):  # it is sealed, and nothing refers to it
            await self._blobs.remove(digest)


def _attachment(row: AttachmentRow, person: str) -> Attachment:
    return Attachment(row.digest, row.kind, row.size, person, row.role, row.org, row.added_at)


def _away(error: Exception) -> ProtocolError:
    if isinstance(error, BlobError | UnsealError):
        log.warning("attachments.cannot_be_had", error=str(error))
    if isinstance(error, UnsealError | MissingBlob):
        return Unavailable("pictures-away")
    if isinstance(error, KeyStoreDown):
        return Unavailable("pictures-away-since", why=why("key-store", error.cause))
    cause = getattr(error, "cause", None) or cause_of(error)
    store = why("pictures", cause) if isinstance(error, BlobError) else why("database", cause)
    return Unavailable("pictures-away-since", why=store)
