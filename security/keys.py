"""The keys of a process: signer, vault and codec."""

from dataclasses import dataclass

from temporalio.converter import DataConverter

from security.credentials import Signer
from security.vault import Vault


@dataclass(frozen=True)
class Keys:
    """Made by `security.opening`."""

    signer: Signer
    vault: Vault
    converter: DataConverter
    """Encrypts all payloads for Temporal."""

    async def close(self) -> None:
        await self.vault.close()
