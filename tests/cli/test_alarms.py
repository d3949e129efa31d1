"""``jiesu alarms``: one line for all open ones of a cause, then the closed ones; marks one, or all of a cause."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from cli.app import app
from cli.errors import Failure
from db.alarms import put_alarm, settle
from db.upgrade import make_sync_engine, upgrade

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command on a home with 5,000 late issues and one that was terminated; a failing one is over."""
    url = f"sqlite:///{tmp_path / 'jiesu.db'}"
    upgrade(url)
    late = [f"i{n:04}" for n in range(5000)]
    engine = make_sync_engine(url)
    with Session(engine) as session, session.begin():
        settle(session, "workflow-fails", ["failed"], ["failed"], AT)
        settle(session, "workflow-fails", [], [], AT + timedelta(hours=1))
        settle(session, "deadline-overlooked", late, late, AT)
        put_alarm(session, "ended-from-outside", "ended", {"status": "terminated"}, AT)
    engine.dispose()

    def invoke(*arguments: str) -> Result:
        environment = {"JIESU_HOME": str(tmp_path), "COLUMNS": "200"}
        return CliRunner().invoke(app, ["alarms", *arguments], env=environment)

    return invoke


def read(run: Run, *arguments: str) -> list[dict[str, Any]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_open_causes_come_first_and_thousands_are_one_line(run: Run) -> None:
    told = [(each["cause"], each["issue"], each["alarms"], each["seen_at"] is None) for each in read(run)]
    assert told == [
        ("ended-from-outside", "ended", 1, True),
        ("deadline-overlooked", "i0000", 5000, True),
        ("workflow-fails", "failed", 1, False),
    ]
    lines = [line for line in run().stdout.splitlines() if "2026-" in line]
    assert len(lines) == 3
    assert "i0000 (+4999)" in lines[1]
    assert "open" in lines[1]
    assert "over 2026-03-02 10:00:00" in lines[2]
    assert len(read(run, "--cause", "deadline-overlooked", "--limit", "7")) == 7


def test_one_is_marked_by_its_id_and_all_of_a_cause_at_once(run: Run) -> None:
    ended = str(read(run)[0]["id"])
    assert run("mark", ended).stdout == "1 marked\n"
    assert run("mark", "--cause", "deadline-overlooked").stdout == "5000 marked\n"
    assert [each for each in read(run) if each["seen_at"] is None] == []
    for again in (
        ["mark", ended],
        ["mark", "--cause", "deadline-overlooked"],
        ["mark"],
        ["mark", ended, "--cause", "x"],
    ):
        result = run(*again)
        assert result.exit_code == 1
        assert isinstance(result.exception, Failure)


def test_without_alarms_it_says_so(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'jiesu.db'}")
    result = CliRunner().invoke(app, ["alarms"], env={"JIESU_HOME": str(tmp_path)})
    assert (result.exit_code, result.stdout) == (0, "no alarms\n")


HOSTILE = "\x1b]0;owned\x07 \x9b31m red\n[bold]forged[/bold] line \u202e reversed"


@pytest.mark.attack(17)
def test_no_text_of_an_alarm_steers_the_terminal_or_makes_a_line_up(run: Run, tmp_path: Path) -> None:
    engine = make_sync_engine(f"sqlite:///{tmp_path / 'jiesu.db'}")
    with Session(engine) as session, session.begin():
        put_alarm(session, "ended-from-outside", HOSTILE, {"status": HOSTILE}, AT)
    engine.dispose()
    for arguments in ((), ("--cause", "ended-from-outside")):
        said = run(*arguments).stdout
        assert "[bold]forged[/bold]" in said or not arguments
        assert not [sign for sign in said if not sign.isprintable() and sign != "\n"]
