"""A measurement that fails takes nothing else with it, is named, and makes the exit code 1."""

import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import pytest

import bench.__main__ as harness
from bench.figures import Figure, Goal, Result
from bench.run import Run
from bench.stage import Stage, bare_stage


async def works(_: object) -> Result:
    return Result("works", "It works.", [Figure("its figure", (4711.0,), goal=Goal(">=", 1))])


async def fails(_: object) -> Result:
    raise ExceptionGroup("several", [RuntimeError("its server\ndied")])


async def empty(_: object) -> Result:
    return Result("empty", "It has no samples.", details=[Figure("nothing", ())])


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(tmp_path / "out.md")])
    monkeypatch.setattr(harness, "STAGED", {})
    monkeypatch.setattr(harness, "ALONE", {})
    return tmp_path / "out.md"


def test_what_was_measured_is_written_though_another_measurement_failed(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "ALONE", {"fails": fails, "empty": empty, "works": works})
    assert harness.main() == 1
    told, text = capsys.readouterr(), out.read_text("utf-8")
    assert "not measured: fails\nnot measured: empty\n" in told.err
    assert "| its figure | ≥ 1 | 4,711 |" in text
    assert "| failed | fails, empty |" in text
    assert "**It failed**: RuntimeError: its server died" in text


def test_a_run_without_failure_says_nothing_of_one(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "ALONE", {"works": works})
    assert harness.main() == 0
    assert "failed" not in out.read_text("utf-8")


def test_after_a_failure_the_next_measurement_gets_a_stage_of_its_own(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages: list[object] = []

    async def notes(run: Run) -> Result:
        stages.append(run.stage)
        run.rates["timers"] = 7.0
        return await works(run)

    async def kills(run: Run) -> Result:
        stages.append(run.stage)
        os.kill(run.stage.server.pid or 0, signal.SIGKILL)
        raise RuntimeError("the server is gone")

    async def goes_on(run: Run) -> Result:
        stages.append(run.stage)
        await run.stage.client.service_client.check_health()
        return Result("goes on", str(run.rates), [Figure("of the second stage", (3.0,))])

    homes = count()

    def only_temporal() -> AbstractAsyncContextManager[Stage]:
        return bare_stage(out.parent / str(next(homes)))

    monkeypatch.setattr(harness, "open_stage", only_temporal)
    monkeypatch.setattr(harness, "STAGED", {"notes": notes, "kills": kills, "goes on": goes_on})
    assert harness.main() == 1
    first, killed, second = stages
    assert first is killed is not second
    text = out.read_text("utf-8")
    assert "| its figure | ≥ 1 | 4,711 |" in text
    assert "| of the second stage |" in text
    assert "{'timers': 7.0}" in text
    assert "not measured: kills\n" in capsys.readouterr().err


def test_a_stage_that_cannot_be_opened_names_all_that_needed_it(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPORAL_CLI", "/nonexistent")
    monkeypatch.setattr(harness, "STAGED", {"one": works, "two": works})
    monkeypatch.setattr(harness, "ALONE", {"works": works})
    assert harness.main() == 1
    assert "not measured: one\nnot measured: two\n" in capsys.readouterr().err
    assert "4,711" in out.read_text("utf-8")
