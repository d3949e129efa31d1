"""The dev server: its settings, its durability, and recovery from an interrupted first start."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, PollWorkflowTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from runtime import devserver
from runtime.devserver import DevServer, EmbeddedError, find_temporal
from runtime.settings import Settings
from support import faults
from support.ports import free_port
from support.temporal import embedded_server
from workflows.contract import TASK_QUEUE


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in list(os.environ):
        if name.upper().startswith("JIESU_"):
            monkeypatch.delenv(name)
    return Settings(home=tmp_path / "home", temporal_port=free_port(), temporal_ui_port=free_port())


async def attributes(client: Client) -> set[str]:
    listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    return set(listed.custom_attributes)


async def test_what_was_acknowledged_outlives_a_kill(settings: Settings) -> None:
    server = DevServer(settings)
    await server.start()
    client = await server.connect()
    pair = SearchAttributePair(SearchAttributeKey.for_keyword("JiesuCompound"), "demo")
    handle = await client.start_workflow(
        "Issue", id="issue-1", task_queue=TASK_QUEUE, search_attributes=TypedSearchAttributes([pair])
    )
    await handle.signal("accept")
    server.child.kill()
    assert await server.child.wait() == -signal.SIGKILL

    await server.start()
    again = (await server.connect()).get_workflow_handle("issue-1")
    history = await again.fetch_history()
    assert [event.HasField("workflow_execution_signaled_event_attributes") for event in history.events].count(True) == 1
    described = await again.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert described.typed_search_attributes[SearchAttributeKey.for_keyword("JiesuCompound")] == "demo"
    await server.stop()
    assert not server.child.running


async def test_a_flood_of_one_community_does_not_hold_up_another(settings: Settings) -> None:
    async with embedded_server(settings) as client:
        flood = [(f"flood-{n}", "community-1") for n in range(40)]
        for name, key in [*flood, ("alone", "community-2")]:
            await client.start_workflow("Issue", id=name, task_queue="held", priority=Priority(fairness_key=key))
        served: list[str] = []
        while "alone" not in served:
            request = PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name="held"))
            task = await client.workflow_service.poll_workflow_task_queue(request)
            served.append(task.workflow_execution.workflow_id)
        assert len(served) < len(flood) / 2


async def test_the_namespace_keeps_closed_issues_and_knows_our_attributes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded_server(settings) as client:
        described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        assert described.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=30)
        assert await attributes(client) == {
            "JiesuCompound", "JiesuCommunity", "JiesuStreet", "JiesuCategory", "JiesuPolicy", "JiesuUrgent"
        }  # fmt: skip
    # A later release brings another one to a database that exists.
    monkeypatch.setattr(devserver, "SEARCH_ATTRIBUTES", {**devserver.SEARCH_ATTRIBUTES, "JiesuLater": "Keyword"})
    async with embedded_server(settings) as client:
        assert "JiesuLater" in await attributes(client)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")
async def test_it_listens_on_loopback_only(settings: Settings) -> None:
    server = DevServer(settings)
    await server.start()
    await server.connect()
    listening = listeners(server.child.pid)
    await server.stop()
    assert {address for address, _ in listening} == {"0100007F"}, "127.0.0.1 and nothing else"
    assert {settings.temporal_port, settings.temporal_ui_port} <= {port for _, port in listening}


def listeners(pid: int | None) -> set[tuple[str, int]]:
    """Address, as the kernel writes it, and port of every listening socket of a process."""
    held = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    found: set[tuple[str, int]] = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to see the flushes")
@pytest.mark.parametrize(("synchronous", "flushes"), [("FULL", True), ("NORMAL", False), ("FUL", False)])
async def test_only_full_flushes_each_commit(settings: Settings, synchronous: str, flushes: bool) -> None:
    """That the flag takes effect, and why its spelling is a constant: an unknown value passes and flushes nothing."""
    server = DevServer(settings, synchronous)
    await server.start()
    client = await server.connect()
    handle = await client.start_workflow("Issue", id="issue-1", task_queue=TASK_QUEUE)
    counts = settings.home / "counts"
    argv = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-p", str(server.child.pid), "-o", str(counts)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as tracer:  # noqa: ASYNC220
        assert tracer.stderr is not None
        if b"attached" not in tracer.stderr.readline():
            await server.stop()
            pytest.skip("strace may not look at other processes here")
        for _ in range(20):
            await handle.signal("accept")
        tracer.send_signal(signal.SIGINT)
    await server.stop()
    seen = counts.read_text().count("sync(")
    assert (seen >= 20) is flushes
    assert devserver.SYNCHRONOUS == "FULL"


async def test_a_first_start_cut_short_is_begun_anew(settings: Settings) -> None:
    settings.home.mkdir()
    with contextlib.closing(sqlite3.connect(settings.home / "temporal.db")) as half:
        half.execute("CREATE TABLE namespaces_unfinished (id)")
        half.commit()
    async with embedded_server(settings) as client:
        await client.start_workflow("Issue", id="issue-1", task_queue=TASK_QUEUE)
    # What has served is never removed.
    async with embedded_server(settings) as client:
        assert (await client.get_workflow_handle("issue-1").describe()).id == "issue-1"


async def test_what_is_no_database_is_left_alone(settings: Settings) -> None:
    settings.home.mkdir()
    database = settings.home / "temporal.db"
    database.write_bytes(b"somebody's letter" * 1000)
    with pytest.raises(EmbeddedError) as caught:
        await DevServer(settings).start()
    assert str(database) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert database.read_bytes().startswith(b"somebody's letter")


async def test_a_server_that_dies_says_its_last_word(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    program = settings.home.parent / "temporal"
    program.write_text("#!/bin/sh\necho 'the disk is full' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("TEMPORAL_CLI", str(program))
    server = DevServer(settings)
    await server.start()
    with pytest.raises(EmbeddedError, match="the disk is full") as caught:
        await server.connect()
    assert "\n" not in str(caught.value)


def test_the_program_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEMPORAL_CLI", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert os.access(find_temporal(), os.X_OK)


def test_a_named_program_comes_first_and_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_CLI", sys.executable)
    assert find_temporal() == Path(sys.executable)
    monkeypatch.setenv("TEMPORAL_CLI", "/nonexistent/temporal")
    with pytest.raises(EmbeddedError, match="TEMPORAL_CLI"):
        find_temporal()


async def test_a_server_that_cannot_write_its_file_says_so_in_our_words(settings: Settings) -> None:
    """Its own last line is cut off before the cause."""
    async with embedded_server(settings):
        pass
    with faults.read_only(settings.home):
        server = DevServer(settings.model_copy(update={"temporal_port": free_port(), "temporal_ui_port": free_port()}))
        with pytest.raises(EmbeddedError, match=r"temporal\.db is read-only"):
            await server.connect(0.1)
