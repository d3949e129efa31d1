"""Strict replay against changed code: each row patches a copy of the code and names the finding.

Temporal's own replayer passes most of them, as it compares kinds and order only.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from audit.case import Finding, Step
from support.golden import HISTORIES
from support.scenarios import SCENARIOS

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "policies", "calendars", "workflows", "activities", "db", "audit")
SHELL = "workflows/issue.py"
VERIFY = """
import asyncio, json, os, sys
from dataclasses import asdict
from pathlib import Path
import audit.verify, domain.advance, workflows.issue
from audit.case import ArchivedCase

code, histories, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
for module in (audit.verify, domain.advance, workflows.issue):
    assert Path(module.__file__).is_relative_to(code), module.__file__
cases = []
for name in names:
    files = sorted(histories.glob(f"{name}.*.pb"), key=lambda file: int(file.suffixes[-2][1:]))
    cases.append(ArchivedCase(f"golden-{name}", tuple(file.read_bytes() for file in files)))
verdicts = asyncio.run(audit.verify.verify(cases))
print(json.dumps([asdict(each) for verdict in verdicts for each in verdict.findings]), flush=True)
os._exit(0)  # the SDK's threads now and then abort an interpreter that ends
"""


@dataclass(frozen=True)
class Patch:
    """What is changed in a file; which golden histories tell, by which step, where and in which words.

    Without a step it cannot be seen in any history.
    """

    name: str
    file: str
    old: str
    new: str
    golden: str
    step: Step | None
    where: str = ""
    what: str = ""


PATCHES = (
    Patch("a rule", "domain/decide.py", "fold.add(e.Closed(judged.kind, judged.satisfaction))",
          'fold.add(e.Closed("partly", judged.satisfaction))', "asked", "fold", r"run \d, event \d+"),
    Patch("a rule of time", "domain/clocks.py", "    return grace + timedelta(milliseconds=spread)",
          "    return grace + timedelta(milliseconds=spread + 1)", "nobody", "commands", r"run 0, event \d+",
          "timer: duration is .*"),
    Patch("a timer's duration", SHELL, "max(wake - now, timedelta())", "max(wake - now, timedelta()) * 30", "nobody",
          "commands", r"run 0, event \d+", "timer: duration is .*"),
    Patch("what a timer is for", SHELL, "summary=clause", "summary=clause.upper()", "nobody", "commands",
          r"run 0, event \d+", "timer: summary is .*"),
    Patch("an activity's argument", SHELL, "Batch(self._issue.id, part.events", "Batch(self._issue.id.upper(), part.events",
          "standard", "commands", r"run 0, event \d+", "activity: input is .*"),
    Patch("a local activity's argument", SHELL, "        if repeatable:\n",
          '        if repeatable:\n            plain = {**plain, "events": plain["events"][-1:]}\n', "standard", "commands",
          r"run 0, event \d+", "local activity: result is .*"),
    Patch("an activity's time limit", SHELL, "timedelta(seconds=10)", "timedelta(seconds=11)", "standard", "commands",
          r"run 0, event \d+", "activity: start_to_close_timeout is .*"),
    Patch("how an activity is tried again", SHELL, "backoff_coefficient=1.5", "backoff_coefficient=2.0", "standard",
          "commands", r"run 0, event \d+", "activity: retry backoff is .*"),
    Patch("a handler that ignores what it is given", SHELL, "if not self._forged:\n            self._inbox.append",
          'if not self._forged and name != "comment":\n            self._inbox.append', "again", "commands",
          "run 0.*"),
    Patch("a local activity instead of an ordinary one", SHELL, "repeatable = follows_from_commands(inbox, events, now)",
          "repeatable = True", "standard", "commands", "run 0", "the code does not fit the history.*"),
    Patch("an ordinary activity instead of a local one", SHELL, "repeatable = follows_from_commands(inbox, events, now)",
          "repeatable = False", "standard", "commands", "run 0", "the code does not fit the history.*"),
    Patch("what the workflow returns", SHELL, '"version": issue.version}', '"version": issue.version + 1}', "standard",
          "commands", r"run 0, event \d+", "complete: result is .*"),
    Patch("what a run passes on to the next", SHELL, "issue.rules_version, state=dump_issue(issue)",
          "issue.rules_version, report=None, state={**dump_issue(issue), 'fence': 1}", "again", "commands",
          r"run 0, event \d+", "continue: input is .*"),
    Patch("how an unreadable signal is put on record", "workflows/mailbox.py", "no command has this name", "unknown",
          "refused", "fold", r"run 0, event \d+"),
    # What Temporal does not write down nobody can compare: a local activity leaves its result and nothing else.
    Patch("a local activity's time limit", SHELL, "timedelta(milliseconds=300)", "timedelta(milliseconds=400)",
          "standard", None),
    Patch("what is shown in Temporal's UI", SHELL, "{details(self._issue)}", "{details(self._issue)}!", "standard", None),
)  # fmt: skip


def copied(folder: Path, *more: str) -> Path:
    """The code with what was compiled of it: times are kept, so only what is patched is compiled again."""
    for name in (*PACKAGES, *more):
        shutil.copytree(CHECKOUT / name, folder / name)
    for file in CHECKOUT.glob("*.py"):
        shutil.copy2(file, folder / file.name)
    return folder


def apply(patch: Patch, code: Path) -> None:
    file = code / patch.file
    text = file.read_text("utf-8")
    times = text.count(patch.old)
    assert times == 1, f"{patch.name}: {patch.file} holds {patch.old!r} {times} times: bring the patch up to date"
    file.write_text(text.replace(patch.old, patch.new), "utf-8")


async def verified(code: Path, *names: str) -> list[Finding]:
    """What the code in the folder finds in golden histories, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", VERIFY, str(code), str(HISTORIES), *names, cwd=code,
        env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return [Finding(**each) for each in json.loads(out.splitlines()[-1])]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def findings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, "asyncio.Task[list[Finding]]"]]:
    """Those of each patch, as many at a time as there are processors."""
    turn = asyncio.Semaphore(os.cpu_count() or 1)

    async def patched(patch: Patch) -> list[Finding]:
        async with turn:
            code = await asyncio.to_thread(copied, tmp_path_factory.mktemp("code"))
            apply(patch, code)
            return await verified(code, patch.golden)

    tasks = {patch.name: asyncio.create_task(patched(patch)) for patch in PATCHES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
async def test_changed_code_is_found(findings: dict[str, "asyncio.Task[list[Finding]]"], patch: Patch) -> None:
    found = await findings[patch.name]
    if patch.step is None:
        assert found == []
        return
    fits = [
        each
        for each in found
        if each.step == patch.step and re.fullmatch(patch.where, each.where) and re.match(patch.what, each.what)
    ]
    assert fits, "\n".join(map(str, found)) or "nothing"


async def test_the_code_as_it_is_finds_nothing(tmp_path: Path) -> None:
    assert [str(each) for each in await verified(copied(tmp_path), *sorted(SCENARIOS))] == []
