"""Sets of keys, and the files that hold them. A file has mode 0600 and may be replaced while processes use its keys."""

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast

import structlog

from runtime.files import locked, read_or_create, replace_file

KEY_BYTES: Final = 32

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class KeySet(ABC):
    """Keys in memory, by id. The primary key encrypts; every key decrypts. `parse` reads the set from JSON.

    Methods raise ERROR, whose message never shows a key.
    """

    NOUN: ClassVar[str]
    ERROR: ClassVar[type[RuntimeError]]
    SECRETS: ClassVar[tuple[str, ...]] = ()
    """The names of further fields that hold a secret, of 32 bytes like a key."""

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    @abstractmethod
    def new(cls) -> Self:
        """A set with one key, which is random and new."""
        ...

    @abstractmethod
    def new_key(self) -> tuple[str, bytes]:
        """The id of a new key, and the key."""
        ...

    @abstractmethod
    def check_id(self, name: str, key: bytes) -> None:
        """Raises ERROR if `name` cannot be the id of this key."""
        ...

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The set from the JSON that `dump` writes. Raises ERROR."""
        try:
            plain = cast("dict[str, Any]", json.loads(text))
            keys = {name: _decoded(key) for name, key in dict(plain["keys"]).items()}
            found = cls(plain["primary"], keys, **{name: _decoded(plain[name]) for name in cls.SECRETS})
            has_primary = found.primary in keys
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not chained: the original shows the input.
            secrets = "".join(f'"{name}": <32 bytes in base64>, ' for name in cls.SECRETS)
            form = f'{{"primary": <id>, {secrets}"keys": {{<id>: <32 bytes in base64>}}}}'
            raise cls.ERROR(f"not {form}") from None
        if not has_primary:
            raise cls.ERROR("the primary key is not among the keys")
        for name, key in keys.items():
            found.check_id(name, key)
        return found

    def dump(self) -> str:
        """The set as JSON, with its keys not encrypted."""
        secrets = {name: _encoded(getattr(self, name)) for name in self.SECRETS}
        keys = {name: _encoded(key) for name, key in self.keys.items()}
        return json.dumps({"primary": self.primary, **secrets, "keys": keys}, indent=1)

    def added(self) -> tuple[str, Self]:
        """The id of a new key, and the set with that key added. The primary stays: the new key encrypts nothing."""
        name, key = self.new_key()
        return name, self.with_key(name, key)

    def with_key(self, name: str, key: bytes) -> Self:
        return replace(self, keys={**self.keys, name: key})

    def promoted(self, name: str) -> Self:
        """The set with the key `name` as its primary."""
        self._check(name)
        return replace(self, primary=name)

    def without(self, name: str) -> Self:
        """The set without the key `name`. Raises ERROR if that is the primary."""
        self._check(name)
        if name == self.primary:
            raise self.ERROR(f"{self.NOUN} key {name} is the primary: another is promoted first")
        return replace(self, keys={known: key for known, key in self.keys.items() if known != name})

    def _check(self, name: str) -> None:
        if name not in self.keys:
            raise self.ERROR(f"there is no {self.NOUN} key with this id")


K = TypeVar("K", bound=KeySet)


class KeyFile(Generic[K]):
    """A set of keys in a file, which is read again when it is replaced.

    While the file is missing or unreadable, the keys that were read last stay in use. Methods raise the ERROR of the
    set, with the name of the file.
    """

    kind: type[K]

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._last: K | None = None
        self._is_away = False

    @classmethod
    def made(cls, path: Path) -> Self:
        """The key file at this path. If there is no file yet, one with a new set is created."""
        read_or_create(path, lambda: cls.kind.new().dump().encode())
        return cls(path)

    @property
    def current(self) -> K:
        """The keys in the file; while it cannot be read, the keys that were read last."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_mode)
            if self._last is None or stamp != self._stamp:
                self._last, self._stamp = self._read(), stamp
        except (OSError, self.kind.ERROR) as error:
            if self._last is None:
                raise self._error(error) from None
            if not self._is_away:  # logged once, not at every use
                log.warning("keys_cannot_be_read", reason=str(self._error(error)))
            self._is_away = True
        else:
            self._is_away = False
        return self._last

    def add(self) -> str:
        """Adds a new key, which encrypts nothing yet, and returns its id. The file must then be copied to all hosts."""
        name, key = self.current.new_key()
        self._change(lambda keys: keys.with_key(name, key))
        return name

    def promote(self, name: str) -> None:
        """Makes the key `name` the primary. Every process must have this key before."""
        self._change(lambda keys: keys.promoted(name))

    def _change(self, change: Callable[[K], K]) -> None:
        try:
            with locked(self._path):  # so that no concurrent change is lost
                replace_file(self._path, change(self._read()).dump())
        except (OSError, self.kind.ERROR) as error:
            raise self._error(error) from None

    def _read(self) -> K:
        if self._path.stat().st_mode & 0o077:
            raise self.kind.ERROR("others may read it: chmod 600, then rotate")
        return self.kind.parse(self._path.read_bytes())

    def _error(self, error: Exception) -> RuntimeError:
        message = error.strerror if isinstance(error, OSError) else str(error)
        return self.kind.ERROR(f"{self._path}: {message}")


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _decoded(text: str) -> bytes:
    """The key from base64. Raises ValueError if the text is no key of KEY_BYTES bytes."""
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError
    return key
