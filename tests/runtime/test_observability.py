"""Attack 17: one event is one line whatever its text; a replayed workflow logs nothing again."""

import io
import json
import logging
import os
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from runtime.observability import (
    MASK,
    configure_logging,
    escape,
    metrics_registry,
    render_console,
    render_json,
    serve_metrics,
    temporal_runtime,
)
from runtime.settings import Settings, SettingsError
from support.ports import free_port
from support.temporal import embedded_server

NASTY = [
    "Wang\nlevel=critical event=all_issues_deleted",
    "\x1b[2J\x1b[31mred",
    '"}\n{"level":"critical","event":"all_issues_deleted"}',
    "a\rb",
    "a\u2028b\u2029c\x85d",
    "\u202egnp.exe",
    "\x9b31m",
    "\ud800",
    "\x00",
    "event=x level=critical",
]


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def safe(line: str) -> bool:
    return all(char.isprintable() or unicodedata.category(char) == "Zs" for char in line)


def lines(stream: io.StringIO) -> list[str]:
    """Split wherever any reader might see a new line."""
    return stream.getvalue().removesuffix("\n").splitlines() if stream.getvalue() else []


def logged(style: Any, **fields: Any) -> str:
    stream = io.StringIO()
    configure_logging("info", style, stream)
    structlog.get_logger("test").info("reported", **fields)
    (line,) = lines(stream)
    return line


@pytest.mark.attack(17)
@pytest.mark.parametrize("text", NASTY)
def test_json_keeps_the_value_on_one_line(text: str) -> None:
    line = logged("json", reporter=text)
    assert safe(line)
    entry = json.loads(line)
    assert entry["reporter"] == text
    assert (entry["event"], entry["level"], entry["logger"]) == ("reported", "info", "test")


@pytest.mark.attack(17)
@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("place", ["value", "key", "inner", "event"])
def test_the_console_shows_one_line_and_no_field_that_is_none(text: str, place: str) -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)
    fields: dict[str, Any] = {"value": {"reporter": text}, "key": {text: 1}, "inner": {"who": [text]}}.get(place, {})
    logging.getLogger("uvicorn").info(text) if place == "event" else structlog.get_logger("t").info(
        "reported", **fields
    )
    (line,) = lines(stream)
    assert safe(line)
    if place in ("value", "inner"):
        assert " level=critical" not in line.replace(json.dumps(escape(text), ensure_ascii=False), "").replace(
            repr([text]), ""
        )


@pytest.mark.attack(17)
@given(st.dictionaries(st.text(), st.recursive(st.text() | st.integers() | st.none(), st.lists)))
def test_any_event_is_one_printable_line(event: dict[str, Any]) -> None:
    assert safe(render_json(None, "info", dict(event)))
    event.pop("exception", None)
    assert safe(render_console(None, "info", dict(event)))


@given(st.text())
def test_json_loses_nothing(text: str) -> None:
    assert json.loads(render_json(None, "info", {"text": text})) == {"text": text}


def test_chinese_stays_readable() -> None:
    assert "厨房漏水" in logged("json", note="厨房漏水")
    assert "note=厨房漏水" in logged("console", note="厨房漏水")


@pytest.mark.attack(17)
@pytest.mark.parametrize("logger", ["uvicorn.error", "temporalio.activity", "temporalio.workflow", "asyncio"])
@pytest.mark.parametrize("text", NASTY)
def test_other_libraries_speak_the_same_way(logger: str, text: str) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    logging.getLogger(logger).warning("started %s", text)
    (line,) = lines(stream)
    assert safe(line)
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["logger"]) == (f"started {text}", "warning", logger)
    assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize("logger", ["alembic.runtime.migration", "uvicorn.error", "temporalio.worker._worker"])
def test_other_libraries_do_not_bury_the_start(logger: str) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    logging.getLogger(logger).info("Context impl SQLiteImpl.")
    assert not lines(stream)


@pytest.mark.attack(17)
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_cannot_pass_for_an_event(style: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", style, stream)
    try:
        raise ValueError("bad\n2026-11-21T08:00:00Z critical all_issues_deleted\x1b[2J")  # noqa: TRY301
    except ValueError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("other").exception("failed too")
    for line in lines(stream):
        assert safe(line)
        assert not line.startswith("2026-11-21T08:00:00Z critical")
    assert "all_issues_deleted" in stream.getvalue()
    if style == "json":
        assert [json.loads(line)["event"] for line in lines(stream)] == ["failed", "failed too"]


def test_secrets_and_personal_data_are_withheld() -> None:
    entry = json.loads(
        logged(
            "json",
            token="canary",
            Tracking_Code="canary",
            body={"contact": {"name": "canary", "phone": "canary"}, "kept": 1},
            headers=[{"Authorization": "canary"}],
            given=SecretStr("canary"),
        )
    )
    assert "canary" not in json.dumps(entry)
    assert entry["token"] == entry["Tracking_Code"] == MASK
    assert entry["body"] == {"contact": MASK, "kept": 1}


def test_the_level_counts_for_all() -> None:
    stream = io.StringIO()
    configure_logging("warning", "json", stream)
    structlog.get_logger("t").info("quiet")
    logging.getLogger("other").info("quiet")
    structlog.get_logger("t").warning("loud")
    assert [json.loads(line)["event"] for line in lines(stream)] == ["loud"]


class Collects(logging.Handler):
    """A handler that knows nothing of workflows, such as another library may add."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@workflow.defn
class Talks:
    """Says one line in each of two workflow tasks, by both ways of logging."""

    @workflow.run
    async def run(self) -> None:
        structlog.get_logger("flow").info("first")
        logging.getLogger("flow").info("first")
        await workflow.sleep(timedelta(milliseconds=10))
        structlog.get_logger("flow").info("second")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in list(os.environ):
        if name.upper().startswith("JIESU_"):
            monkeypatch.delenv(name)
    return Settings(home=tmp_path, temporal_port=free_port(), temporal_ui_port=free_port())


async def test_a_replay_says_nothing_and_lines_name_their_workflow(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    elsewhere = Collects()
    logging.getLogger().addHandler(elsewhere)

    def said() -> list[dict[str, Any]]:
        return [entry for line in lines(stream) if (entry := json.loads(line))["logger"] == "flow"]

    # This module is no workflow module: it may import what it likes, so it is not imported a second time.
    runner = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_all_modules())
    async with embedded_server(settings) as client:
        # Without a cache every workflow task replays the ones before it.
        async with Worker(
            client,
            task_queue="talk",
            workflows=[Talks],
            workflow_runner=runner,
            max_cached_workflows=0,
            max_concurrent_workflow_task_polls=1,
        ):
            handle = await client.start_workflow(Talks.run, id="issue-1", task_queue="talk")
            await handle.result()
        assert [entry["event"] for entry in said()] == ["first", "first", "second"]
        assert {(entry["workflow_id"], entry["run_id"]) for entry in said()} == {("issue-1", handle.result_run_id)}

        await Replayer(workflows=[Talks], workflow_runner=runner).replay_workflow(await handle.fetch_history())
        assert len(said()) == 3
        assert (
            len([record for record in elsewhere.records if isinstance(record.msg, dict) and record.name == "flow"]) == 2
        )


async def test_metrics_of_process_and_sdk_share_one_page(settings: Settings) -> None:
    registry = metrics_registry()
    Counter("jiesu_commands", "Commands folded.", registry=registry).inc()
    runtime = temporal_runtime(registry)
    async with embedded_server(settings):
        await Client.connect(settings.address, runtime=runtime)
        page = generate_latest(registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["jiesu_commands"].samples[0].value == 1
    requests = families["temporal_request"]
    assert requests.type == "counter"
    assert "temporal_request_total{" in page, "the name that the type line announces"
    assert any(sample.labels.get("operation") == "GetSystemInfo" for sample in requests.samples)
    assert "process_cpu_seconds" in families


def test_a_metrics_port_is_served_and_a_taken_one_is_one_line(settings: Settings) -> None:
    registry = metrics_registry()
    port = serve_metrics(settings, registry)
    with pytest.raises(SettingsError, match="JIESU_METRICS_PORT"):
        serve_metrics(settings.model_copy(update={"metrics_port": port}), registry)
