"""Ports for tests that no other test process gets, nor the kernel for a new connection."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Final

from runtime.settings import LOOPBACK

BELOW_EPHEMERAL: Final = range(10_000, 30_000)
"""Where the kernel takes no port of its own accord."""
_LOCKS: Final = Path(tempfile.gettempdir()) / f"jiesu-test-ports-{os.getuid()}"
_held: list[int] = []
"""Open lock files; the locks end with this process."""


def free_port() -> int:
    """A port that is this process's for as long as it lives, whether or not somebody listens."""
    _LOCKS.mkdir(exist_ok=True)
    for port in random.SystemRandom().sample(BELOW_EPHEMERAL, len(BELOW_EPHEMERAL)):
        lock = os.open(_LOCKS / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind((LOOPBACK, port))
        except OSError:
            os.close(lock)
        else:
            _held.append(lock)
            return port
    raise OSError("no port is free")
