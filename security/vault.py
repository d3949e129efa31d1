"""The vault: seals personal texts and pictures under the key of their issue, and opens them for those who may read.

AES-256-GCM-SIV, with a nonce that is derived and not random: the same command sealed twice gives the same bytes, so that
a repeat is known as one. Two texts under one nonce give nothing away but whether they are equal, which is what the SIV is
for. Texts are padded, so that of short ones (yes, no, a name) not even the length shows but in steps of 32 bytes.
"""

import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from domain.personal import Personal, Sealed, change_personal
from runtime import base64url
from security.keyfile import KEY_BYTES
from security.keystore import Erasure, KeyRow, KeyStoreDown, Store, Wrapped
from security.master import Kms, MasterError

T = TypeVar("T")

ERASED: Final = "[erased]"
"""What readers see of a text whose key was destroyed."""
UNREADABLE: Final = "[unreadable]"
"""What they see of one whose key was lost, or that does not open, so that the others can still be read."""
MOST_KEYS: Final = 4096
FRESH: Final = 60.0
"""Seconds for which an opened key is used without asking: then at the latest an erasure is in force everywhere."""
MOST_STALE: Final = 3600.0
"""Seconds for which it is used while the store does not answer, counted from when it last did."""
_RETRY: Final = 5.0
"""Seconds until it is asked again then, so that not every use waits for it."""
_NONCE: Final = 12
_PAD: Final = 32
_LENGTH: Final = 4


class Erased(LookupError):
    """The key of this issue was destroyed, and there will be no other."""


class NoKey(LookupError):
    """There is no key of this issue."""


class UnsealError(ValueError):
    """What was sealed does not open: by another key, or altered."""


class IssueKey:
    """The opened key of one issue."""

    __slots__ = ("_cipher", "_of_bytes", "_of_texts", "issue")

    def __init__(self, issue: str, key: bytes) -> None:
        self.issue = issue
        self._cipher = AESGCMSIV(key)
        self._of_texts = b"jiesu/1" + issue.encode()
        self._of_bytes = b"jiesu/1/bytes/" + issue.encode()  # no issue's name holds a slash

    def seal(self, text: str, *context: str) -> Sealed:
        """The text for one place, which `context` names: a command's id and the path of a field."""
        plain = text.encode()
        plain = len(plain).to_bytes(_LENGTH, "big") + plain
        nonce = _nonce(context)
        sealed = nonce + self._cipher.encrypt(nonce, plain + bytes(-len(plain) % _PAD), self._of_texts)
        return Sealed(self.issue, base64url.encode(sealed))

    def open(self, sealed: Sealed) -> str:
        """Raises UnsealError."""
        try:
            data = base64url.decode(sealed.text)
            plain = self._cipher.decrypt(data[:_NONCE], data[_NONCE:], self._of_texts)
        except (InvalidTag, ValueError):
            raise UnsealError("it does not open") from None
        if (
            sealed.key != self.issue or base64url.encode(data) != sealed.text
        ):  # base64 has several texts for the same bytes
            raise UnsealError("it was sealed as something else")
        return plain[_LENGTH : _LENGTH + int.from_bytes(plain[:_LENGTH], "big")].decode()

    def seal_bytes(self, data: bytes, *context: str) -> bytes:
        nonce = _nonce(context)
        return nonce + self._cipher.encrypt(nonce, data, self._of_bytes)

    def open_bytes(self, sealed: bytes) -> bytes:
        """Raises UnsealError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._of_bytes)
        except (InvalidTag, ValueError):
            raise UnsealError("it does not open") from None


@dataclass
class _Held:
    """A key as it was when the store last answered, at `confirmed`; it is asked again at `until`. Without key: erased."""

    key: IssueKey | None
    wrapped: Wrapped | None
    confirmed: float
    until: float


class Vault:
    """Keys of issues, opened and remembered for a while. What keeps it from one that exists is a KeyStoreDown."""

    def __init__(self, store: Store, masters: Kms, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._masters = masters
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def key_for(self, issue: str, *, make: bool) -> IssueKey:
        """Raises Erased, NoKey unless it may be made, KeyStoreDown; ValueError for an id that cannot name a key."""
        now = self._clock()
        held = self._held.get(issue)
        if held is None or now >= held.until:
            held = await self._ask(issue, held, now, make=make)
            self._held[issue] = held
            if len(self._held) > MOST_KEYS:
                self._held.popitem(last=False)
        self._held.move_to_end(issue)
        if held.key is None:
            raise Erased(issue)
        return held.key

    def forget(self, issue: str) -> None:
        """Asks the store at the next use."""
        self._held.pop(issue, None)

    async def seal_body(self, issue: str, command: str, body: T, *, make: bool = True) -> T:
        """The body with its personal texts sealed; blank ones become "". Raises as `key_for`.

        ValueError for one that holds a sealed text: whoever could hand in another issue's would have it opened here.
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
        key = await self.key_for(issue, make=make)
        return change_personal(body, lambda path, text: key.seal(str(text), command, path) if text else "")

    async def open_body(self, issue: str, value: T) -> T:
        """A body, an event or a tuple of them with its sealed texts opened, or in their place ERASED or UNREADABLE.

        The latter stands for those of another issue, too: whoever may read this one may not read that. The store is asked
        once. Raises KeyStoreDown.
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
        except NoKey:  # lost, which is no erasure
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
        """The same bytes give the same. Raises as `key_for`; a key is made."""
        # All under one nonce: one that came from the data would tell who has them that these are the same.
        return (await self.key_for(issue, make=True)).seal_bytes(data)

    async def open_bytes(self, issue: str, sealed: bytes) -> bytes:
        """Raises as `key_for`, and UnsealError."""
        return (await self.key_for(issue, make=False)).open_bytes(sealed)

    async def erase(self, issue: str, why: str, now: datetime) -> bool:
        """Destroys the key for ever; False where that was done before. KeyStoreDown until it is certain: repeat it.

        It is in force here at once, in other processes within FRESH seconds of the store's answering them.
        """
        try:
            return await self._store.destroy(issue, why, now)
        finally:
            self.forget(issue)

    async def doom(self, wanted: Sequence[Erasure]) -> None:
        """Notes beside the keys whose texts are to be erased. Raises KeyStoreDown."""
        await self._store.doom(wanted)

    async def doomed(self, after: str, limit: int) -> Sequence[Erasure]:
        """What is to be erased, the next issues after this one. Raises KeyStoreDown."""
        return await self._store.doomed(after, limit)

    async def erased(self, after: str, limit: int) -> Sequence[Erasure]:
        """What was erased, the next issues after this one. Raises KeyStoreDown."""
        return await self._store.tombstones(after, limit)

    async def not_erased(self, issues: Collection[str]) -> set[str]:
        """Those of these issues whose keys were not destroyed. Raises KeyStoreDown."""
        return set(issues) - set(await self._store.destroyed(issues))

    async def close(self) -> None:
        """Gives up the connections to the store."""
        await self._store.close()

    async def _ask(self, issue: str, held: _Held | None, now: float, *, make: bool) -> _Held:
        try:
            row = await self._store.get(issue)
            if row is None and make:
                row = await self._make(issue)
            if row is None:
                self.forget(issue)
                raise NoKey(issue)
            return await self._opened(row, held, now)
        except KeyStoreDown:
            if held is None or now - held.confirmed > MOST_STALE:
                raise
            held.until = self._clock() + _RETRY
            return held

    async def _make(self, issue: str) -> KeyRow:
        """What lies in the store then: another process may have been quicker."""
        Sealed.parse(str(Sealed(issue, "-")))
        try:
            wrapped = await self._masters.wrap(secrets.token_bytes(KEY_BYTES), issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error)) from error
        return await self._store.create(issue, wrapped, datetime.now(UTC))

    async def _opened(self, row: KeyRow, held: _Held | None, now: float) -> _Held:
        if row.wrapped is None:
            return _Held(None, None, now, math.inf)
        if held is not None and held.wrapped == row.wrapped:  # then nobody is asked to unwrap it again
            return _Held(held.key, held.wrapped, now, now + FRESH)
        try:
            key = await self._masters.unwrap(row.wrapped, row.issue.encode())
        except MasterError as error:
            raise KeyStoreDown(str(error)) from error
        return _Held(IssueKey(row.issue, key), row.wrapped, now, now + FRESH)


def _nonce(context: tuple[str, ...]) -> bytes:
    """The parts behind their lengths, so that no two lists of parts give the same."""
    parts = [part.encode() for part in context]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()[:_NONCE]
