"""Child processes of an installation: each has a pid file, ends with its parent, and can be started again.

A process is ended only if its id, start time, command and home are those in the pid file: the id alone may by now belong
to another process.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

_GUARD: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Asks the kernel to kill this process when its parent dies (PR_SET_PDEATHSIG is 1; it survives exec), then becomes
the command. A program of its own, because code between fork and exec may deadlock where the parent has threads."""
_SAME_START_SECONDS: Final = 1.0
"""Start times that differ by less are the same: they depend on when the machine was booted, which is rounded."""


@dataclass(frozen=True)
class PidFile:
    """What a pid file says: which process a home has started, when (seconds since 1970), and with which command."""

    pid: int
    started: float
    command: tuple[str, ...]
    home: str

    def process(self) -> psutil.Process | None:
        """The very process that was started; None if it has ended."""
        try:
            found = psutil.Process(self.pid)
            same_start = abs(found.create_time() - self.started) < _SAME_START_SECONDS
            # Just started, it may still be the guard, whose last arguments are the command.
            same_command = " ".join(found.cmdline()).endswith(" ".join(self.command))
        except psutil.Error:
            return None
        return found if same_start and same_command and is_alive(found) else None


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _path(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.pid"


def write_pid_file(home: Path, name: str, pid: int, command: Sequence[str]) -> None:
    """Records that `home` has started the process `pid`, unless that has already ended."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    draft = _path(home, f".{name}")
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.write_text(json.dumps(asdict(PidFile(pid, started, tuple(command), str(home)))))
    draft.replace(_path(home, name))


def read_pid_file(path: Path) -> PidFile | None:
    """None if it is no pid file of ours."""
    try:
        plain = json.loads(path.read_bytes())
        return PidFile(
            int(plain["pid"]), float(plain["started"]), tuple(map(str, plain["command"])), str(plain["home"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def end_survivors(home: Path, timeout: float = 5.0) -> list[str]:
    """Ends the processes that an earlier run of this home has left running; their names.

    Each is asked to end, and killed after `timeout` seconds. A pid file that names another home is ignored: whoever
    copies a home copies its pid files.
    """
    ended: list[str] = []
    for path in sorted((home / "run").glob("*.pid")):
        file = read_pid_file(path)
        if file is not None and file.home == str(home) and (process := file.process()) is not None:
            _end(process, timeout)
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def _end(process: psutil.Process, timeout: float) -> None:
    for send in (process.terminate, process.kill):
        with contextlib.suppress(psutil.NoSuchProcess):
            send()
        deadline = time.monotonic() + timeout
        while is_alive(process):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return


def guarded(argv: Sequence[str]) -> list[str]:
    """The command, wrapped so that the kernel ends it with this process where the kernel can.

    The kernel means the *thread* that starts the child, so it is not asked off the main thread: a worker thread that
    ends would take the child with it.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *argv]


class Child:
    """A process of this home: it ends with this one, has a pid file while it runs, and can be started again."""

    def __init__(
        self, home: Path, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path | None = None
    ) -> None:
        self.name = name
        self._home = home
        self._argv = tuple(argv)
        self._env = dict(env)
        self._log = log
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it, in a session of its own: Ctrl-C in the terminal is for us, who stop our children in order."""
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(self._log.open("ab")) if self._log else None
            self._process = await asyncio.create_subprocess_exec(
                *guarded(self._argv), env=self._env, stdin=DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        write_pid_file(self._home, self.name, self._process.pid, self._argv)

    async def wait(self) -> int:
        """Its exit code once it has ended, negative if by a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = await self._process.wait()
        path = _path(self._home, self.name)
        if (file := read_pid_file(path)) is not None and file.pid == self._process.pid:
            path.unlink(missing_ok=True)
        return code

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    async def stop(self, timeout: float = 10.0) -> None:
        """Asks it to end, and kills it after `timeout` seconds; returns when it is gone."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), timeout)
        except TimeoutError:
            self.kill()
            await self.wait()

    def _send(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)
