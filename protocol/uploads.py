"""Who uploaded the pictures of an issue, and when: what the rules ask of the pictures that a completion names."""

from collections.abc import Collection

from db import attachments
from db.tables import AttachmentRow
from domain.commands import Upload
from domain.personal import Sealed
from protocol.errors import Unavailable
from protocol.read_model import ReadModel, SqlDown
from security.keystore import KeyStoreDown
from security.vault import ERASED, Erased, NoKey, UnsealError, Vault


async def uploads(model: ReadModel, vault: Vault, issue: str, digests: Collection[str]) -> tuple[Upload, ...]:
    """The pictures of this issue with one of these digests, oldest first. Raises Unavailable."""
    try:
        async with model.read() as session:
            rows = [row for row in await attachments.of_issue(session, issue) if row.digest in digests]
        return tuple([Upload(row.digest, await uploader(vault, row), row.org, row.added_at) for row in rows])
    except (SqlDown, KeyStoreDown):
        raise Unavailable("pictures-not-looked-up") from None


async def uploader(vault: Vault, row: AttachmentRow) -> str:
    """The person who uploaded the picture; ERASED if the name cannot be opened any more. Raises KeyStoreDown."""
    try:
        return (await vault.key_for(row.issue, make=False)).open(Sealed.parse(row.added_by))
    except (Erased, NoKey, UnsealError, ValueError):
        return ERASED
