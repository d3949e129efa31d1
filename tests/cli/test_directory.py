"""`jiesu directory import` says what it leaves open, and leaves no open issue without anybody who may act on it."""

import asyncio
import shutil
from pathlib import Path

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
    url = f"sqlite:///{tmp_path / 'home' / 'jiesu.db'}"
    (tmp_path / "home").mkdir()
    upgrade(url)
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
