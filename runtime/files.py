"""Atomic and durable writes of files."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path


def put_new(path: Path, data: bytes, mode: int = 0o644) -> bool:
    """Creates a file with these bytes, atomically and durably; False if the file exists already."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, never replaces
        except FileExistsError:
            return False
    finally:
        draft.unlink()
    sync(path.parent)
    return True


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a secret file. A missing file is created with the bytes of `make`, durably and with mode 0600.

    If several processes create the file at once, one of them succeeds and all return the bytes of that one.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_new(path, make(), 0o600)
        sync(path.parent.parent)  # the folder may be new as well
    return path.read_bytes()


def replace_file(path: Path, text: str) -> None:
    """Writes the text to a file of mode 0600, which is created or replaced, atomically and durably."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """A context in which no other process can lock the folder of `path`.

    The lock also ends if the process ends.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def sync(path: Path) -> None:
    """Flushes a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
