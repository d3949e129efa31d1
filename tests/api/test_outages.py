"""With workers or the database away no acknowledged command is lost, and callers get a true answer."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from db.engine import Database
from domain.issue import Issue
from domain.wire import parse_time
from protocol.clock import now
from protocol.gateway import TemporalGateway
from support.again import Again
from support.outage import away
from support.ports import free_port
from support.system import REPORT, Answer, System


@pytest.fixture
async def idle(system: System) -> AsyncIterator[System]:
    """The system without a worker."""
    await system.stop_worker()
    yield system
    await system.start_worker()


@pytest.fixture
async def broken(system: System) -> AsyncIterator[System]:
    """The system without SQL; a test may mend it itself."""
    async with system.without_sql():
        yield system


async def settled(system: System) -> dict[str, str]:
    """An issue that is on record, as its id and tracking code."""
    taken = await system.report()
    return {"id": taken["id"], "code": taken["tracking_code"], "number": taken["number"]}


@pytest.fixture
async def known(system: System) -> dict[str, str]:
    return await settled(system)


async def test_without_a_worker_a_command_is_queued_and_keeps_its_time(known: dict[str, str], idle: System) -> None:
    key = str(uuid.uuid4())
    queued = await idle.send(known["id"], "accept", idle.staff, key)
    sent_by = now()
    assert (queued.status, queued["outcome"]) == (202, "queued")
    receipt = await idle.get(f"/v1/commands/{queued['command_id']}", idle.staff)
    assert (receipt.status, receipt["outcome"]) == (200, "queued")
    again = await idle.send(known["id"], "accept", idle.staff, key)
    assert (again.status, again["command_id"]) == (202, queued["command_id"])
    started = await idle.report()
    assert (started.status, started["status"], started["version"]) == (201, "dispatched", 2)

    await asyncio.sleep(1)
    await idle.start_worker()
    receipt = await idle.until(
        f"/v1/commands/{queued['command_id']}", idle.staff, lambda body: body["outcome"] != "queued"
    )
    assert receipt["outcome"] == "applied"
    path = f"/v1/issues/{known['id']}/timeline"
    events = (await idle.until(path, idle.staff, lambda body: True))["events"]
    (accepted,) = [event for event in events if event["kind"] == "accepted"]
    assert parse_time(accepted["at"]) <= sent_by
    assert accepted["command_id"] == queued["command_id"]


async def test_without_a_worker_an_issue_reported_just_now_can_be_read_and_worked_on(idle: System) -> None:
    key = str(uuid.uuid4())
    taken = await idle.report(key=key)
    code = {"X-Tracking-Code": taken["tracking_code"]}
    assert (await idle.get(f"/v1/issues/{taken['id']}", code))["version"] == 2
    assert (await idle.report(key=key))["tracking_code"] == taken["tracking_code"]
    assert (await idle.report(key=key, description="另一件事")).status == 422
    assert (await idle.send(taken["id"], "accept", idle.staff)).status == 202


async def test_without_sql_commands_and_reports_go_on(known: dict[str, str], broken: System) -> None:
    code = {"X-Tracking-Code": known["code"]}
    given = await broken.send(known["id"], "accept", broken.staff)
    assert given.status in (200, 202)
    read = await broken.until(f"/v1/issues/{known['id']}", code, lambda body: body["status"] == "accepted")
    assert read["version"] >= 3
    refused = await broken.give(known["id"], "confirm", code, outcome="solved", satisfaction="satisfied")
    assert refused.status == 409
    foreign = await broken.send(known["id"], "accept", broken.token("op1", "property", "other-property"))
    assert foreign.status == 503

    key = str(uuid.uuid4())
    taken = await broken.report(key=key)
    assert (taken.status, taken["status"]) == (201, "dispatched")
    assert (await broken.report(key=key))["tracking_code"] == taken["tracking_code"]
    assert (await broken.report(key=key, description="另一件事")).status == 422
    for path in ("/v1/issues", "/v1/worklist"):
        answer = await broken.get(path, broken.staff)
        assert (answer.status, answer["type"]) == (503, "/problems/unavailable")
    assert (await broken.get(f"/v1/issues/{known['id']}/timeline", broken.staff)).status == 503
    ready = await broken.get("/readyz")
    assert (ready.status, ready["checks"]["database"]) == (503, "cannot be opened")
    assert (await broken.get("/healthz")).status == 200


async def test_a_deadline_during_the_outage_is_recorded_afterwards_at_its_time(
    known: dict[str, str], broken: System
) -> None:
    code = {"X-Tracking-Code": known["code"]}
    await broken.until(f"/v1/issues/{known['id']}", code, lambda body: body["level"] == "community")
    await broken.mend_sql()

    def climbed(body: dict[str, list[dict[str, object]]]) -> bool:
        return any(event["kind"] == "escalated" for event in body["events"])

    timeline = await broken.until(f"/v1/issues/{known['id']}/timeline", code, climbed)
    first = timeline["events"][0]
    climb = next(event for event in timeline["events"] if event["kind"] == "escalated")
    assert parse_time(climb["at"]) == parse_time(climb["was_due"]) > parse_time(first["at"])
    assert parse_time(climb["recorded_at"]) > parse_time(climb["was_due"])


async def test_without_temporal_nothing_is_acknowledged_but_the_record_is_read(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}"
    await system.until(path, system.staff, lambda body: body["version"] == 2)
    nowhere = await Client.connect(f"127.0.0.1:{free_port()}", lazy=True)
    async with system.api_on(nowhere) as client:
        headers = {**system.staff, "Idempotency-Key": str(uuid.uuid4())}
        given = await client.post(f"{path}/commands/accept", json={}, headers=headers)
        assert (given.status_code, given.json()["type"]) == (503, "/problems/unavailable")
        reported = await client.post("/v1/issues", json=REPORT, headers=headers)
        assert reported.status_code == 503
        assert (await client.get(path, headers=system.staff)).json()["status"] == "dispatched"
        assert (await client.get("/v1/worklist", headers=system.staff)).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["temporal"]) == (503, "does not answer")
    assert (await system.give(taken["id"], "accept", system.staff)).status == 200


async def test_a_host_whose_clock_is_wrong_stamps_nothing(system: System) -> None:
    taken = await system.report()
    async with system.api_on(system.temporal, now=lambda: now() + timedelta(seconds=5)) as client:
        async with asyncio.timeout(90):
            while (await client.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.01)
        headers = {**system.staff, "Idempotency-Key": str(uuid.uuid4())}
        assert (await client.post(f"/v1/issues/{taken['id']}/commands/accept", headers=headers)).status_code == 503
        assert (await client.post("/v1/issues", json=REPORT, headers=headers)).status_code == 503


async def test_two_api_processes_give_the_same_names(system: System) -> None:
    key = str(uuid.uuid4())
    taken = await system.report(key=key)
    async with system.api_on(system.temporal) as client:
        again = (await client.post("/v1/issues", json=REPORT, headers={"Idempotency-Key": key})).json()
        assert (again["id"], again["tracking_code"]) == (taken["id"], taken["tracking_code"])


@asynccontextmanager
async def another_process(system: System) -> AsyncIterator[Again]:
    """An API that shares nothing with the system's but Temporal and the database."""
    database = Database(system.url)
    async with system.api_on(system.temporal, database=database) as client:
        yield client
    await database.close()


async def receipt(client: httpx.AsyncClient, command: str, headers: dict[str, str]) -> dict[str, object]:
    answer = await client.get(f"/v1/commands/{command}", headers=headers)
    return {"status": answer.status_code, **answer.json()}


async def settled_receipt(system: System, command: str, headers: dict[str, str]) -> dict[str, object]:
    answer = await system.until(f"/v1/commands/{command}", headers, lambda body: body["outcome"] != "queued")
    return answer.body


async def test_while_rows_are_late_no_process_is_ahead_of_the_others(system: System, known: dict[str, str]) -> None:
    path, key = f"/v1/issues/{known['id']}", str(uuid.uuid4())
    async with another_process(system) as other:
        accept, headers = f"{path}/commands/accept", {**system.staff, "Idempotency-Key": key}

        async with away(system.url):
            given = await system.send(known["id"], "accept", system.staff, key)
            again = await system.send(known["id"], "accept", system.staff, key)
            read = await other.get(path, headers=system.staff)
            assert (given.status, again.status, read.json()["version"]) == (202, 202, 2)
            reused = await other.post(accept, json={"note": "?"}, headers=headers)
            assert reused.status_code == 202, "it cannot know yet that the key was used"
        answer = await system.give(known["id"], "accept", system.staff, key)
        read = await other.get(path, headers=system.staff)
        assert read.json()["version"] >= answer["issue"]["version"] >= 3
        said = [await other.command(accept, headers, json=body) for body in ({}, {"note": "?"})]
        assert [each.status_code for each in said] == [200, 422]


async def test_what_is_queued_is_known_to_every_process(known: dict[str, str], idle: System) -> None:
    key = str(uuid.uuid4())
    queued = await idle.send(known["id"], "comment", idle.staff, key, text="one")
    assert queued.status == 202
    async with another_process(idle) as other:
        found = await receipt(other, queued["command_id"], idle.staff)
        assert (found["status"], found["outcome"]) == (200, "queued")
        foreign = await receipt(other, queued["command_id"], idle.token("op1", "property", "other-property"))
        assert foreign["status"] == 404
        path, headers = f"/v1/issues/{known['id']}/commands", {**idle.staff, "Idempotency-Key": key}
        for name, body in (("comment", {"text": "two"}), ("accept", {})):
            reused = await other.post(f"{path}/{name}", json=body, headers=headers)
            assert (reused.status_code, reused.json()["type"]) == (422, "/problems/idempotency-key-reused")
        again = await other.post(f"{path}/comment", json={"text": "one"}, headers=headers)
        assert (again.status_code, again.json()["command_id"]) == (202, queued["command_id"])
    await idle.start_worker()
    assert (await settled_receipt(idle, queued["command_id"], idle.staff))["outcome"] == "applied"
    async with another_process(idle) as other:
        assert (await receipt(other, queued["command_id"], idle.staff))["outcome"] == "applied"


async def test_a_queued_merge_is_remembered(system: System) -> None:
    older, younger = await settled(system), await settled(system)
    await system.stop_worker()
    key = str(uuid.uuid4())
    queued = await system.send(younger["id"], "merge", system.community, key, into=older["id"])
    assert queued.status == 202
    async with another_process(system) as other:
        assert (await receipt(other, queued["command_id"], system.community))["outcome"] == "queued"
    reused = await system.send(younger["id"], "comment", system.community, key, text="x")
    assert (reused.status, reused["type"]) == (422, "/problems/idempotency-key-reused")
    await system.start_worker()
    assert (await settled_receipt(system, queued["command_id"], system.community))["outcome"] == "applied"
    merged = await system.give(younger["id"], "merge", system.community, key, into=older["id"])
    assert (merged.status, merged["command_id"]) == (200, queued["command_id"])
    assert merged["issue"]["merged_into"] == older["id"]


async def test_a_merge_that_the_older_issue_refuses_reads_as_refused(system: System) -> None:
    older, younger = await settled(system), await settled(system)
    await system.stop_worker()
    assert (await system.send(older["id"], "withdraw", {"X-Tracking-Code": older["code"]})).status == 202
    queued = await system.send(younger["id"], "merge", system.community, into=older["id"])
    assert queued.status == 202
    await system.start_worker()
    refused = await settled_receipt(system, queued["command_id"], system.community)
    assert (refused["outcome"], refused["code"]) == ("refused", "closed")


async def answers_to(system: System, issue: str, headers: dict[str, str]) -> list[tuple[int, object]]:
    path = f"/v1/issues/{issue}"
    asked: list[Answer] = await asyncio.gather(
        *(system.get(each, headers) for each in (path, f"{path}/next", f"{path}/timeline")),
        system.send(issue, "accept", headers),
        system.report(headers, compound="other", follows=issue),
    )
    return [(each.status, each.body) for each in asked]


@pytest.mark.parametrize("state", ["whole", "without SQL", "without a worker", "without a worker, not in SQL yet"])
async def test_a_foreign_issue_cannot_be_told_from_none(system: System, state: str) -> None:
    foreign = (await settled(system))["id"]
    stranger = system.token("op1", "property", "other-property")
    stack = AsyncExitStack()
    try:
        if state == "without SQL":
            await stack.enter_async_context(system.without_sql())
        elif state.startswith("without a worker"):
            await system.stop_worker()
        if state.endswith("not in SQL yet"):
            foreign = (await system.report())["id"]
        found, none = await answers_to(system, foreign, stranger), await answers_to(system, "a" * 26, stranger)
        assert found == none
        assert {status for status, _ in found} == ({503} if state == "without SQL" else {404, 422})
    finally:
        await stack.aclose()
        await system.until("/v1/issues", stranger, lambda body: True)
        await system.start_worker()


async def test_a_request_has_one_patience_and_keeps_its_time(
    known: dict[str, str], idle: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the task that answers a request: a busy machine answers 503, and the client asks again.
    snapshot, asked, moments = TemporalGateway.snapshot, defaultdict[Any, float](float), []

    async def noted(self: TemporalGateway, issue: str, timeout: float = 0.9) -> Issue | None:
        asked[asyncio.current_task()] += timeout
        moments.append(now())
        return await snapshot(self, issue, timeout)

    monkeypatch.setattr(TemporalGateway, "snapshot", noted)
    await idle.send(known["id"], "accept", idle.staff)
    queued = await idle.send(known["id"], "arrive", idle.staff, assessment="minor")  # the row says: not yet
    assert queued.status == 202
    assert asked
    assert all(0 < patience <= 1 for patience in asked.values())
    await idle.start_worker()
    await settled_receipt(idle, queued["command_id"], idle.staff)
    timeline = await idle.get(f"/v1/issues/{known['id']}/timeline", idle.staff)
    (arrived,) = [event for event in timeline["events"] if event["kind"] == "arrived"]
    assert parse_time(arrived["at"]) <= moments[0]


async def test_without_sql_an_issue_is_found_by_its_id_only(known: dict[str, str], broken: System) -> None:
    code = {"X-Tracking-Code": known["code"]}
    for name in (known["number"], "mine"):
        answer = await broken.get(f"/v1/issues/{name}", code)
        assert (answer.status, answer["type"]) == (503, "/problems/unavailable")
    assert (await broken.get(f"/v1/issues/{known['id']}", code))["id"] == known["id"]
