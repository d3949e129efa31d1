"""What a process holds to sign, to seal and to encrypt with."""

from dataclasses import dataclass
from typing import Self

from temporalio.converter import DataConverter

from security.codec import converter
from security.credentials import Signer
from security.namespace import NamespaceKeys
from security.vault import Vault


@dataclass(frozen=True)
class Keys:
    """See the module. Made by `custody` in an installation."""

    signer: Signer
    vault: Vault
    converter: DataConverter
    """With it whatever a client gives to Temporal is encrypted."""

    @classmethod
    def ephemeral(cls) -> Self:
        """Keys that nobody else has and that end with the process: for tests, and to measure with."""
        return cls(Signer.ephemeral(), Vault.in_memory(), converter(NamespaceKeys.new()))

    async def close(self) -> None:
        await self.vault.close()
