"""`jiesu up` with a real dev server: starts, restarts killed children, fails with one line, leaves no process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client

from cli import install
from cli.up import Connect, up
from runtime.devserver import EmbeddedError
from runtime.settings import Settings
from runtime.supervisor import is_alive, read_pid_file, write_pid_file
from support.ports import free_port
from workflows.contract import TASK_QUEUE

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "tests" / "support" / "run_up.py"
PATIENCE = 120.0
Up = subprocess.Popen[str]


class Household:
    """A home with ports of its own, and the `up` processes started on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = {name: free_port() for name in ("API", "TEMPORAL", "TEMPORAL_UI")}
        self.env = {name: value for name, value in os.environ.items() if not name.upper().startswith("JIESU_")}
        self.env |= {f"JIESU_{name}_PORT": str(port) for name, port in self.ports.items()}
        self.env |= {"JIESU_HOME": str(home), "JIESU_LOG_FORMAT": "json", "PYTHONPATH": str(CHECKOUT)}
        self.started: list[Up] = []

    @property
    def settings(self) -> Settings:
        ports = self.ports
        return Settings(
            home=self.home,
            api_port=ports["API"],
            temporal_port=ports["TEMPORAL"],
            temporal_ui_port=ports["TEMPORAL_UI"],
        )

    def up(self, *args: str, **env: str) -> Up:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *args], env={**self.env, **env}, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=(self.home.parent / "stderr").open("w"), cwd=self.home.parent,
        )  # fmt: skip
        self.started.append(process)
        return process

    def ready(self, *args: str) -> Up:
        process = self.up(*args)
        lines = self.said(process, 5)
        assert lines[0] == "Jiesu is ready", self.complaint()
        assert lines[1] == f"  Pages        http://127.0.0.1:{self.ports['API']}/"
        assert lines[2] == f"  API          http://127.0.0.1:{self.ports['API']}/v1, described in /openapi.json"
        assert [str(port) in line for port, line in zip(self.ports.values(), lines[2:], strict=True)] == [True] * 3
        return process

    def said(self, process: Up, count: int) -> list[str]:
        assert process.stdout is not None
        return [process.stdout.readline().rstrip("\n") for _ in range(count)]

    def complaint(self) -> str:
        return (self.home.parent / "stderr").read_text("utf-8")

    def refused(self, *args: str, **env: str) -> str:
        """The one line with which it refuses to start."""
        assert self.up(*args, **env).wait(PATIENCE) == 1
        return self.complaint().rstrip("\n").splitlines()[-1]

    def pids(self) -> dict[str, int]:
        marks = {path.stem: read_pid_file(path) for path in (self.home / "run").glob("*.pid")}
        return {name: mark.pid for name, mark in marks.items() if mark is not None}

    async def client(self) -> Client:
        """Once the server says that it is healthy: one that came back listens before."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await Client.connect(f"127.0.0.1:{self.ports['TEMPORAL']}")
                except RuntimeError:
                    await asyncio.sleep(0.1)


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))


def all_gone(pids: dict[str, int]) -> bool:
    return until(lambda: all(not runs(pid) for pid in pids.values()))


@pytest.fixture
def household(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path / "home")
    yield household
    for process in household.started:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


async def test_jiesu_up_starts_stops_and_resumes(household: Household) -> None:
    running = household.ready()
    pids = household.pids()
    assert set(pids) == {"temporal", "worker", "api"}
    handle = await (await household.client()).start_workflow("Waits", id="issue-1", task_queue=TASK_QUEUE)
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE) == 0
    assert all_gone(pids)
    assert not household.pids()
    assert "Traceback" not in household.complaint()

    running = household.ready()
    handle = (await household.client()).get_workflow_handle("issue-1")
    await handle.signal("tell", "resumed")
    assert await handle.result() == "resumed"
    running.send_signal(signal.SIGTERM)
    assert running.wait(PATIENCE) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_a_killed_jiesu_up_leaves_no_child_and_can_restart(household: Household) -> None:
    running = household.ready()
    pids = household.pids()
    running.kill()
    assert all_gone(pids)
    assert household.pids() == pids, "the pid files stay, and must not hinder"
    household.ready()
    assert not set(household.pids().values()) & set(pids.values())


def test_surviving_children_of_an_earlier_run_are_ended_first(household: Household) -> None:
    """As after a kill on a machine whose kernel does not end children: the survivor still holds a port."""
    listens = (
        "import socket, time; s = socket.create_server(('127.0.0.1', {})); print('up', flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", listens.format(household.ports["API"])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as survivor:
        assert survivor.stdout is not None
        assert survivor.stdout.readline() == b"up\n"
        write_pid_file(household.home, "api", survivor.pid, argv)
        household.ready()
        assert survivor.wait(PATIENCE) == -signal.SIGTERM


async def test_each_killed_child_is_restarted(household: Household) -> None:
    running = household.ready()
    for name in ("worker", "api", "temporal"):
        before = household.pids()
        os.kill(before[name], signal.SIGKILL)
        assert until(lambda: household.pids().get(name) not in (None, before[name])), name  # noqa: B023
        after = household.pids()
        assert {other for other in after if after[other] != before[other]} == {name}
    # The worker finds the new server, so a workflow runs.
    assert until(lambda: serves(household.ports["TEMPORAL"]))
    handle = await (await household.client()).start_workflow("Waits", id="issue-1", task_queue=TASK_QUEUE)
    await handle.signal("tell", "back")
    assert await handle.result() == "back"
    assert until(lambda: ready(household.ports["API"]))
    assert running.poll() is None


def serves(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except OSError:
        return False


def test_the_no_worker_option_starts_api_and_temporal_only(household: Household) -> None:
    household.ready("--no-worker")
    assert set(household.pids()) == {"temporal", "api"}


def test_a_second_one_on_the_same_home_is_refused(household: Household) -> None:
    first = household.ready()
    pids = household.pids()
    line = household.refused(JIESU_API_PORT=str(free_port()))
    assert str(household.home) in line
    assert str(first.pid) in line
    assert household.complaint().count("\n") == 1
    assert household.pids() == pids
    assert all(runs(pid) for pid in pids.values())


@pytest.mark.parametrize("name", ["API", "TEMPORAL", "TEMPORAL_UI"])
def test_a_taken_port_is_one_line_and_nothing_starts(household: Household, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", household.ports[name]))
        taken.listen()
        line = household.refused()
    assert str(household.ports[name]) in line
    assert f"JIESU_{name}_PORT" in line
    assert household.complaint().count("\n") == 1
    assert not household.pids()
    assert not (household.home / "temporal.db").exists()


@pytest.mark.parametrize(("variable", "value"), [("JIESU_APIPORT", "1"), ("JIESU_API_PORT", "none")])
def test_an_unusable_environment_is_one_line(household: Household, variable: str, value: str) -> None:
    line = household.refused(**{variable: value})
    assert variable in line
    assert household.complaint().count("\n") == 1
    assert not household.home.exists()


def test_a_worker_that_cannot_start_ends_everything(household: Household) -> None:
    line = household.refused("--worker-fails")
    assert line.startswith("worker ended 3 times, last with code 3")
    assert "Traceback" not in household.complaint()
    assert not household.pids()
    restarts = [json.loads(text) for text in household.complaint().splitlines()[:-1]]
    assert [(entry["event"], entry["child"]) for entry in restarts] == [("child_ended", "worker")] * 2


def test_a_server_that_cannot_start_is_one_line(household: Household, tmp_path: Path) -> None:
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\necho 'the disk is full'\nexit 1\n")
    program.chmod(0o755)
    line = household.refused(TEMPORAL_CLI=str(program))
    assert "the disk is full" in line
    assert not household.pids()
    assert "TEMPORAL_CLI" in household.refused(TEMPORAL_CLI="/nonexistent/temporal")


@pytest.mark.parametrize(("file", "said"), [("jiesu.db", "the database"), ("keys/issues.db", "the key store")])
async def test_a_start_over_a_damaged_file_names_it(tmp_path: Path, file: str, said: str) -> None:
    household = Household(tmp_path / "home")
    settings = household.settings
    settings.home.mkdir()
    await install.prepare(settings)
    for path in settings.home.glob(f"{file}*"):
        path.write_bytes(b"garbage! " * 1000)

    async def prepare(_: Connect) -> None:
        await install.prepare(settings)

    with pytest.raises(EmbeddedError) as caught:
        await up(settings, prepare=prepare)
    assert str(caught.value).startswith(f"{said} is damaged: docs/operations.md ")
    assert not household.pids()


async def test_the_database_is_prepared_before_anything_uses_it(tmp_path: Path) -> None:
    household = Household(tmp_path / "home")
    settings = household.settings
    seen: list[set[str]] = []

    async def prepare(_: Connect) -> None:
        seen.append(set(household.pids()))
        raise RuntimeError("no space left\nsecond line")

    with pytest.raises(EmbeddedError) as caught:
        await up(settings, prepare=prepare)
    assert str(caught.value).startswith("the disk of the database is full: docs/operations.md ")
    assert seen == [{"temporal"}]
    assert not household.pids()


def test_a_stop_before_it_is_ready_is_clean(household: Household) -> None:
    running = household.up()
    assert until(lambda: "temporal" in household.pids())
    pids = household.pids()
    running.send_signal(signal.SIGTERM)
    assert running.wait(PATIENCE) == 0
    assert all_gone(pids)
    assert not household.pids()
    assert "Traceback" not in household.complaint()
    assert household.said(running, 2) == ["stopped", ""]
