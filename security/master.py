"""Master keys: they wrap the keys of issues, so that who reads the key store alone reads nothing.

A new master is added, promoted once every process knows it, and `rewrap_all` moves all keys to it while everything goes
on; then the old one can be removed.
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


class MasterError(RuntimeError):
    """A master key cannot be used, or does not open what it should; the message never shows a key."""


class MasterDown(MasterError):
    """Who holds the master keys does not answer. Later they may."""


class Kms(Protocol):
    """Who holds the master keys: this process, or a key management service that never gives one away.

    A service gets `context` as the associated data of its cipher (``EncryptionContext``, ``additionalAuthenticatedData``)
    and refuses to unwrap under another one. Its client raises MasterDown in bounded time where it does not answer,
    MasterError where it refuses, and takes blocking calls off the loop. It is asked once for a key and process, and
    again where a key was wrapped anew.
    """

    @property
    def primary(self) -> str:
        """The id of the master that wraps now."""
        ...

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        """The key, encrypted by the primary master."""
        ...

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The key again, whichever master wrapped it."""
        ...


@dataclass(frozen=True)
class MasterKeys(KeySet):
    """Masters in the memory of this process.

    They wrap with AES-256-GCM. AES key wrap (RFC 5649) was made for this, but knows no associated data: with it one who
    can write to the key store lays the key of one issue in the place of another's. A random nonce is safe for 2**32 keys.
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
    """Masters in a file."""

    kind = MasterKeys

    @property
    def primary(self) -> str:
        return self.current.primary

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        return await self.current.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        return await self.current.unwrap(wrapped, context)

    async def remove(self, master: str, store: KeyStore) -> None:
        """Removes a master for good. Raises MasterError while it is the primary, or a key is wrapped by it."""
        if count := (await store.masters()).get(master):
            raise MasterError(f"master key {master} still wraps {count} keys: they are rewrapped first")
        self._change(lambda keys: keys.without(master))


@dataclass(frozen=True)
class Rewrapped:
    """How many keys were moved to the primary master, and the issues whose keys no master opens, which stay as they are."""

    moved: int
    stuck: tuple[str, ...]


async def rewrap_all(masters: Kms, store: KeyStore, batch: int = 500) -> Rewrapped:
    """Wraps every key by the primary master, a batch at a time. Interrupted, it is called again and does what is left.

    Raises KeyStoreDown and MasterDown. Every process has to know the primary before.
    """
    moved, stuck, after = 0, list[str](), ""
    while rows := await store.page(after, batch, but=masters.primary):
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
