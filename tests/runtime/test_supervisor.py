"""The supervisor ends only processes that it certainly started; a child ends with its parent."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runtime.home import HomeBusy
from runtime.supervisor import Child, end_survivors, is_alive, read_pid_file, write_pid_file

SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)

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
    while psutil.pid_exists(pid) and is_alive(psutil.Process(pid)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_survivor_is_ended(tmp_path: Path, start: Start) -> None:
    process = start()
    write_pid_file(tmp_path, "worker", process.pid, SLEEPER)
    assert end_survivors(tmp_path) == ["worker"]
    assert process.wait() == -signal.SIGTERM
    assert not list((tmp_path / "run").iterdir())


def test_a_survivor_that_will_not_end_is_killed(tmp_path: Path, start: Start) -> None:
    process = start(STUBBORN)
    write_pid_file(tmp_path, "worker", process.pid, STUBBORN)
    assert end_survivors(tmp_path, timeout=0.2) == ["worker"]
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("step", [-5, 5])
def test_a_survivor_is_ended_after_the_system_clock_was_set(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    process, booted = start(), psutil.boot_time()
    write_pid_file(tmp_path, "worker", process.pid, SLEEPER)
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: booted + step)
    assert end_survivors(tmp_path) == ["worker"]
    assert process.wait() == -signal.SIGTERM


def test_a_survivor_that_cannot_be_ended_keeps_its_pid_file(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    process = start()
    write_pid_file(tmp_path, "worker", process.pid, SLEEPER)
    monkeypatch.setattr(psutil.Process, "terminate", refuse)
    monkeypatch.setattr(psutil.Process, "kill", refuse)
    with pytest.raises(HomeBusy, match=rf"^worker .* \(process {process.pid}\)$"):
        end_survivors(tmp_path, timeout=0.05)
    assert (tmp_path / "run" / "worker.pid").exists()


@pytest.mark.parametrize(
    "changed", [{"started": 1}, {"command": ["temporal", "server"]}, {"home": "/somewhere/else"}, {"pid": 2**22 + 1}]
)
def test_a_process_that_is_not_surely_ours_is_left_alone(
    tmp_path: Path, start: Start, changed: dict[str, object]
) -> None:
    process = start()
    write_pid_file(tmp_path, "worker", process.pid, SLEEPER)
    path = tmp_path / "run" / "worker.pid"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert end_survivors(tmp_path) == []
    assert process.poll() is None
    assert not path.exists()


def test_the_original_of_a_copied_home_lives_on(tmp_path: Path, start: Start) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    process = start()
    write_pid_file(original, "worker", process.pid, SLEEPER)
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


def test_a_zombie_is_no_survivor(tmp_path: Path, start: Start) -> None:
    process = start()
    write_pid_file(tmp_path, "worker", process.pid, SLEEPER)
    process.kill()
    # Not waited for, so it stays a zombie; that takes it a moment.
    assert gone(process.pid)
    assert end_survivors(tmp_path) == []


async def test_a_child_has_a_pid_file_while_it_runs_and_starts_again(tmp_path: Path) -> None:
    child = Child(tmp_path, "worker", SLEEPER, os.environ)
    await child.start()
    first, path = child.pid, tmp_path / "run" / "worker.pid"
    file = read_pid_file(path)
    assert file is not None
    assert (file.pid, file.home) == (first, str(tmp_path))
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
    await child.stop(timeout=0.2)
    assert await child.wait() == -signal.SIGKILL


ASLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
PARENT = """
import asyncio, os, sys
from pathlib import Path
from runtime.home import HomeBusy
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
        while tuple(psutil.Process(child).cmdline()) != ASLEEP:
            time.sleep(0.01)
        parent.kill()
    assert gone(child)
