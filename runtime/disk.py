"""Looks at the files of a store without opening it: whether they are there, whole at their beginning, and have room."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from runtime.causes import DAMAGED, FULL, MISSING, READ_ONLY

LEAST_FREE: Final = 64 * 1024 * 1024
"""Free bytes below which a disk counts as full: one busy minute may take them."""
_SQLITE: Final = b"SQLite format 3\0"


def fault(path: Path, least: int = LEAST_FREE) -> str | None:
    """What is wrong with a folder, or with a file of SQLite: MISSING, DAMAGED, READ_ONLY or FULL; None if nothing is. Blocks.

    A folder may be read-only: some processes only read it. `least`: free bytes that its disk must have. Raises OSError.
    """
    if not path.exists():
        return MISSING
    # A new file is empty until its log is written back.
    if path.is_file() and os.pread(_opened(path), len(_SQLITE), 0) not in (b"", _SQLITE):
        return DAMAGED
    if path.is_file() and not os.access(path, os.W_OK):
        return READ_ONLY
    return FULL if shutil.disk_usage(path).free < least else None


_open: Final[dict[tuple[int, int], int]] = {}
"""Device and inode -> descriptor. They stay open: whoever closes a file drops all locks that his process has on it, also
those by which SQLite keeps others from removing the log under its connections."""


def _opened(path: Path) -> int:
    found = path.stat()
    file = (found.st_dev, found.st_ino)
    if file not in _open:
        _open[file] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _open[file]


def try_to_write(folder: Path, size: int = 65_536) -> None:
    """Writes a file that has no name and is gone when this returns. Blocks. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
