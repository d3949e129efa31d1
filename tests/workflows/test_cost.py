"""The exact cost of a standard issue in Temporal, and its table in docs/architecture.md."""

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.identity.tokens import issue_token
from bench.cost import ACTIONS, EVENTS, TASKS, Bounds, Cost, committed, measured, table
from bench.drive import STAFF
from bench.web import Web
from support.system import running_system

REWRITE = "docs/architecture.md says something else: python -m bench cost --write"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cost(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cost]:
    """That of an issue that lives through the API of a whole system: dev server, SQLite, worker."""
    async with running_system(tmp_path_factory.mktemp("cost")) as system:
        token = issue_token(system.home, STAFF.person, STAFF.role, STAFF.org)
        yield await measured(system.temporal, Web(system.client, token))


async def test_a_standard_issue_costs_exactly_this(cost: Cost) -> None:
    assert (cost.events, cost.tasks, cost.action_count) == (EVENTS, TASKS, ACTIONS)
    assert dict(cost.actions) == {"start": 1, "signals": 4, "timers": 1, "activities": 1, "local activities": 4}


async def test_the_table_of_the_documents_is_what_was_measured(cost: Cost, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{table(cost, Bounds.over(cost))}\n")
    text = committed()
    assert text is not None, REWRITE
    bounds = Bounds.in_table(text)
    assert text == table(cost, bounds), REWRITE
    assert bounds.hold(cost), f"{REWRITE}: {Bounds.over(cost)}"
