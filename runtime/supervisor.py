"""What this machine knows: which processes are ours, how they end with us, and which ports are free.

Nothing here ends a process that it has not recognised by its start time, its command and the home it was started for:
a process id alone may by now belong to somebody else.
"""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from runtime.settings import LOOPBACK, SettingsError

PROC: Final = Path("/proc")
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


class HomeBusy(RuntimeError):
    """Another `jiesu up` runs on the same home."""


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return cast(int, probe.getsockname()[1])


def check_ports(wanted: Iterable[tuple[str, int, str]]) -> None:
    """Raises SettingsError for the first (host, port, the port's variable) that cannot be had, naming what to set."""
    for host, port, variable in wanted:
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family) as probe:
                # As servers do: a port whose last connections are only waiting to be forgotten is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
        except OSError as error:
            why = error.strerror or type(error).__name__
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                other = f"{variable.removesuffix('PORT')}HOST"
                raise SettingsError(f"{host} is no address of this machine ({why}): set {other} to another") from None
            raise SettingsError(f"port {port} on {host} cannot be used ({why}): set {variable} to another") from None


@contextlib.contextmanager
def hold_home(home: Path) -> Generator[None]:
    """Makes this process the only one that runs the home, which is made when missing.

    Raises HomeBusy if another one does, SettingsError if the home cannot be used; both are one line.
    """
    run = home / "run"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        # What residents report lies below it, and Temporal leaves its database open to everybody.
        home.mkdir(mode=0o700, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
        lock = (run / "up.lock").open("a+")
    except OSError as error:
        raise SettingsError(f"JIESU_HOME: {error.filename} cannot be used ({error.strerror})") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise HomeBusy(f"Jiesu already runs on {home} (process {file.read().strip() or 'unknown'})") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        # The kernel lets go of the lock when this process ends in whatever way; the file itself stays.
        yield


@dataclass(frozen=True)
class Identity:
    """What tells one process from any other that had or will have its id."""

    started: str
    command: tuple[str, ...]


def identity(pid: int, proc: Path = PROC) -> Identity | None:
    """Who runs under a process id, None if nobody does (a zombie runs no more)."""
    if not (proc / "self").exists():
        return _identity_by_ps(pid)
    try:
        # The second field, the program's name in brackets, may hold blanks and brackets itself.
        fields = (proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        command = (proc / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, started = fields[0], fields[19]
    if state in "ZX":
        return None
    return Identity(started, tuple(os.fsdecode(part) for part in command.split(b"\0")[:-1]))


def _identity_by_ps(pid: int) -> Identity | None:
    """Where there is no /proc (macOS): the start to the second, the command as one text."""
    ask = ["ps", "-ww", "-p", str(pid), "-o", "stat=", "-o", "lstart=", "-o", "command="]
    environment = {**os.environ, "LC_ALL": "C"}
    answer = subprocess.run(ask, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - a number
    fields = answer.stdout.split()
    # stat, then five words such as "Sat Nov 21 10:00:00 2026", then the command.
    if answer.returncode != 0 or len(fields) < 7 or fields[0].startswith("Z"):
        return None
    return Identity(" ".join(fields[1:6]), tuple(fields[6:]))


@dataclass(frozen=True)
class Mark:
    """A pid file: a process that a home has started."""

    pid: int
    started: str
    command: tuple[str, ...]
    home: str

    def is_alive(self, proc: Path = PROC) -> bool:
        """Whether the very process that was marked still runs."""
        found = identity(self.pid, proc)
        if found is None or found.started != self.started:
            return False
        # Just started, it may still be the guard that is about to become the command. Compared as words, because that
        # is how ps shows a command.
        return " ".join(found.command).endswith(" ".join(self.command))


def _mark_path(home: Path, name: str) -> Path:
    return home / "run" / f"{name}.pid"


def write_mark(home: Path, name: str, pid: int, command: Sequence[str]) -> None:
    """Notes that the process `pid` has been started by `home`; a process that is already gone leaves no note."""
    if (found := identity(pid)) is None:
        return
    content = {"pid": pid, "started": found.started, "command": list(command), "home": str(home)}
    draft = _mark_path(home, f".{name}")
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft.write_text(json.dumps(content))
    draft.replace(_mark_path(home, name))


def read_mark(path: Path) -> Mark | None:
    """The pid file's content, None if it is no pid file of ours."""
    try:
        plain = json.loads(path.read_bytes())
        return Mark(int(plain["pid"]), str(plain["started"]), tuple(map(str, plain["command"])), str(plain["home"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def end_survivors(home: Path, proc: Path = PROC, patience: float = 5.0) -> list[str]:
    """Ends what an earlier run of this home has left running, and says its names.

    A survivor is asked first, and killed after `patience` seconds.
    A mark that names another home is left alone: whoever copies a home copies its pid files.
    """
    ended: list[str] = []
    for path in sorted((home / "run").glob("*.pid")):
        mark = read_mark(path)
        if mark is not None and mark.home == str(home) and _end(mark, proc, patience):
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def _end(mark: Mark, proc: Path, patience: float) -> bool:
    """Ends the marked process if it is still that one; returns whether it was."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not _signal(mark, sign, proc):
            return sign is signal.SIGKILL
        deadline = time.monotonic() + patience
        while mark.is_alive(proc) and time.monotonic() < deadline:
            time.sleep(0.02)
    return True


def _signal(mark: Mark, sign: signal.Signals, proc: Path) -> bool:
    try:
        if not hasattr(os, "pidfd_open"):
            return _signal_by_id(mark, sign, proc)
        handle = os.pidfd_open(mark.pid)
    except OSError:
        return False
    try:
        # The handle is taken first and means one process for ever, so what is recognised is what is signalled.
        alive = mark.is_alive(proc)
        if alive:
            signal.pidfd_send_signal(handle, sign)
    except ProcessLookupError:
        return False
    else:
        return alive
    finally:
        os.close(handle)


def _signal_by_id(mark: Mark, sign: signal.Signals, proc: Path) -> bool:
    if not mark.is_alive(proc):
        return False
    os.kill(mark.pid, sign)
    return True


def guarded(argv: Sequence[str]) -> list[str]:
    """The command, wrapped so that the kernel ends it with this process where the kernel can.

    The kernel means the *thread* that starts the child, so off the main thread the wish is not expressed: a worker
    thread that ends would take the child with it.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *argv]


class Child:
    """A process of this home: it dies with us, has a pid file while it runs, and can be started again."""

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
        write_mark(self._home, self.name, self._process.pid, self._argv)

    async def wait(self) -> int:
        """Its exit code once it has ended, negative if by a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = await self._process.wait()
        path = _mark_path(self._home, self.name)
        if (mark := read_mark(path)) is not None and mark.pid == self._process.pid:
            path.unlink(missing_ok=True)
        return code

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    async def stop(self, patience: float = 10.0) -> None:
        """Asks it to end, and kills it after `patience` seconds; returns when it is gone."""
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), patience)
        except TimeoutError:
            self.kill()
            await self.wait()

    def _send(self, sign: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)
