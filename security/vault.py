"""The vault: seals personal texts and pictures under the key of their issue, and opens them for authorised readers.

AES-256-GCM-SIV with a derived nonce, so that a repeated command gives the same bytes and is recognised. With SIV, two
texts under one nonce reveal only whether they are equal. Texts are padded to steps of 32 bytes, which hides the length
of short ones (yes, no, a name).
"""

import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from domain.personal import Personal, Sealed, change_personal
from runtime import base64url
from security.keyfile import KEY_BYTES
from security.keystore import KeyRow, KeyStoreDown, Store, Wrapped
from security.master import Kms, MasterError

T = TypeVar("T")

ERASED: Final = "[erased]"
"""Shown in the place of a text whose key was destroyed."""
UNREADABLE: Final = "[unreadable]"
"""Shown in the place of a text whose key was lost, or that does not open."""
MOST_KEYS: Final = 4096
FRESH: Final = 60.0
"""Seconds for which an opened key is used without asking the store; then an erasure is effective everywhere."""
MOST_STALE: Final = 3600.0
"""Seconds since the store's last answer for which a key is used while the store is down."""
_RETRY: Final = 5.0
"""Seconds before the next attempt while the store is down, so that not every use waits for it."""
_NONCE: Final = 12
_PAD: Final = 32
_LENGTH: Final = 4


class Erased(LookupError):
    """The issue's key was destroyed and will never be replaced."""


class NoKey(LookupError):
    """The issue has no key."""


class UnsealError(ValueError):
    """A sealed value does not open: it is under another key, or altered."""


class IssueKey:
    """The opened key of one issue."""

    __slots__ = ("_cipher", "_of_bytes", "_of_texts", "issue")

    def __init__(self, issue: str, key: bytes) -> None:
        self.issue = issue
        self._cipher = AESGCMSIV(key)
        self._of_texts = b"jiesu/1" + issue.encode()
        self._of_bytes = b"jiesu/1/bytes/" + issue.encode()  # an issue id has no slash

    def seal(self, text: str, *context: str) -> Sealed:
        """Seals the text for one place: `context` is a command's id and the path of a field."""
        plain = text.encode()
        plain = len(plain).to_bytes(_LENGTH, "big") + plain
        nonce = _nonce(context)
        sealed = nonce + self._cipher.encrypt(nonce, plain + bytes(-len(plain) % _PAD), self._of_texts)
        return Sealed(self.issue, base64url.encode(sealed))

    def open(self, sealed: Sealed) -> str:
        """The text. Raises UnsealError."""
        try:
            data = base64url.decode(sealed.text)
            plain = self._cipher.decrypt(data[:_NONCE], data[_NONCE:], self._of_texts)
        except (InvalidTag, ValueError):
            raise UnsealError("it does not open") from None
        # Base64 has several texts for the same bytes; only one of them is accepted.
        if sealed.key != self.issue or base64url.encode(data) != sealed.text:
            raise UnsealError("it was sealed as something else")
        return plain[_LENGTH : _LENGTH + int.from_bytes(plain[:_LENGTH], "big")].decode()

    def seal_bytes(self, data: bytes, *context: str) -> bytes:
        nonce = _nonce(context)
        return nonce + self._cipher.encrypt(nonce, data, self._of_bytes)

    def open_bytes(self, sealed: bytes) -> bytes:
        """The bytes. Raises UnsealError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._of_bytes)
        except (InvalidTag, ValueError):
            raise UnsealError("it does not open") from None


@dataclass
class _Cached:
    """A key as of the store's last answer, at `confirmed`; valid until `until`. Without a key, the issue is erased."""

    key: IssueKey | None
    wrapped: Wrapped | None
    confirmed: float
    until: float


class Vault:
    """Opens the keys of issues and caches them. Raises KeyStoreDown if an existing key is unavailable."""

    def __init__(self, store: Store, masters: Kms, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._masters = masters
        self._clock = clock
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def key_for(self, issue: str, *, make: bool) -> IssueKey:
        """The key, created if missing and `make`. Raises Erased, NoKey, KeyStoreDown; ValueError for a bad id."""
        now = self._clock()
        cached = self._cache.get(issue)
        if cached is None or now >= cached.until:
            cached = await self._ask(issue, cached, now, make=make)
            self._cache[issue] = cached
            if len(self._cache) > MOST_KEYS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(issue)
        if cached.key is None:
            raise Erased(issue)
        return cached.key

    def forget(self, issue: str) -> None:
        """Drops the cached key, so that the next use asks the store."""
        self._cache.pop(issue, None)

    async def seal_body(self, issue: str, command: str, body: T) -> T:
        """The body with its personal texts sealed; blank ones become "". Raises as `key_for`.

        Raises ValueError for a text that is sealed already: it could be another issue's, to be opened here.
        """
        written = False

        def clean(path: str, text: Personal) -> str:
            nonlocal written
            if isinstance(text, Sealed):
                raise ValueError(f"{path}: sealed already")  # noqa: TRY004  its type is one of those allowed
            written = written or bool(text.strip())
            return text if text.strip() else ""

        body = change_personal(body, clean)
        if not written:
            return body
        key = await self.key_for(issue, make=True)
        return change_personal(body, lambda path, text: key.seal(str(text), command, path) if text else "")

    async def open_body(self, issue: str, value: T) -> T:
        """A body, an event or a tuple of them with sealed texts opened, or replaced by ERASED or UNREADABLE.

        UNREADABLE also replaces texts of another issue, which the reader may not see. Asks the store once. Raises
        KeyStoreDown.
        """
        some = False

        def look(_: str, text: Personal) -> Personal:
            nonlocal some
            some = some or isinstance(text, Sealed)
            return text

        change_personal(value, look)
        if not some:
            return value
        key, instead = None, ERASED
        try:
            key = await self.key_for(issue, make=False)
        except NoKey:  # lost, not erased
            instead = UNREADABLE
        except Erased:
            pass

        def opened(_: str, text: Personal) -> Personal:
            if not isinstance(text, Sealed):
                return text
            try:
                return instead if key is None else key.open(text)
            except UnsealError:
                return UNREADABLE

        return change_personal(value, opened)

    async def seal_bytes(self, issue: str, data: bytes) -> bytes:
        """Seals bytes, equal ones to the same result; creates the issue's key if missing. Raises as `key_for`."""
        # One nonce for all: a nonce derived from the data would let anybody who has the data recognise it.
        return (await self.key_for(issue, make=True)).seal_bytes(data)

    async def open_bytes(self, issue: str, sealed: bytes) -> bytes:
        """The bytes. Raises as `key_for`, and UnsealError."""
        return (await self.key_for(issue, make=False)).open_bytes(sealed)

    async def erase(self, issue: str, why: str, now: datetime) -> bool:
        """Destroys the key for ever; False if that was done before. Raises KeyStoreDown if uncertain: repeat it.

        Effective here at once, in other processes within FRESH seconds while they reach the store.
        """
        try:
            return await self.store.destroy(issue, why, now)
        finally:
            self.forget(issue)

    async def close(self) -> None:
        """Closes the connections to the store."""
        await self.store.close()

    async def _ask(self, issue: str, cached: _Cached | None, now: float, *, make: bool) -> _Cached:
        try:
            row = await self.store.get(issue)
            if row is None and make:
                row = await self._make(issue)
            if row is None:
                self.forget(issue)
                raise NoKey(issue)
            return await self._opened(row, cached, now)
        except KeyStoreDown:
            if cached is None or now - cached.confirmed > MOST_STALE:
                raise
            cached.until = self._clock() + _RETRY
            return cached

    async def _make(self, issue: str) -> KeyRow:
        """Creates a key; returns the stored row, which another process may have created first."""
        Sealed.parse(str(Sealed(issue, "-")))
        try:
            wrapped = await self._masters.wrap(secrets.token_bytes(KEY_BYTES), issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error)) from error
        return await self.store.create(issue, wrapped, datetime.now(UTC))

    async def _opened(self, row: KeyRow, cached: _Cached | None, now: float) -> _Cached:
        if row.wrapped is None:
            return _Cached(None, None, now, math.inf)
        if cached is not None and cached.wrapped == row.wrapped:  # already unwrapped
            return _Cached(cached.key, cached.wrapped, now, now + FRESH)
        try:
            key = await self._masters.unwrap(row.wrapped, row.issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error)) from error
        return _Cached(IssueKey(row.issue, key), row.wrapped, now, now + FRESH)


def _nonce(context: tuple[str, ...]) -> bytes:
    """A digest of the parts with their lengths, so that different lists of parts never collide."""
    parts = [part.encode() for part in context]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()[:_NONCE]
