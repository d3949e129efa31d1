"""The keys of a process, each behind the object that uses it: signer, vault and data converter."""

from dataclasses import dataclass

from temporalio.converter import DataConverter

from security.credentials import Signer
from security.vault import Vault


@dataclass(frozen=True)
class Keys:
    """Signer, vault and data converter of a process; `security.opening.open_keys` makes them from the settings."""

    signer: Signer
    vault: Vault
    converter: DataConverter
    """The data converter, which encrypts all payloads for Temporal."""

    async def close(self) -> None:
        await self.vault.close()
