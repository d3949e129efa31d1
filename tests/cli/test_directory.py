"""`jiesu directory`: import leaves no open issue without anybody who may act on it; export gives what import reads back."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.errors import Failure
from db.directory import load_directory
from db.engine import Database
from db.upgrade import upgrade
from support.crash import CHECKOUT
from support.stories import Plain, Story, store

EXAMPLE = CHECKOUT / "examples" / "directory"
ABANDONED = "loses the people of demo-property, and nobody is left"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """An open issue of the example directory, which is in force."""
    (tmp_path / "home").mkdir()
    made = CliRunner().invoke(app, ("db", "upgrade"), env={"JIESU_HOME": str(tmp_path / "home")})
    assert made.exit_code == 0, made.output
    found = Story()
    keep(tmp_path, found, found.reported())
    assert imported(tmp_path, EXAMPLE).startswith("imported from ")
    return found


def keep(tmp_path: Path, story: Story, events: Plain) -> None:
    async def work() -> None:
        database = Database(f"sqlite:///{tmp_path / 'home' / 'jiesu.db'}")
        await store(database, story, events)
        await database.close()

    asyncio.run(work())


def imported(tmp_path: Path, folder: Path, *options: str) -> str:
    """What the command prints. Raises Failure where it refuses."""
    arguments = ("directory", "import", str(folder), *options)
    result = CliRunner().invoke(app, arguments, env={"JIESU_HOME": str(tmp_path / "home")})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def without_company(tmp_path: Path) -> Path:
    """The example, but nobody is appointed for the company any more."""
    folder = tmp_path / "changed"
    shutil.copytree(EXAMPLE, folder)
    file = folder / "appointments.csv"
    kept = [line for line in file.read_text("utf-8").splitlines() if "demo-property" not in line]
    file.write_text("\n".join(kept) + "\n", "utf-8")
    return folder


def people(tmp_path: Path) -> set[str]:
    """Who is appointed by the directory in force."""

    async def work() -> set[str]:
        database = Database(f"sqlite:///{tmp_path / 'home' / 'jiesu.db'}")
        async with database.read() as session:
            found = {each.person for each in (await load_directory(session)).appointments}
        await database.close()
        return found

    return asyncio.run(work())


def test_a_dry_run_says_what_would_be_lost_and_changes_nothing(tmp_path: Path, story: Story) -> None:
    before = people(tmp_path)
    lines = imported(tmp_path, without_company(tmp_path), "--dry-run").splitlines()
    assert lines[0].startswith("would be imported from ")
    assert f"open issue {story.issue.number}: {ABANDONED}" in lines
    assert any(line.startswith("nobody is appointed for demo-property, the property of ") for line in lines)
    assert people(tmp_path) == before


def test_what_would_leave_an_open_issue_without_anybody_is_refused_unless_it_is_named(
    tmp_path: Path, story: Story
) -> None:
    before, folder = people(tmp_path), without_company(tmp_path)
    for options in ((), ("--force", "JS-OTHER")):
        with pytest.raises(Failure, match=f"{story.issue.number}: {ABANDONED}"):
            imported(tmp_path, folder, *options)
        assert people(tmp_path) == before
    assert ABANDONED in imported(tmp_path, folder, "--force", story.issue.number)
    assert "p1" not in people(tmp_path)


def test_once_the_issue_is_closed_nobody_is_missed(tmp_path: Path, story: Story) -> None:
    keep(tmp_path, story, story.until_closed())
    assert ABANDONED not in imported(tmp_path, without_company(tmp_path))


def run(tmp_path: Path, *arguments: str) -> str:
    result = CliRunner().invoke(
        app, ("directory", *arguments), env={"JIESU_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    )
    if isinstance(result.exception, Failure):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(tmp_path: Path) -> dict[str, Any]:
    return json.loads(run(tmp_path, "show", "--json"))


def test_an_export_is_read_back_to_the_same_directory(tmp_path: Path, story: Story) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(EXAMPLE, changed)
    file = changed / "appointments.csv"
    header, *rows = file.read_text("utf-8").splitlines()
    phones = ["13800000000", *[""] * (len(rows) - 1)]
    lines = [f"{header},phone", *(f"{row},{phone}" for row, phone in zip(rows, phones, strict=True))]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    with (changed / "operators.csv").open("a", encoding="utf-8") as operators:
        operators.write('quoted,"甲""乙"",(丙)",company\n')
    imported(tmp_path, changed)
    before, out = shown(tmp_path), tmp_path / "out"
    assert before["version"] == 2
    assert f"10 files, written to {out}" in run(tmp_path, "export", str(out))
    assert "13800000000" not in (out / "appointments.csv").read_text("utf-8")
    imported(tmp_path, EXAMPLE)
    assert shown(tmp_path)["digest"] != before["digest"]
    imported(tmp_path, out)
    assert shown(tmp_path)["digest"] == before["digest"]
    with pytest.raises(Failure, match="is not empty"):
        run(tmp_path, "export", str(out))


def test_show_says_who_answers_and_what_is_missing(tmp_path: Path, story: Story) -> None:
    text = run(tmp_path, "show")
    assert text.startswith("directory 1, imported ")
    assert "17 compounds" in text
    assert "体验物业 demo-property" in " ".join(text.split())
    assert "nobody is appointed for jinxiang-property" in text
    found = shown(tmp_path)
    assert found["compounds"][0]["code"] == "demo"
    assert not any("phone" in each for each in found["appointments"])


def test_nothing_is_shown_or_written_before_the_first_import(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    upgrade(f"sqlite:///{tmp_path / 'home' / 'jiesu.db'}")
    for arguments in (("show",), ("export", str(tmp_path / "out"))):
        with pytest.raises(Failure, match="no directory was imported yet"):
            run(tmp_path, *arguments)
    assert not (tmp_path / "out").exists()
