"""Seals what people write before it goes anywhere, and opens it for those who may read; a vault's faults as problems."""

from collections.abc import Sequence
from typing import TypeVar

from domain.events import Event
from domain.issue import Issue
from protocol.errors import Invalid, Refused, Unavailable
from security.keystore import KeyStoreDown
from security.vault import Erased, Vault

T = TypeVar("T")


class Sealer:
    """See the module."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def report(self, issue: str, command: str, body: T) -> T:
        """The report of an issue, sealed. Raises Erased, Invalid, Unavailable."""
        try:
            return await self._vault.seal_body(issue, command, body)
        except KeyStoreDown:
            raise Unavailable("the key store does not answer; send the same again, with the same key") from None
        except ValueError as error:
            raise _sealed_already(error) from None

    async def body(self, issue: Issue, command: str, body: T) -> T:
        """A command's body, sealed. Raises Refused for an issue whose content was erased, Invalid, Unavailable."""
        try:
            return await self.report(issue.id, command, body)
        except Erased:
            raise Refused("closed", "the content of this issue was erased; nothing can be added to it") from None

    async def opened(self, issue: str, events: Sequence[Event]) -> Sequence[Event]:
        """The events of the issue with their texts opened, or with what is said in the place of erased ones. Raises Unavailable."""
        try:
            return await self._vault.open_body(issue, tuple(events))
        except KeyStoreDown:
            raise Unavailable("the key store does not answer, so nothing that was written can be read") from None


def _sealed_already(error: ValueError) -> Invalid:
    place, _, _ = str(error).partition(":")
    return Invalid((place or "body", "a text may not begin with `sealed:`"))
