"""Requests are limited by caller, address and issue, and an issue takes a maximum of commands from each party."""

import uuid
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

import domain.commands as c
from db.engine import Database
from db.hits import HitStore
from domain.limits import MOST_COMMANDS
from protocol import commands
from protocol.errors import Refused, TooMany
from protocol.limits import Quotas
from support.bare import Bare
from support.system import REPORT, System
from tests.domain.play import COMMUNITY, COMPANY, REPORTER, Stage


def told_to_wait(answer: httpx.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["type"] == "/problems/too-many"
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def flood(client: httpx.AsyncClient, times: int, method: str, path: str, **more: Any) -> Sequence[bool]:
    """Which of so many requests, one after another and each with a key of its own, were told to wait."""
    found: list[bool] = []
    for _ in range(times):
        headers = {**more.pop("headers", {}), "Idempotency-Key": str(uuid.uuid4())}
        found.append(told_to_wait(await client.request(method, path, headers=headers, **more)))
        more["headers"] = headers
    return found


async def test_row_16_requests_of_one_caller_are_limited(bare: Bare) -> None:
    async with bare.api_on(bare.temporal, rate_per_subject=3, rate_per_address=2) as client:
        assert await flood(client, 5, "GET", "/v1/issues", headers=bare.staff) == [False] * 3 + [True] * 2
        assert await flood(client, 4, "GET", "/v1/issues") == [False] * 2 + [True] * 2
        assert await flood(client, 2, "GET", "/v1/issues", headers=bare.street) == [False] * 2


async def test_row_16_one_address_does_not_report_without_end(bare: Bare) -> None:
    async with bare.api_on(bare.temporal, rates={"report": "2/hour"}) as client:
        assert await flood(client, 4, "POST", "/v1/issues", json=REPORT) == [False, False, True, True]


async def test_row_16_one_person_does_not_command_without_end(bare: Bare) -> None:
    path = "/v1/issues/no-such-issue/commands/accept"
    async with bare.api_on(bare.temporal, rates={"command": "2/hour"}) as client:
        assert await flood(client, 3, "POST", path, headers=bare.staff, json={}) == [False, False, True]
        assert await flood(client, 2, "POST", path, headers=bare.community, json={}) == [False, False]


async def test_row_16_commands_to_one_issue_are_limited_without_revealing_it(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}/commands/comment"
    async with system.api_on(system.temporal, rates={"issue": "2/hour"}) as client:
        given = await flood(client, 3, "POST", path, headers=system.staff, json={"text": "在路上"})
        assert given == [False, False, True]
        assert await flood(client, 1, "POST", path, headers=system.community, json={"text": "在路上"}) == [True]
        stranger = system.token("row-16", "community", "other-community")
        answer = await client.post(path, headers=stranger | {"Idempotency-Key": str(uuid.uuid4())}, json={"text": "x"})
        assert answer.status_code == 404


async def test_row_16_tracking_codes_are_not_guessed(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}"
    async with system.api_on(system.temporal, rates={"code": "3/hour"}) as client:
        for number in range(3):
            answer = await client.get(path, headers={"X-Tracking-Code": f"00000-00000-00000-0000{number}"})
            assert answer.status_code == 404
        right = {"X-Tracking-Code": taken["tracking_code"]}
        assert told_to_wait(await client.get(path, headers=right))
        assert (await client.get(path, headers=system.staff)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/issues/mine", "/v1/issues/mine/timeline", "/v1/issues/mine/attachments"])
async def test_row_16_codes_are_not_guessed_without_an_issue(bare: Bare, path: str) -> None:
    async with bare.api_on(bare.temporal, rates={"code": "2/hour"}) as client:
        assert await flood(client, 4, "GET", path, headers={"X-Tracking-Code": "0" * 20}) == [False, False, True, True]
        body = {"path": "/v1/issues/mine/commands/follow", "json": {}, "headers": {"X-Tracking-Code": "1" * 20}}
        assert await flood(client, 1, "POST", **body) == [True], "every door has the same limit"


async def test_row_16_a_token_does_not_make_guesses_free(bare: Bare) -> None:
    """Whoever sees an issue by his token would learn from the answer whether a code is one of its codes."""
    async with bare.api_on(bare.temporal, rates={"code": "2/hour"}) as client:
        for who in (bare.staff, bare.token("row-16-r", "resident")):
            guesses = {**who, "X-Tracking-Code": "0" * 20}
            assert (await flood(client, 4, "GET", "/v1/issues/mine", headers=guesses))[2:] == [True, True]
            assert await flood(client, 2, "GET", "/v1/issues", headers=who) == [False, False], (
                "without a code as before"
            )


def test_row_16_an_issue_takes_so_many_commands_of_one_and_no_more() -> None:
    stage = Stage()
    stage.give(COMPANY, c.Accept())
    while stage.issue.given[REPORTER.party] < MOST_COMMANDS:
        stage.give(REPORTER, c.Comment("还在漏"), after=1)
    refused = commands._objection(stage.issue, stage.command(REPORTER, c.Comment("还在漏")))  # pyright: ignore[reportPrivateUsage]
    assert isinstance(refused, Refused)
    assert refused.code == "too-many-commands"
    # The flood locks nobody else, and not what the flooder himself decides.
    for actor, body in ((COMPANY, c.Assign("张工")), (COMMUNITY, c.Supervise()), (REPORTER, c.RenewCode())):
        assert commands._objection(stage.issue, stage.command(actor, body)) is None  # pyright: ignore[reportPrivateUsage]


async def test_row_16_a_limit_holds_for_all_processes_together(database: Database, database_url: str) -> None:
    second = Database(database_url)
    rates = {"command": "3/hour", "reveal": "3/hour"}
    one, other = (Quotas(rates, HitStore(each, b"secret"), patience=60) for each in (database, second))
    for _ in range(3):
        await one.count("command", "p1")
        await one.spend("reveal", "p1")
    with pytest.raises(TooMany):  # exactly
        await other.spend("reveal", "p1")
    await one.close()
    await other.count("command", "p1")
    await other.close()  # by then it has written, and learned what the others know
    with pytest.raises(TooMany):
        await other.check("command", "p1")
    await other.check("command", "p2")
    await second.close()


async def test_row_16_codes_are_not_guessed_by_joining_and_newcomers_are_counted_by_address(system: System) -> None:
    path = f"/v1/issues/{'a' * 26}/commands/follow"
    async with system.api_on(system.temporal, rates={"code": "2/hour"}) as client:
        guesses = await flood(client, 4, "POST", path, headers={"X-Tracking-Code": "x"}, json={})
        assert guesses == [False, False, True, True]
        assert await flood(client, 2, "POST", path, json={}) == [False, False], "without a code nothing is guessed"
    async with system.api_on(system.temporal, rates={"command": "2/hour"}) as client:
        assert await flood(client, 3, "POST", path, json={}) == [False, False, True]
