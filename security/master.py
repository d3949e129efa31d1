"""Master keys: they wrap the keys of issues, so that who reads the key store alone reads nothing.

A new master is added, promoted once every process knows it, and `rewrap_all` moves all keys to it while everything goes
on; then the old one can be removed.
"""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keyfile import KeyFile, make_missing
from security.keystore import KeyRow, KeyStore, Wrapped

KEY_BYTES: Final = 32
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
class MasterKeys:
    """Masters in the memory of this process, as JSON in the environment or a file gives them: `parse`.

    They wrap with AES-256-GCM. AES key wrap (RFC 5649) was made for this, but knows no associated data: with it one who
    can write to the key store lays the key of one issue in the place of another's. A random nonce is safe for 2**32 keys.
    """

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """One master that nobody else has."""
        name = secrets.token_hex(8)
        return cls(name, {name: secrets.token_bytes(KEY_BYTES)})

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The inverse of `dump`. Raises MasterError."""
        try:
            plain = cast("dict[str, Any]", json.loads(text))
            primary, keys = plain["primary"], {name: _key(key) for name, key in dict(plain["keys"]).items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not chained: the original shows what it could not read.
            raise MasterError('not {"primary": <id>, "keys": {<id>: <32 bytes in base64>}}') from None
        if primary not in keys or not all(_ID.fullmatch(name) for name in keys):
            raise MasterError("the primary master is not among the keys, or an id is no word")
        return cls(primary, keys)

    def dump(self) -> str:
        """The keys in clear, as JSON."""
        keys = {name: base64.b64encode(key).decode() for name, key in self.keys.items()}
        return json.dumps({"primary": self.primary, "keys": keys}, indent=1)

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
    """Masters in a file. Everything raises MasterError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, MasterKeys.parse, MasterError)

    @classmethod
    def made(cls, path: Path) -> Self:
        """The same, with a first master where there is no file."""
        make_missing(path, MasterKeys.new)
        return cls(path)

    @property
    def primary(self) -> str:
        return self.held.primary

    async def wrap(self, key: bytes, context: bytes) -> Wrapped:
        return await self.held.wrap(key, context)

    async def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        return await self.held.unwrap(wrapped, context)

    def add(self) -> str:
        """Adds a master that wraps nothing yet; its id. Where hosts have copies of the file, it goes to all of them now."""
        (name, key), *_ = MasterKeys.new().keys.items()
        self._change(lambda held: replace(held, keys={**held.keys, name: key}))
        return name

    def promote(self, master: str) -> None:
        """Lets this one wrap from now on. Raises MasterError where it is not there."""

        def change(held: MasterKeys) -> MasterKeys:
            if master not in held.keys:
                raise MasterError(f"there is no master key {master}")
            return replace(held, primary=master)

        self._change(change)

    async def remove(self, master: str, store: KeyStore) -> None:
        """Takes a master away for good. Raises MasterError while it is the primary, or a key is wrapped by it."""
        if count := (await store.masters()).get(master):
            raise MasterError(f"master key {master} still wraps {count} keys: they are rewrapped first")

        def change(held: MasterKeys) -> MasterKeys:
            if master == held.primary:
                raise MasterError(f"master key {master} is the primary: another is promoted first")
            return replace(held, keys={name: key for name, key in held.keys.items() if name != master})

        self._change(change)


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


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError
    return key
