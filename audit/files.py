"""Files that are made once and never replaced: keys, rotations, published heads."""

import os
import tempfile
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


def sync(path: Path) -> None:
    """Makes a file, or what names the files in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
