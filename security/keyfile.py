"""Keys in a file that only its owner may read, and that may be changed while processes use it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import structlog

from runtime.files import locked, replace_file

log: Final = structlog.stdlib.get_logger(__name__)


class Dumped(Protocol):
    """Keys that can be written down, in clear."""

    def dump(self) -> str: ...


K = TypeVar("K", bound=Dumped)


class KeyFile(Generic[K]):
    """See the module. It is read again when it is another one than before.

    What was read once stays in use while the file is away or cannot be read: that must not stop what is going on.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], K], fault: type[RuntimeError]) -> None:
        """`parse` raises `fault` for what it cannot read; so does everything here, naming the file."""
        self._path = path
        self._parse = parse
        self._fault = fault
        self._stamp: tuple[int, ...] = ()
        self._held: K | None = None
        self._is_away = False

    @property
    def held(self) -> K:
        """As the file holds them, or held them when it could last be read."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_mode)
            if self._held is None or stamp != self._stamp:
                self._held, self._stamp = self._read(), stamp
        except (OSError, self._fault) as error:
            if self._held is None:
                raise self._error(error) from None
            if not self._is_away:  # it is asked for at every use
                log.warning("keys_cannot_be_read", reason=str(self._error(error)))
            self._is_away = True
        else:
            self._is_away = False
        return self._held

    def _change(self, change: Callable[[K], K]) -> None:
        try:
            with locked(self._path):  # of two keys that are added at once, neither may be lost
                replace_file(self._path, change(self._read()).dump())
        except (OSError, self._fault) as error:
            raise self._error(error) from None

    def _read(self) -> K:
        if self._path.stat().st_mode & 0o077:
            raise self._fault("others may read it: chmod 600, then rotate")
        return self._parse(self._path.read_bytes())

    def _error(self, error: Exception) -> RuntimeError:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return self._fault(f"{self._path}: {said}")


def make_missing(path: Path, make: Callable[[], Dumped]) -> None:
    """Writes new keys where there is no file; of several processes that do it at once one does."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path):
        if not path.exists():
            replace_file(path, make().dump())
