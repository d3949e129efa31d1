"""A replay that does not end is broken off and said, the others are verified, and no process is left."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from temporalio.api.history.v1 import HistoryEvent

from audit import replaying
from audit.gate import golden
from audit.replaying import LIMIT, UnendedReplayError, limit_of, replay_within
from audit.verify import verify
from support import stalling
from support.golden import load_runs
from support.installation import COVERED, SEALED, Installation
from tests.audit.test_code_tampers import CHECKOUT, copied

SOON = 3
ROOMS = ("api", "cli", "protocol", "runtime", "security", "texts")
SHELL = "workflows/issue.py"
FOLDS = "self._issue, events = advance(self._issue, inbox, now)"


@pytest.fixture(autouse=True)
def no_idle_child() -> Iterator[None]:
    """Each test begins its own children, and leaves none."""
    _end_idle()
    yield
    _end_idle()
    assert _children(os.getpid()) == []


def _end_idle() -> None:
    while replaying._idle:
        replaying._idle.pop().end()


def _children(pid: int) -> list[psutil.Process]:
    """The processes in which `pid` or its workers replay or verify."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "spawn_main" in str(each.cmdline()):
                    found.append(each)
    return found


def events_of(name: str) -> list[HistoryEvent]:
    (run,) = load_runs(name)
    return list(run.events)


def soon(events: Sequence[HistoryEvent]) -> int:
    """A limit for the one history of a single event; any other may take what a busy machine takes."""
    return SOON if len(events) == 1 else LIMIT


async def test_what_temporals_core_waits_over_is_broken_off_and_the_others_are_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if a kind of history were not known yet that it waits over for ever."""
    monkeypatch.setattr(replaying, "why_unreplayable", lambda events: None)
    whole = events_of("standard")
    runs = [("before", 0, whole), ("stuck", 7, whole[:1]), ("after", 0, whole)]
    before, stuck, after = [each async for each in replay_within(runs, soon)]
    assert (before.findings, before.has_ended, before.commands > 0) == ((), True, True)
    assert after == before
    assert list(map(str, stuck.findings)) == [f"stuck: commands: run 7: the replay did not end within {SOON} s"]
    assert (stuck.has_ended, stuck.commands) == (False, 0)


async def test_rules_that_do_not_end_give_a_finding_or_where_it_must_end_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "serve", stalling.serve_stalling)
    monkeypatch.setattr(replaying, "LIMIT", SOON)
    case = next(each for each in golden() if each.issue == "golden-standard")
    (verdict,) = await verify([case])
    (finding,) = verdict.findings
    assert (finding.step, finding.what) == ("commands", f"the replay did not end within {SOON} s")
    assert verdict.events > 0, "it was folded all the same"
    with pytest.raises(UnendedReplayError, match=f"golden-standard: .* did not end within {SOON} s"):
        await verify([case], must_end=True)


async def test_a_child_that_is_killed_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = events_of("standard")
    runs = replay_within([("one", 0, whole), ("two", 0, whole)])
    async with contextlib.aclosing(runs):
        first = await anext(runs)
        (child,) = _children(os.getpid())
        child.kill()
        assert await anext(runs) == first
    assert first.findings == ()


async def test_the_next_call_takes_the_same_child_and_does_without_one_that_left() -> None:
    run = ("one", 0, events_of("standard"))
    (first,) = [each async for each in replay_within([run])]
    (child,) = _children(os.getpid())
    assert [each async for each in replay_within([run])] == [first]
    assert _children(os.getpid()) == [child]
    child.kill()
    child.wait()
    assert [each async for each in replay_within([run])] == [first]


async def test_who_stops_waiting_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "serve", stalling.serve_stalling)
    waiting = asyncio.create_task(verify([next(iter(golden()))]))
    async with asyncio.timeout(120):
        while not (children := _children(os.getpid())):
            await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gone, left = await asyncio.to_thread(psutil.wait_procs, children, 120)
    assert (len(gone), left) == (1, [])


def test_a_long_history_may_take_longer() -> None:
    whole = events_of("standard")
    assert limit_of(whole) == LIMIT
    assert limit_of(whole * 200) > LIMIT + 30


# As people run it


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The code, in which the rules never come to an end over one issue; a replay may take ten seconds."""
    folder = copied(tmp_path / "code", *ROOMS)
    file = folder / SHELL
    text = file.read_text("utf-8")
    assert text.count(FOLDS) == 1
    stall = f'if self._issue.id == "{COVERED[0]}":\n            __import__("time").sleep(100_000)\n        {FOLDS}'
    file.write_text(text.replace(FOLDS, stall), "utf-8")
    limit = folder / "audit" / "replaying.py"
    text = limit.read_text("utf-8")
    assert text.count("LIMIT: Final = 60") == 1
    limit.write_text(text.replace("LIMIT: Final = 60", "LIMIT: Final = 10"), "utf-8")
    return folder


@contextlib.asynccontextmanager
async def running(code: Path, home: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", *words, cwd=code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**settings, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "JIESU_HOME": str(home)},
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _inside(code: Path) -> list[psutil.Process]:
    """Every process that runs in the folder of the code."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if each.cwd() == str(code):
                found.append(each)
    return found


@pytest.mark.parametrize("words", [("cli", "audit", "verify", "--all"), ("audit.gate",)], ids=["verify", "gate"])
async def test_one_line_says_it_the_others_are_verified_and_the_exit_is_1(
    code: Path, installation: Installation, words: tuple[str, ...]
) -> None:
    if words == ("audit.gate",):
        words = (*words, "--golden", str(CHECKOUT / "tests" / "workflows" / "histories"))
    async with running(code, installation.home, *words) as process:
        out, err = await asyncio.wait_for(process.communicate(), 240)
    said = out.decode().splitlines()
    count = len(SEALED) if words[0] == "cli" else len(golden())
    assert said[0].split(": ", 1)[1].startswith(f"{count} issues, "), err.decode()
    assert [line for line in said if line.startswith("golden-")] == [
        f"{COVERED[0]}: commands: run 0: the replay did not end within 10 s"
    ]
    assert said[-1].startswith("1 findings: NOT everything holds for")
    assert process.returncode == 1
    _, left = await asyncio.to_thread(psutil.wait_procs, _inside(code), 60)
    assert left == []


async def test_no_child_outlives_a_parent_that_was_killed(code: Path, installation: Installation) -> None:
    async with running(code, installation.home, "cli", "audit", "verify", COVERED[0]) as process:
        async with asyncio.timeout(120):
            while not (children := _children(process.pid)):
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    _, left = await asyncio.to_thread(psutil.wait_procs, children, 120)
    assert left == []
