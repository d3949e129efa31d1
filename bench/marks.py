"""Time marks that a worker writes for the benchmark: one line each, `time id`."""

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

_file: TextIO | None = None


@contextlib.contextmanager
def into(path: Path) -> Generator[None]:
    """Writes marks to this file until the end of the block."""
    global _file  # noqa: PLW0603  workflow code can be handed nothing, so this process has one place for them
    with path.open("a", buffering=1) as _file:
        yield
    _file = None


def put(name: str) -> None:
    """Writes a mark with the present time."""
    if _file is not None:
        _file.write(f"{time.time():.6f} {name}\n")


def read(path: Path) -> dict[str, float]:
    """The marks so far: name -> time of its first mark."""
    found: dict[str, float] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            moment, _, name = line.partition(" ")
            if name:
                found.setdefault(name, float(moment))
    return found
