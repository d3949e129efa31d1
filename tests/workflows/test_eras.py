"""Issues of every era of Jiesu, replayed strictly with today's code: an open one may come from any of them."""

import importlib.metadata
import json
from pathlib import Path

import pytest

from audit.archive import parse_history
from audit.gate import eras, golden
from audit.refold import refold
from audit.verify import verify
from support.golden import ERA, HISTORIES

ERAS = eras()
WHAT_TO_DO = """
Golden histories of {version} come out differently. They are the promise to issues that began with that version:
see "Changing what open issues replay" in CONTRIBUTING.md.
"""


@pytest.mark.parametrize(("version", "folder"), ERAS.items(), ids=list(ERAS))
async def test_every_era_replays(version: str, folder: Path) -> None:
    cases = golden(folder)
    findings = [finding for verdict in await verify(cases) for finding in verdict.findings]
    assert not findings, WHAT_TO_DO.format(version=version) + "\n".join(map(str, findings))
    for case in cases:
        then = json.loads((folder / f"{case.issue.removeprefix('golden-')}.json").read_text("utf-8"))["events"]
        folded = refold(case.issue, [parse_history("", run) for run in case.runs])
        assert [each.plain for each in folded.written] == then, WHAT_TO_DO.format(version=version)


def test_every_history_belongs_to_an_era() -> None:
    folders = {file.parent for file in HISTORIES.parent.glob("*/*.pb")}
    assert folders == set(ERAS.values())
    assert ERAS[(HISTORIES / "era").read_text("utf-8").strip()] == HISTORIES


def test_what_is_recorded_now_goes_into_the_era_of_this_version() -> None:
    assert importlib.metadata.version("jiesu").startswith(f"{ERA}."), "begin a new era: see CONTRIBUTING.md"
