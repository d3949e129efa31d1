"""Supervises child processes: each has a pid file, ends when its parent ends, and can be restarted.

A process left over from an earlier run is ended only if its id, start time, command and home match its pid file,
because the system may have given the id to another process since.
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
from typing import Any, Final

import psutil

from runtime.home import HomeBusy

_GUARD: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""The guard, a small program: asks the kernel to kill it when its parent dies, then becomes the command by exec.

The request (PR_SET_PDEATHSIG, which is 1) stays in force after exec. It is made by a separate program, because code
that runs between fork and exec may deadlock if the parent has threads.
"""


@dataclass(frozen=True)
class PidFile:
    """The content of a pid file: process id, start time (see `_started`), command and home."""

    pid: int
    started: float
    command: tuple[str, ...]
    home: str

    def process(self) -> psutil.Process | None:
        """The process that this pid file is about; None if it has ended."""
        try:
            found = psutil.Process(self.pid)
            if _started(found) != self.started:
                return None
            # It may still be the guard, whose last arguments are the command.
            same_command = " ".join(found.cmdline()).endswith(" ".join(self.command))
        except psutil.NoSuchProcess:
            return None
        return found if same_command and is_alive(found) else None


def _started(process: psutil.Process) -> float:
    """The start time as the kernel stores it: seconds since boot on Linux, since 1970 on macOS.

    It never changes, and psutil recognises a process by it. The public `create_time` moves with the system clock.
    """
    system: Any = vars(process)["_proc"]  # psutil's part for this system, which is not public
    return system.create_time(monotonic=True)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie, which has ended but still has an id, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _path(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.pid"


def write_pid_file(home: Path, name: str, pid: int, command: Sequence[str]) -> None:
    """Writes the pid file of a process that was started for `home`, unless the process has ended already."""
    try:
        started = _started(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return
    draft = _path(home, f".{name}")
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.write_text(json.dumps(asdict(PidFile(pid, started, tuple(command), str(home)))))
    draft.replace(_path(home, name))


def read_pid_file(path: Path) -> PidFile | None:
    """The content of a pid file; None if the file cannot be read or is no pid file."""
    try:
        plain = json.loads(path.read_bytes())
        return PidFile(
            int(plain["pid"]), float(plain["started"]), tuple(map(str, plain["command"])), str(plain["home"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def end_survivors(home: Path, timeout: float = 5.0) -> list[str]:
    """Ends processes left over from an earlier run of this home; returns their names.

    Each is terminated, and killed after `timeout` seconds; raises HomeBusy if it lives on. A process in the pid file of
    another home is not ended: the pid file was copied here with the folder of that home.
    """
    ended: list[str] = []
    for path in sorted((home / "run").glob("*.pid")):
        file = read_pid_file(path)
        if file is not None and file.home == str(home) and (process := file.process()) is not None:
            _end(process, timeout)
            if is_alive(process):
                raise HomeBusy(f"{path.stem} of an earlier run cannot be ended (process {process.pid})")
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def _end(process: psutil.Process, timeout: float) -> None:
    for send in (process.terminate, process.kill):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            send()
        deadline = time.monotonic() + timeout
        while is_alive(process):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return


def guarded(argv: Sequence[str]) -> list[str]:
    """The command line that runs the command under the guard: on Linux, the kernel kills it when this process dies.

    Outside the main thread the command is not guarded: the kernel watches the *thread* that started a child, and would
    kill the child when that thread ends.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *argv]


class Child:
    """A child process: it has a pid file in the home, ends when this process ends, and can be restarted."""

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
        """The process id of the child; None before its first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the child in a session of its own.

        So Ctrl-C reaches only the parent, which then stops its children in order.
        """
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(self._log.open("ab")) if self._log else None
            self._process = await asyncio.create_subprocess_exec(
                *guarded(self._argv), env=self._env, stdin=DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        write_pid_file(self._home, self.name, self._process.pid, self._argv)

    async def wait(self) -> int:
        """Waits until the child ends and returns its exit code, which is negative if a signal ended it."""
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
        """Terminates the child, kills it if it still runs after `timeout` seconds, and waits until it has ended."""
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
