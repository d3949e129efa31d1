"""Before a start: whether Temporal holds the issues that are open in SQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from audit.presence import EmptyTemporal, check_presence
from db.engine import Database
from domain.commands import Withdraw
from runtime.devserver import prepare_namespace
from support.archiving import Archiving
from support.stories import RESIDENT, Story, store
from support.temporal import dev_server
from tests.audit.test_reconcile import opened
from worker import build


@pytest.fixture
async def temporal(tmp_path: Path) -> AsyncIterator[Client]:
    async with dev_server(tmp_path) as client:
        await prepare_namespace(client)
        yield client


async def test_a_temporal_that_holds_none_of_the_open_issues_is_refused_with_words_that_say_what_to_do(
    temporal: Client, database: Database, tmp_path: Path
) -> None:
    await check_presence(temporal, database)  # none is open
    for _ in range(3):
        story = Story()
        await store(database, story, story.reported())
    with pytest.raises(EmptyTemporal) as refused:
        await check_presence(temporal, database)
    said = str(refused.value)
    assert "\n" not in said
    assert said.startswith("3 issues are open, and Temporal holds none of them")
    assert "docs/operations.md" in said
    assert "--anyway" in said

    async with build(temporal, database):  # single ones that are gone stop nobody
        await opened(Archiving(temporal, database, tmp_path / "archive"), "there")
    await check_presence(temporal, database)


async def test_a_temporal_without_the_namespace_is_refused(temporal: Client, database: Database) -> None:
    story = Story()
    await store(database, story, story.reported())
    elsewhere = await Client.connect(temporal.service_client.config.target_host, namespace="elsewhere")
    with pytest.raises(EmptyTemporal, match=r"^1 issue is open"):
        await check_presence(elsewhere, database)


async def test_closed_issues_need_no_temporal(temporal: Client, database: Database) -> None:
    story = Story()
    await store(database, story, story.reported())
    await store(database, story, story.give(Withdraw(), RESIDENT))
    await check_presence(temporal, database)


async def test_a_database_that_does_not_answer_keeps_nobody_from_starting(temporal: Client, tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path / 'nowhere' / 'jiesu.db'}")
    await check_presence(temporal, away)
    await away.close()
