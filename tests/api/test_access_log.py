"""The access log: which accesses it records, and how auditors and administrators of a street read it."""

from datetime import UTC, datetime
from typing import get_args

import pytest
from sqlalchemy import select

from db.access_log import Entry, Result, put
from db.tables import AccessRow
from support.system import Answer, System

PHONE = "13812345678"
LOG = "/v1/access"


@pytest.fixture
def auditor(system: System) -> dict[str, str]:
    return system.token("a1", "auditor", "demo-street")


async def reported(system: System) -> Answer:
    taken = await system.report(contact={"name": "住户", "phone": PHONE})
    await system.until(f"/v1/issues/{taken['id']}/timeline", system.street, lambda body: body["events"])
    return taken


def lines(answer: Answer) -> list[tuple[str, str, str, str]]:
    return [(line["person"], line["role"], line["what"], line["result"]) for line in answer["items"]]


async def test_what_staff_see_is_found_by_issue_person_and_time(system: System, auditor: dict[str, str]) -> None:
    taken = await reported(system)
    timeline = f"/v1/issues/{taken['id']}/timeline"
    for person in ("log-1", "log-2"):
        for _ in range(2):
            assert PHONE in str((await system.get(timeline, system.token(person, "property", "demo-property"))).body)
    for headers in (auditor, system.token("m1", "admin", "demo-street")):
        found = await system.get(LOG, headers, issue=taken["id"])
        assert lines(found)[:2] == [("log-2", "property", "phone", "shown"), ("log-1", "property", "phone", "shown")]
        assert found["items"][0]["org"] == "demo-property"
        assert lines(await system.get(LOG, headers, issue=taken["id"], person="log-1")) == lines(found)[1:2]
        at = found["items"][0]["at"]
        assert ("log-2", "property", "phone", "shown") in lines(
            await system.get(LOG, headers, issue=taken["id"], **{"from": at})
        )
        assert ("log-2", "property", "phone", "shown") not in lines(
            await system.get(LOG, headers, issue=taken["id"], until=at)
        )
    page = await system.get(LOG, auditor, issue=taken["id"], limit=1)
    rest = await system.get(LOG, auditor, issue=taken["id"], limit=1, cursor=page["next_cursor"])
    assert lines(page) + lines(rest) == lines(await system.get(LOG, auditor, issue=taken["id"], limit=2))


@pytest.mark.parametrize("result", get_args(Result))
async def test_a_line_of_every_result_is_listed(system: System, auditor: dict[str, str], result: Result) -> None:
    issue = (await reported(system))["id"]
    line = Entry(datetime.now(UTC), "operator", "admin", None, None, "export", issue, result)
    await system.database.transact(lambda session: put(session, [line]))
    assert lines(await system.get(LOG, auditor, issue=issue))[0] == ("operator", "admin", "export", result)


async def test_a_word_that_is_too_long_is_counted_in_characters(system: System, auditor: dict[str, str]) -> None:
    answer = await system.get(LOG, auditor, person="x" * 201)
    assert (answer.status, answer["errors"][0]["field"]) == (422, "person")
    assert "200 characters" in str(answer["errors"][0])


async def test_it_is_for_auditors_and_administrators_of_the_street(system: System, auditor: dict[str, str]) -> None:
    taken = await reported(system)
    await system.get(f"/v1/issues/{taken['id']}/timeline", system.staff)
    for headers in (system.staff, system.community, system.street, system.token("r1", "resident")):
        assert (await system.get(LOG, headers)).status == 404
    assert (await system.get(LOG)).status == 401
    assert lines(await system.get(LOG, auditor, issue=taken["id"]))
    elsewhere = system.token("a2", "auditor", "other-street")
    assert (await system.get(LOG, elsewhere, issue=taken["id"])).body == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issue", "../x"), ("person", "\x00"), ("from", "yesterday"), ("until", "2027-01-01T00:00:00"), ("limit", "0"),
        ("limit", "201"), ("cursor", "x"), ("from", "0001-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
async def test_a_bad_question_is_named(system: System, auditor: dict[str, str], name: str, value: str) -> None:
    answer = await system.get(LOG, auditor, **{name: value})
    assert (answer.status, answer["errors"][0]["field"]) == (422, name)


async def test_what_was_turned_away_is_on_record_and_stays_so_without_the_database(
    system: System, auditor: dict[str, str]
) -> None:
    taken = await reported(system)
    stranger = system.token("log-3", "community", "other-community")
    async with system.api_on(system.temporal) as client:
        headers = {**stranger, "Idempotency-Key": "5b0c4f3e-5a52-4b5e-9d0e-2f6a4c1d7e85"}
        async with system.database.write() as session:  # nobody else can write meanwhile
            await session.execute(select(1))
            answer = await client.post(f"/v1/issues/{taken['id']}/commands/accept", json={}, headers=headers)
            assert answer.status_code == 404
    assert ("log-3", "community", "command.accept", "not-found") in lines(
        await system.get(LOG, auditor, issue=taken["id"])
    )


async def test_what_an_auditor_takes_away_is_limited(system: System) -> None:
    taker = system.token("log-4", "auditor", "demo-street")
    async with system.api_on(system.temporal, rates={"export": "1/hour"}) as client:
        answers = [await client.get("/v1/audit/mining", headers=taker) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    async with system.database.read() as session:
        rows = (await session.scalars(select(AccessRow).where(AccessRow.person == "log-4"))).all()
    assert [(row.what, row.issue, row.street, row.result) for row in rows] == [
        ("mining", None, "demo-street", "shown")
    ]  # fmt: skip
