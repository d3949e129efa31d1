"""Keys for tests, held in memory only."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import islice

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.codec import converter
from security.credentials import OwnRoot, Signer
from security.keys import Keys
from security.keystore import Erasure, KeyRow, Wrapped
from security.master import MasterKeys
from security.namespace import NamespaceKeys
from security.vault import Vault


def ephemeral_signer() -> Signer:
    return Signer(OwnRoot(Ed25519PrivateKey.generate()))


def ephemeral_keys() -> Keys:
    return Keys(ephemeral_signer(), Vault(MemoryStore(), MasterKeys.new()), converter(NamespaceKeys.new()))


class MemoryStore:
    """A key store that ends with its process."""

    def __init__(self) -> None:
        self._rows: dict[str, KeyRow] = {}
        self._requested: dict[str, Erasure] = {}

    async def create(self, issue: str, wrapped: Wrapped, now: datetime) -> KeyRow:
        return self._rows.setdefault(issue, KeyRow(issue, wrapped, now))

    async def get(self, issue: str) -> KeyRow | None:
        return self._rows.get(issue)

    async def destroy(self, issue: str, why: str, now: datetime) -> bool:
        row = self._rows.get(issue)
        if row is not None and row.destroyed_at is not None:
            return False
        self._rows[issue] = KeyRow(issue, None, row.created_at if row else now, now, why)
        self._requested.pop(issue, None)
        return True

    async def request_erasures(self, wanted: Sequence[Erasure]) -> None:
        gone = await self.destroyed([each.issue for each in wanted])
        for each in wanted:
            if each.issue not in gone:
                self._requested.setdefault(each.issue, each)

    async def requested_erasures(self, after: str, limit: int) -> Sequence[Erasure]:
        return [self._requested[issue] for issue in sorted(self._requested) if issue > after][:limit]

    async def tombstones(self, after: str, limit: int) -> Sequence[Erasure]:
        gone = (self._rows[issue] for issue in sorted(self._rows) if issue > after)
        found = (Erasure(row.issue, row.why or "", row.destroyed_at) for row in gone if row.destroyed_at is not None)
        return list(islice(found, limit))

    async def destroyed(self, issues: Collection[str]) -> set[str]:
        return {issue for issue in issues if (row := self._rows.get(issue)) is not None and row.wrapped is None}

    async def probe(self) -> None:
        pass

    async def close(self) -> None:
        pass

    @property
    def file(self) -> None:
        return None
