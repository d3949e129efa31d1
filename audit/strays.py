"""Looks for files in the archive that belong to no issue on record."""

from collections.abc import AsyncIterator

from sqlalchemy import select

from audit.archive import folder_of, seal_key
from audit.case import Finding
from audit.holdings import Holdings
from db.tables import ArchiveRow, IssueRow, SealRow
from runtime.blobs import BlobError


async def check_files(holdings: Holdings) -> AsyncIterator[Finding]:
    """A finding for each file in the archive that its index does not know. Raises SQLAlchemyError.

    Files of an issue that is not sealed yet are left out: they may have been stored a moment ago.
    """
    try:
        files = await holdings.archive.blobs.keys("")
    except BlobError as error:
        yield Finding("archive", None, "files", str(error))
        return
    async with holdings.database.read() as session:
        known = set(await session.scalars(select(ArchiveRow.key)))
        known.update(map(seal_key, await session.scalars(select(SealRow.issue))))
        unsealed = await session.scalars(select(IssueRow.id).where(IssueRow.id.not_in(select(SealRow.issue))))
        growing = set(map(folder_of, unsealed))
    for key in sorted(set(files) - known):
        if key.rpartition("/")[0] not in growing:
            yield Finding("archive", None, f"file {key}", "it is in the archive, and nothing refers to it")
