"""An issue is found by its number or by the tracking code alone, however a keyboard types them, and by nobody else."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import pytest_asyncio
from sqlalchemy import delete

from db import outbox
from db.projector import INDEX
from db.tables import CodeRow, IssueRow
from support.system import Answer, System, running_system

WIDE = str.maketrans({chr(at): chr(at + 0xFEE0) for at in range(33, 127)})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("finding")) as running:
        yield running


def path(name: str, rest: str = "") -> str:
    return f"/v1/issues/{quote(name)}{rest}"


def code_of(taken: Answer) -> dict[str, str]:
    return {"X-Tracking-Code": taken["tracking_code"]}


async def stored(system: System, **body: object) -> Answer:
    """A report whose row is there, and with it its code."""
    taken = await system.report(**body)
    await system.until(path(taken["number"]), system.staff, lambda _: True)
    return taken


def ways(number: str) -> list[str]:
    return [
        number, number.lower(), number.replace("-", ""), number.translate(WIDE), number.replace("-", "—"), number.replace("-", "－") + "。",
        " " + number.replace("-", "\u00a0"), "\u202d" + number.replace("-", "\u2011") + "\u202c.",
    ]  # fmt: skip


async def test_staff_and_the_reporter_name_an_issue_by_its_number(system: System) -> None:
    taken = await stored(system)
    for way in ways(taken["number"]):
        for who in (system.staff, system.community, code_of(taken)):
            assert (await system.get(path(way), who))["id"] == taken["id"], way
    for rest in ("/next", "/timeline", "/attachments"):
        assert (await system.get(path(taken["number"], rest), code_of(taken))).status == 200
    assert (await system.give(quote(taken["number"]), "urge", code_of(taken))).status == 200
    assert (await system.give(quote(taken["number"].translate(WIDE)), "accept", system.staff)).status == 200


async def test_the_code_alone_opens_its_issue(system: System) -> None:
    taken, other = await stored(system), await stored(system)
    typed = taken["tracking_code"]
    for way in (
        typed,
        typed.lower(),
        typed.replace("-", ""),
        typed.replace("0", "O"),
        typed.translate(WIDE),
        typed.replace("-", "—"),
    ):
        found = await system.client.get(path("mine"), headers={"X-Tracking-Code": way.encode()})
        assert (found.status_code, found.json()["id"]) == (200, taken["id"]), way
    for rest in ("/next", "/timeline", "/attachments"):
        assert (await system.get(path("mine", rest), code_of(taken))).status == 200
    assert (await system.give("mine", "urge", code_of(taken)))["issue"]["id"] == taken["id"]
    assert (await system.get(path(other["number"]), code_of(taken))).status == 404
    assert (await system.get(path("mine"), {"X-Tracking-Code": "0" * 20})).status == 404
    assert (await system.get(path("mine"), system.staff)).status == 404
    assert (await system.get(path("mine"))).status == 401


async def test_a_renewed_code_finds_its_issue_and_the_old_one_opens_nothing(system: System) -> None:
    taken, key = await stored(system), str(uuid.uuid4())
    renewed = await system.give("mine", "renew_code", code_of(taken), key)
    assert (await system.get(path("mine"), {"X-Tracking-Code": renewed["tracking_code"]}))["id"] == taken["id"]
    assert (await system.get(path("mine"), code_of(taken))).status == 404
    again = await system.give("mine", "renew_code", code_of(taken), key)
    assert again["tracking_code"] == renewed["tracking_code"], "its answer was lost"


async def test_a_follower_finds_the_issue_by_a_code_of_his_own(system: System) -> None:
    taken = await stored(system, category="facility", description="3幢电梯坏了", location="3幢")
    joined = await system.give(taken["id"], "follow", {})
    assert (await system.get(path("mine"), {"X-Tracking-Code": joined["tracking_code"]}))["id"] == taken["id"]


async def test_who_may_not_see_an_issue_does_not_find_it_by_its_number(system: System) -> None:
    taken = await stored(system)
    stranger = system.token("somebody", "resident")
    for number in (taken["number"], "JS-00000-00000"):
        answer = await system.get(path(number), stranger)
        assert (answer.status, answer["type"]) == (404, "/problems/not-found")
    assert (await system.get(path(taken["number"]))).status == 401


async def test_a_number_of_two_issues_is_refused_to_who_sees_both(system: System) -> None:
    one, two = await stored(system), await stored(system)
    async with system.database.write() as session:
        (await session.get_one(IssueRow, two["id"])).number = one["number"]
    answer = await system.get(path(one["number"]), system.staff)
    assert (answer.status, answer["errors"][0]["field"]) == (422, "issue")
    for taken in (one, two):
        assert (await system.get(path(one["number"]), code_of(taken)))["id"] == taken["id"], "one sees one of them"


async def test_codes_of_stored_issues_are_put_in_by_the_job(system: System) -> None:
    taken = await stored(system)
    async with system.database.write() as session:
        await session.execute(delete(CodeRow).where(CodeRow.issue == taken["id"]))
    assert (await system.get(path("mine"), code_of(taken))).status == 404
    now = datetime.now(UTC)
    await system.database.transact(lambda session: outbox.request(session, taken["id"], INDEX, now))
    assert (await system.until(path("mine"), code_of(taken), lambda _: True))["id"] == taken["id"]


async def test_guesses_by_the_code_alone_are_counted(system: System) -> None:
    taken = await stored(system)
    async with system.api_on(system.temporal, rates={"code": "3/hour"}) as client:
        for number in range(3):
            answer = await client.get(path("mine"), headers={"X-Tracking-Code": f"00000-00000-00000-0000{number}"})
            assert answer.status_code == 404
        assert (await client.get(path("mine"), headers=code_of(taken))).status_code == 429
        assert (await client.get(path(taken["number"]), headers=code_of(taken))).status_code == 429
