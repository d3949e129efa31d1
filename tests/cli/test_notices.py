"""``jiesu notices``: shows an operator what did not go out, and makes it due again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from activities.notices import Deliverer
from cli.app import app
from cli.errors import Failure
from db import outbox
from db.engine import Database
from db.outbox import Entry
from db.tables import AlarmRow, OutboxRow


class Dead:
    """A channel with which the outcome of every attempt is unknown, so that it is not tried again."""

    repeatable = False

    async def deliver(self, notice: Entry) -> None:
        raise ConnectionResetError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    assert CliRunner().invoke(app, ["db", "upgrade"]).exit_code == 0
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["notices", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    return result


def in_database(home: Path, work: Callable[[Database], Awaitable[Any]]) -> Any:
    async def open_and_work() -> Any:
        database = Database(f"sqlite:///{home / 'jiesu.db'}")
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(open_and_work())


async def fail(database: Database) -> None:
    now = datetime.now(UTC)
    await database.transact(lambda session: outbox.tell(session, ["org-a", "org-b"], "head", 7, {}, now))
    await Deliverer(database, Dead()).deliver_pending()


async def open_alarms(database: Database) -> list[str]:
    async with database.read() as session:
        return [row.detail["org"] for row in await session.scalars(select(AlarmRow).where(AlarmRow.seen_at.is_(None)))]


async def states(database: Database) -> list[tuple[str, int]]:
    async with database.read() as session:
        return [(row.status, row.attempts) for row in await session.scalars(select(OutboxRow).order_by(OutboxRow.id))]


def test_what_was_given_up_is_listed_and_made_due_again(home: Path):
    assert run("list", "--failed").stdout == "0 notices did not go out\n"
    in_database(home, fail)
    assert in_database(home, open_alarms) == ["org-a", "org-b"]
    found = json.loads(run("list", "--failed", "--json").stdout)
    assert [(each["receiver"], each["tries"], each["next"]) for each in found] == [
        ("org-a", 1, None),
        ("org-b", 1, None),
    ]
    assert "org-a" in run("list").stdout
    assert "org-a" not in run("list", "--org", "org-b").stdout
    assert run("resend", str(found[0]["id"])).stdout == "1 notices go out again\n"
    assert in_database(home, states) == [("pending", 0), ("failed", 1)]
    assert in_database(home, open_alarms) == ["org-b"]
    assert run("resend").stdout == "2 notices go out again\n"
    assert in_database(home, states) == [("pending", 0), ("pending", 0)]


def test_an_id_that_did_not_fail_is_named_as_such():
    refused = run("resend", "7", code=1)
    assert isinstance(refused.exception, Failure)
    assert "none of these notices" in str(refused.exception)
