"""Files that must be whole or not there: made once and never replaced, or replaced by one process at a time."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Generator
from pathlib import Path


def put_new(path: Path, data: bytes, mode: int = 0o644) -> bool:
    """Makes a file whole or not at all, and durable before anything refers to it; False where there is one already."""
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


def replace_file(path: Path, text: str) -> None:
    """Puts a file in place that only its owner may read, durable before anything is encrypted by what is in it."""
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
    """One process at a time changes files in this folder; a lock ends with its process."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def sync(path: Path) -> None:
    """Makes a file, or what names the files in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
