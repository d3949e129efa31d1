"""Master keys wrap (encrypt) the keys of issues, so that the key store alone reveals nothing.

Rotation: a new master key is added, and promoted to the primary once every process has it. Then `rewrap_all` wraps all
issue keys by it, during normal operation. After that the old master key can be removed.
"""

import re
import secrets
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keyfile import KEY_BYTES, KeyFile, KeySet
from security.keystore import KeyRow, KeyStore, Wrapped

_NONCE: Final = 12
_PURPOSE: Final = b"jiesu/1/master"
_ID: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")
_BATCH: Final = 500


class MasterError(RuntimeError):
    """A master key is unusable, or does not unwrap the key of an issue. The message never shows a key."""


class MasterDown(MasterError):
    """The key management service does not answer at the moment."""


class Kms(Protocol):
    """The holder of the master keys: this process, or a key management service that never reveals them.

    A service uses `context` as associated data (``EncryptionContext``, ``additionalAuthenticatedData``) and refuses to
    unwrap with another context. The client of a service raises MasterDown, in bounded time, if the service does not
    answer, MasterError if it refuses, and runs blocking calls off the event loop. Each process unwraps a key once, and
    again after that key was rewrapped.
    """

    @property
    def primary(self) -> str:
        """The id of the master key that wraps new issue keys."""
        ...

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        """The issue key, encrypted by the primary master key."""
        ...

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The issue key, decrypted by the master key that wrapped it."""
        ...


@dataclass(frozen=True)
class MasterKeys(KeySet):
    """Master keys in the memory of this process, which wrap with AES-256-GCM; a random nonce is safe for 2**32 keys.

    AES key wrap (RFC 5649) is not used, since it has no associated data: a writer to the key store could swap the keys
    of two issues.
    """

    NOUN: ClassVar = "master"
    ERROR: ClassVar[type[RuntimeError]] = MasterError

    @classmethod
    def new(cls) -> Self:
        name, keys = cls("", {}).added()
        return keys.promoted(name)

    def new_key(self) -> tuple[str, bytes]:
        return secrets.token_hex(8), secrets.token_bytes(KEY_BYTES)

    def check_id(self, name: str, key: bytes) -> None:
        if not _ID.fullmatch(name):
            raise MasterError("an id is no word")

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self.keys[self.primary]).encrypt(nonce, key, _associated(self.primary, context))
        return Wrapped(self.primary, nonce + sealed)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        master = self.keys.get(wrapped.master)
        if master is None:
            raise MasterError(f"there is no master key {wrapped.master}")
        nonce, sealed = wrapped.data[:_NONCE], wrapped.data[_NONCE:]
        try:
            return AESGCM(master).decrypt(nonce, sealed, _associated(wrapped.master, context))
        except (InvalidTag, ValueError):
            raise MasterError(f"master key {wrapped.master} does not open this key") from None


class MasterFile(KeyFile[MasterKeys]):
    """Master keys in a key file."""

    kind = MasterKeys

    @property
    def primary(self) -> str:
        return self.current.primary

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        return await self.current.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        return await self.current.unwrap(wrapped, context)

    async def remove(self, master: str, store: KeyStore) -> None:
        """Removes a master key for good. Raises MasterError while it is the primary or wraps an issue key."""
        if count := (await store.masters()).get(master):
            raise MasterError(f"master key {master} still wraps {count} keys: they are rewrapped first")
        self._change(lambda keys: keys.without(master))


@dataclass(frozen=True)
class Rewrapped:
    """How many issue keys were rewrapped by the primary master key, and the issues whose keys cannot be unwrapped."""

    moved: int
    stuck: tuple[str, ...]


async def rewrap_all(masters: Kms, store: KeyStore) -> Rewrapped:
    """Rewraps the key of every issue by the primary master key, in batches. Called again, it goes on where it ended.

    Every process must have the primary master key before. Raises KeyStoreDown and MasterDown.
    """
    moved, stuck, after = 0, list[str](), ""
    while rows := await store.page(after, _BATCH, without=masters.primary):
        after = rows[-1].issue
        new: list[tuple[KeyRow, Wrapped]] = []
        for row in rows:
            if row.wrapped is None:
                continue
            context = row.issue.encode()
            try:
                new.append((row, await masters.wrap(await masters.unwrap(row.wrapped, context), context)))
            except MasterDown:
                raise
            except MasterError:
                stuck.append(row.issue)
        moved += await store.replace(new)
    return Rewrapped(moved, tuple(stuck))


def _associated(master: str, context: bytes) -> bytes:
    name = master.encode()
    return _PURPOSE + len(name).to_bytes(1, "big") + name + context
