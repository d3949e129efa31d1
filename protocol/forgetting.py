"""A resident asks that what was written in his issues be erased; the nightly upkeep does it once they are closed."""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import access_log, erasures
from db.engine import Database
from domain.commands import Actor
from domain.wire import truncate
from protocol.clock import Now
from protocol.errors import Unavailable
from security.keystore import Erasure, KeyStoreDown
from security.vault import Vault

WHY = "request"
"""The reason on record, as that of `jiesu privacy erase`."""
log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Forgotten:
    """How many issues are erased in the coming night, and how many in the night after they are closed."""

    soon: int
    later: int


class Forgetting:
    """Puts requests for erasure on record: in the read model, and beside the keys."""

    def __init__(self, database: Database, vault: Vault, now: Now) -> None:
        self._database = database
        self._vault = vault
        self._now = now

    async def would(self, resident: Actor) -> Forgotten:
        """What `ask` would come to. Raises Unavailable."""
        found = await self._own(resident)
        return _counted(found)

    async def ask(self, resident: Actor) -> Forgotten:
        """Asks for the erasure of every issue that this resident reported. Raises Unavailable."""
        found, now = await self._own(resident), truncate(self._now())
        rows = [(issue, WHY, now) for issue in found]
        lines = [
            access_log.Entry(now, resident.person, resident.role, None, None, "erase", issue, "asked")
            for issue in found
        ]
        try:
            await self._database.transact(lambda session: erasures.ask(session, rows))
            await self._database.transact(lambda session: access_log.put(session, lines))
        except (SQLAlchemyError, OSError, TimeoutError):
            raise Unavailable("lists-away") from None
        try:
            await self._vault.store.request_erasures([Erasure(*row) for row in rows])
        except KeyStoreDown as error:  # the nightly upkeep copies the request there
            log.warning("not_requested", issues=len(rows), error=type(error).__name__)
        return _counted(found)

    async def _own(self, resident: Actor) -> dict[str, bool]:
        """The issues of this resident, and whether each is closed."""
        try:
            async with self._database.read() as session:
                rows = await erasures.reported_by(session, [resident.person])
                return {row.id: row.closed_at is not None for row in rows}
        except (SQLAlchemyError, OSError, TimeoutError):
            raise Unavailable("lists-away") from None


def _counted(found: dict[str, bool]) -> Forgotten:
    soon = sum(found.values())
    return Forgotten(soon, len(found) - soon)
