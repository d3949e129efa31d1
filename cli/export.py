"""The export of a person's data: all that is stored about the person's issues, decrypted."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from api.http.responses import IssueView, TimelineView
from db import attachments, queries
from domain.access import Sight
from domain.accounts import accounts
from domain.wire import format_time
from protocol.reader import Timeline
from runtime.blobs import DigestStore
from security.vault import Erased, NoKey, Vault

_WHOLE: Final = Sight(text=True, phone=True)


async def export(session: AsyncSession, vault: Vault, issues: Sequence[str], now: datetime) -> dict[str, Any]:
    """All data of these issues, decrypted: ``{at, issues: [{issue, timeline, pictures}]}``. `at` is `now`.

    Raises KeyStoreDown and SQLAlchemyError.
    """
    return {"at": format_time(now), "issues": [await _issue(session, vault, issue) for issue in issues]}


async def pictures(session: AsyncSession, vault: Vault, blobs: DigestStore, issues: Sequence[str]) -> dict[str, bytes]:
    """File name -> bytes of each picture that can still be decrypted.

    Raises KeyStoreDown, BlobError and SQLAlchemyError.
    """
    found: dict[str, bytes] = {}
    for issue in issues:
        for row in await attachments.of_issue(session, issue):
            with contextlib.suppress(Erased, NoKey):
                opened = await vault.open_bytes(issue, await blobs.get(row.digest))
                found[f"{row.digest}.{row.kind.rpartition('/')[2]}"] = opened
    return found


async def _issue(session: AsyncSession, vault: Vault, issue: str) -> dict[str, Any]:
    state = await queries.issue(session, issue)
    events = await vault.open_body(issue, await queries.timeline(session, issue))
    climbs = () if state is None else accounts(events, *await queries.pins(session, issue))
    policy = None if state is None else state.policy
    pictures = await attachments.of_issue(session, issue)
    return {
        "issue": None if state is None else IssueView.from_issue(state).model_dump(mode="json"),
        "timeline": TimelineView.from_timeline(Timeline.of(events, climbs), _WHOLE, policy).model_dump(mode="json"),
        "pictures": [{"digest": row.digest, "kind": row.kind, "size": row.size} for row in pictures],
    }
