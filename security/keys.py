"""What a process holds to sign and to seal with."""

from dataclasses import dataclass
from typing import Self

from security.credentials import Signer
from security.vault import Vault


@dataclass(frozen=True)
class Keys:
    """See the module. Made by `custody` in an installation."""

    signer: Signer
    vault: Vault

    @classmethod
    def ephemeral(cls) -> Self:
        """Keys that nobody else has and that end with the process: for tests, and to measure with."""
        return cls(Signer.ephemeral(), Vault.in_memory())

    async def close(self) -> None:
        await self.vault.close()
