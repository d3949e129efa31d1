"""A process is ended only when it is surely ours; ports and homes that are taken are refused in one line."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.settings import SettingsError
from runtime.supervisor import (
    Child,
    HomeBusy,
    check_ports,
    end_survivors,
    hold_home,
    identity,
    read_mark,
    write_mark,
)
from support.ports import free_port

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)
NO_PROC = Path("/nonexistent")
"""Stands for a machine without /proc, such as macOS."""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(argv: tuple[str, ...] = SLEEPER) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while identity(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("proc", [Path("/proc"), NO_PROC])
def test_a_survivor_is_ended(tmp_path: Path, start: Start, proc: Path) -> None:
    process = start()
    mark_by(tmp_path, process.pid, SLEEPER, proc)
    assert end_survivors(tmp_path, proc) == ["worker"]
    assert process.wait() == -signal.SIGTERM
    assert not list((tmp_path / "run").iterdir())


def test_a_survivor_that_will_not_end_is_killed(tmp_path: Path, start: Start) -> None:
    process = start(STUBBORN)
    write_mark(tmp_path, "worker", process.pid, STUBBORN)
    assert end_survivors(tmp_path, patience=0.2) == ["worker"]
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("proc", [Path("/proc"), NO_PROC])
@pytest.mark.parametrize(
    "changed",
    [
        {"started": "1"},
        {"command": ["temporal", "server"]},
        {"home": "/somewhere/else"},
    ],
)
def test_a_process_that_is_not_surely_ours_is_left_alone(
    tmp_path: Path, start: Start, changed: dict[str, object], proc: Path
) -> None:
    process = start()
    path = mark_by(tmp_path, process.pid, SLEEPER, proc)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert end_survivors(tmp_path, proc) == []
    assert process.poll() is None
    assert not path.exists()


def mark_by(home: Path, pid: int, command: tuple[str, ...], proc: Path) -> Path:
    """The pid file as a machine with or without /proc writes it."""
    found = identity(pid, proc)
    assert found is not None
    write_mark(home, "worker", pid, command)
    path = home / "run" / "worker.pid"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": found.started}))
    return path


def test_the_original_of_a_copied_home_lives_on(tmp_path: Path, start: Start) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    process = start()
    write_mark(original, "worker", process.pid, SLEEPER)
    shutil.copytree(original, copy)
    assert end_survivors(copy) == []
    assert process.poll() is None


@pytest.mark.parametrize("content", ["", "12", "{}", "[]", '{"pid": "x"}', "\udcff"])
def test_a_damaged_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run" / "worker.pid"
    path.parent.mkdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert end_survivors(tmp_path) == []
    assert not path.exists()


def test_a_zombie_is_nobody(start: Start) -> None:
    process = start()
    assert identity(process.pid) is not None
    assert identity(process.pid, NO_PROC) is not None
    process.kill()
    # Not waited for, so it stays a zombie; that takes it a moment.
    assert gone(process.pid)
    assert identity(process.pid, NO_PROC) is None


def test_a_name_with_brackets_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(shutil.which("sleep") or "sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        try:
            # The kernel shows no command for a moment while it replaces the program.
            while (found := identity(process.pid)) is not None and not found.command:
                time.sleep(0.01)
            assert found is not None
            assert found.started.isdigit()
            assert found.command == (str(program), "600")
        finally:
            process.kill()


async def test_a_child_has_a_pid_file_while_it_runs_and_starts_again(tmp_path: Path) -> None:
    child = Child(tmp_path, "worker", SLEEPER, os.environ)
    await child.start()
    first, path = child.pid, tmp_path / "run" / "worker.pid"
    mark = read_mark(path)
    assert mark is not None
    assert (mark.pid, mark.home) == (first, str(tmp_path))
    await child.stop()
    assert not child.running
    assert not path.exists()
    await child.start()
    assert child.running
    assert child.pid != first
    child.kill()
    assert await child.wait() == -signal.SIGKILL


async def test_a_stubborn_child_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child(tmp_path, "worker", STUBBORN, os.environ, log)
    await child.start()
    while log.read_bytes() != b"up\n":
        await asyncio.sleep(0.02)
    await child.stop(patience=0.2)
    assert await child.wait() == -signal.SIGKILL


ASLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
PARENT = """
import asyncio, os, sys
from pathlib import Path
from runtime.supervisor import Child

async def main():
    child = Child(Path(sys.argv[1]), "worker", sys.argv[2:], os.environ)
    await child.start()
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), *ASLEEP], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        # Before it has become its command it ends by itself, which would prove nothing.
        while (found := identity(child)) is not None and found.command != ASLEEP:
            time.sleep(0.01)
        assert found is not None
        parent.kill()
    assert gone(child)


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            check_ports([("127.0.0.1", free_port(), "JIESU_A"), ("127.0.0.1", port, "JIESU_B")])
        assert f"port {port} " in str(caught.value)
        assert "JIESU_B" in str(caught.value)
        assert "\n" not in str(caught.value)
        # One that listens everywhere takes the port as well.
        with pytest.raises(SettingsError):
            check_ports([("0.0.0.0", port, "JIESU_B")])
    check_ports([("127.0.0.1", port, "JIESU_B")])


def test_a_host_that_is_not_ours_is_named_too() -> None:
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(SettingsError, match=rf"^{host} is no address of this machine \(.*: set JIESU_API_HOST to"):
            check_ports([(host, 1024, "JIESU_API_PORT")])


def test_a_port_with_closing_connections_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        with socket.create_connection(address):
            connection, _ = server.accept()
            # Whoever closes first keeps the address in TIME_WAIT.
            connection.close()
    check_ports([("127.0.0.1", address[1], "JIESU_B")])


def test_a_home_is_held_once(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    with hold_home(home):
        assert home.stat().st_mode & 0o077 == 0
        with pytest.raises(HomeBusy) as caught, hold_home(home):
            pass
        assert str(os.getpid()) in str(caught.value)
        assert "\n" not in str(caught.value)
    with hold_home(home):
        pass


def test_a_home_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="JIESU_HOME"), hold_home(tmp_path / "file" / "home"):
        pass
