"""The vault: seals personal texts and pictures under the key of their issue, and opens them for authorised readers.

It uses AES-256-GCM-SIV with a nonce derived from the command, so that a repeated command gives the same bytes and is
recognised. With SIV, two texts under one nonce reveal only whether they are equal. Texts are padded to a multiple of
32 bytes, which hides how long a short text (yes, no, a name) is.
"""

import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar, runtime_checkable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from domain.personal import Personal, Sealed, change_personal
from runtime import base64url
from runtime.causes import CLOSED
from security.keyfile import KEY_BYTES
from security.keystore import KeyRow, KeyStoreDown, Store, Wrapped
from security.master import Kms, MasterError

T = TypeVar("T")

ERASED: Final = "[erased]"
"""What readers see in the place of a text whose key was destroyed."""
UNREADABLE: Final = "[unreadable]"
"""What readers see in the place of a text whose key was lost, or that does not open."""
MOST_KEYS: Final = 4096
FRESH: Final = 60.0
"""How many seconds an opened key is used without asking the key store. By then, every process notices an erasure."""
MOST_STALE: Final = 3600.0
"""While the key store is down, an opened key is used until so many seconds after the store last confirmed it."""
_RETRY: Final = 5.0
"""While the key store is down, it is asked for a key only every so many seconds, so that not every use waits."""
_NONCE: Final = 12
_PAD: Final = 32
_LENGTH: Final = 4


class Erased(LookupError):
    """The issue's key was destroyed and will never be replaced."""


class NoKey(LookupError):
    """The issue has no key, and none was destroyed."""


class UnsealError(ValueError):
    """A sealed value does not open: it was sealed under another key, or altered."""


class IssueKey:
    """The unwrapped key of one issue, which seals and opens texts and bytes."""

    __slots__ = ("_cipher", "_of_bytes", "_of_texts", "issue")

    def __init__(self, issue: str, key: bytes) -> None:
        self.issue = issue
        self._cipher = AESGCMSIV(key)
        self._of_texts = b"jiesu/1" + issue.encode()
        self._of_bytes = b"jiesu/1/bytes/" + issue.encode()  # an issue id has no slash

    def seal(self, text: str, *context: str) -> Sealed:
        """Seals a text. The nonce derives from `context`: where the text stands, such as a command's id and a field."""
        plain = text.encode()
        plain = len(plain).to_bytes(_LENGTH, "big") + plain
        nonce = _nonce(context)
        sealed = nonce + self._cipher.encrypt(nonce, plain + bytes(-len(plain) % _PAD), self._of_texts)
        return Sealed(self.issue, base64url.encode(sealed))

    def open(self, sealed: Sealed) -> str:
        """The text that was sealed. Raises UnsealError."""
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
        """The bytes that were sealed. Raises UnsealError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._of_bytes)
        except (InvalidTag, ValueError):
            raise UnsealError("it does not open") from None


@dataclass
class _Cached:
    """The key of an issue as the store last answered; None if the key was destroyed.

    The store answered at `confirmed`, and is not asked again before `until`.
    """

    key: IssueKey | None
    wrapped: Wrapped | None
    confirmed: float
    until: float


@runtime_checkable
class Batched(Protocol):
    """A store that has the rows of several issues at one look; a store in memory need not."""

    async def several(self, issues: Collection[str]) -> Mapping[str, KeyRow]: ...


class Vault:
    """Seals and opens values under the keys of their issues, and caches these keys.

    Raises KeyStoreDown if a key cannot be had at the moment.
    """

    def __init__(self, store: Store, masters: Kms, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._masters = masters
        self._clock = clock
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def key_for(self, issue: str, *, make: bool) -> IssueKey:
        """The key of the issue. If it has none, with `make` one is created, otherwise NoKey is raised.

        Raises Erased if the key was destroyed, KeyStoreDown, and ValueError for an unusable issue id.
        """
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
        """Drops the cached key of the issue, so that the next use asks the store."""
        self._cache.pop(issue, None)

    async def seal_body(self, issue: str, command: str, body: T) -> T:
        """The body with its personal texts sealed; blank texts become "".

        Raises Erased, KeyStoreDown, and ValueError for a text that is sealed already: somebody could give the sealed
        text of another issue here, to have it opened.
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
        """The value (a body, an event or a tuple of events) with its sealed texts opened.

        ERASED replaces texts whose key was destroyed. UNREADABLE replaces texts that do not open, also because they are
        of another issue, which the reader may not see. Asks the store at most once. Raises KeyStoreDown.
        """
        if not _is_sealed(value):
            return value
        key, instead = None, ERASED
        try:
            key = await self.key_for(issue, make=False)
        except NoKey:  # lost, not erased
            instead = UNREADABLE
        except Erased:
            pass
        return _opened(value, key, instead)

    async def open_many(self, values: Mapping[str, T]) -> dict[str, T]:
        """The value of each issue, as `open_body` opens it. Asks the store at most once for all. Raises KeyStoreDown."""
        lost = await self._fetch([issue for issue, value in values.items() if _is_sealed(value)])
        return {
            issue: _opened(value, None, UNREADABLE) if issue in lost else await self.open_body(issue, value)
            for issue, value in values.items()
        }

    async def seal_bytes(self, issue: str, data: bytes) -> bytes:
        """Seals bytes; equal bytes give an equal result. Creates the issue's key if it has none.

        Raises Erased, KeyStoreDown.
        """
        # One nonce for all: a nonce derived from the data would let anybody who has the data recognise it.
        return (await self.key_for(issue, make=True)).seal_bytes(data)

    async def open_bytes(self, issue: str, sealed: bytes) -> bytes:
        """The bytes that `seal_bytes` sealed. Raises UnsealError, Erased, NoKey, KeyStoreDown."""
        return (await self.key_for(issue, make=False)).open_bytes(sealed)

    async def erase(self, issue: str, why: str, now: datetime) -> bool:
        """Destroys the key of the issue for ever; False if that was done before.

        Raises KeyStoreDown if it is not certain that the key is destroyed: then call it again. This process stops using
        the key at once; others do within FRESH seconds, if they can reach the store.
        """
        try:
            return await self.store.destroy(issue, why, now)
        finally:
            self.forget(issue)

    async def close(self) -> None:
        """Closes the connections to the key store."""
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

    async def _fetch(self, issues: Collection[str]) -> set[str]:
        """Has the keys of these issues in the cache after one look; returns the issues that have none."""
        now = self._clock()
        due = {issue: self._cache.get(issue) for issue in issues}
        due = {issue: cached for issue, cached in due.items() if cached is None or now >= cached.until}
        if not due or not isinstance(self.store, Batched):
            return set()
        try:
            rows = await self.store.several(due)
            found = {issue: await self._opened(row, due[issue], now) for issue, row in rows.items()}
        except KeyStoreDown:
            if any(cached is None or now - cached.confirmed > MOST_STALE for cached in due.values()):
                raise
            for cached in filter(None, due.values()):
                cached.until = self._clock() + _RETRY
            return set()
        self._cache.update(found)
        while len(self._cache) > MOST_KEYS:
            self._cache.popitem(last=False)
        lost = due.keys() - found.keys()
        for issue in lost:
            self.forget(issue)
        return lost

    async def _make(self, issue: str) -> KeyRow:
        """Creates a key for the issue and returns the stored row, which may be that of a process that was first."""
        Sealed.parse(str(Sealed(issue, "-")))
        try:
            wrapped = await self._masters.wrap(secrets.token_bytes(KEY_BYTES), issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error), CLOSED) from error
        return await self.store.create(issue, wrapped, datetime.now(UTC))

    async def _opened(self, row: KeyRow, cached: _Cached | None, now: float) -> _Cached:
        if row.wrapped is None:
            return _Cached(None, None, now, math.inf)
        if cached is not None and cached.wrapped == row.wrapped:  # already unwrapped
            return _Cached(cached.key, cached.wrapped, now, now + FRESH)
        try:
            key = await self._masters.unwrap(row.wrapped, row.issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error), CLOSED) from error
        return _Cached(IssueKey(row.issue, key), row.wrapped, now, now + FRESH)


def _is_sealed(value: object) -> bool:
    """Whether any text of the value, however deep, is sealed."""
    some = False

    def look(_: str, text: Personal) -> Personal:
        nonlocal some
        some = some or isinstance(text, Sealed)
        return text

    change_personal(value, look)
    return some


def _opened(value: T, key: IssueKey | None, instead: str) -> T:
    """The value with its sealed texts opened; `instead` for each where there is no key."""

    def opened(_: str, text: Personal) -> Personal:
        if not isinstance(text, Sealed):
            return text
        try:
            return instead if key is None else key.open(text)
        except UnsealError:
            return UNREADABLE

    return change_personal(value, opened)


def _nonce(context: tuple[str, ...]) -> bytes:
    """The nonce for a context: a digest of its parts and their lengths, so that different contexts never collide."""
    parts = [part.encode() for part in context]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()[:_NONCE]
