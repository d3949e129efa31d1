"""Atomic, durable files: created once and never replaced, or replaced by one process at a time."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path


def put_new(path: Path, data: bytes, mode: int = 0o644) -> bool:
    """Creates a file, whole or not at all, that survives a power cut; False where there is one already."""
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
    """The bytes of a secret file; made with mode 0600, durable before they are used, when it is missing.

    Of several processes that find it missing at once, one creates it and all return what that one wrote.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_new(path, make(), 0o600)
        sync(path.parent.parent)  # where the folder itself is new
    return path.read_bytes()


def replace_file(path: Path, text: str) -> None:
    """Replaces or creates a file that only its owner may read; it survives a power cut."""
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
    """Lets one process at a time change files in this folder; the lock ends with its process."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def sync(path: Path) -> None:
    """Writes a file, or the names in a folder, to the disk, so that they survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
