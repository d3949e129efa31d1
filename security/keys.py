"""What a process holds to sign, to seal and to encrypt with."""

from dataclasses import dataclass

from temporalio.converter import DataConverter

from security.credentials import Signer
from security.vault import Vault


@dataclass(frozen=True)
class Keys:
    """Opened by `security.opening`."""

    signer: Signer
    vault: Vault
    converter: DataConverter
    """With it whatever a client gives to Temporal is encrypted."""

    async def close(self) -> None:
        await self.vault.close()
