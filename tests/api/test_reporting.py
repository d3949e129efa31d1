"""Reporting: a repeat with the same key gets the same answer, another body under the key is refused."""

import asyncio
import uuid

import pytest

from support.system import System


def names(answer: object) -> tuple[str, str, str]:
    return answer["id"], answer["number"], answer["tracking_code"]  # type: ignore[index]


async def test_the_same_report_twice_is_one_issue_also_after_a_restart(system: System) -> None:
    key = str(uuid.uuid4())
    first = await system.report(key=key)
    again = await system.report(key=key.upper())
    assert (first.status, again.status) == (201, 201)
    assert names(first) == names(again)
    await system.give(first["id"], "accept", system.staff)
    await system.stop_api()
    await system.start_api()
    later = await system.report(key=key)
    assert names(later) == names(first)
    assert later["status"] == "accepted"  # today's state
    events = (await system.get(f"/v1/issues/{first['id']}/timeline", system.staff))["events"]
    assert [event["kind"] for event in events].count("reported") == 1


async def test_a_repeated_report_of_a_closed_issue_shows_how_it_closed(system: System) -> None:
    key = str(uuid.uuid4())
    first = await system.report(key=key)
    await system.give(first["id"], "withdraw", {"X-Tracking-Code": first["tracking_code"]})
    again = await system.report(key=key)
    assert names(again) == names(first)
    assert again["closed"]["kind"] == "withdrawn"


async def test_many_at_once_with_one_key_are_one_issue(system: System) -> None:
    key = str(uuid.uuid4())
    answers = await asyncio.gather(*(system.report(key=key) for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({names(answer) for answer in answers}) == 1


@pytest.mark.attack(13)
@pytest.mark.parametrize("change", [{"description": "另一件事"}, {"urgent": True}, {"compound": "other"}])
async def test_another_body_under_the_key_is_refused(system: System, change: dict[str, object]) -> None:
    key = str(uuid.uuid4())
    await system.report(key=key)
    other = await system.report(key=key, **change)
    assert (other.status, other["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.attack(13)
async def test_the_same_report_key_of_another_person_is_another_issue(system: System) -> None:
    key = str(uuid.uuid4())
    anonymous = await system.report(key=key)
    named = await system.report(system.token("r1", "resident"), key=key)
    assert names(anonymous) != names(named)
    assert names(await system.report(system.token("r1", "resident"), key=key)) == names(named)


async def test_without_a_key_nothing_is_taken_in(system: System) -> None:
    answer = await system.client.post("/v1/issues", json={"compound": "demo", "category": "leak", "description": "x"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/idempotency-key-missing")
    assert (await system.report(key="not-a-uuid")).status == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"compound": "nowhere"}, {"category": "weather"}, {"description": ""}, {"level": "street"}, {"id": "x"},
        {"actor": {"person": "p1"}}, {"description": "a\x00b"}, {"description": "x\u202ey"}, {"urgent": "yes"},
        {"follows": "nothing"},
    ],
)  # fmt: skip
async def test_a_wrong_report_names_its_fields(system: System, wrong: dict[str, object]) -> None:
    answer = await system.report(**wrong)
    assert (answer.status, answer["type"]) == (422, "/problems/invalid")
    assert answer["errors"]


async def test_a_wrong_token_is_never_taken_for_nobody(system: System) -> None:
    answer = await system.report({"Authorization": "Bearer nonsense"})
    assert (answer.status, answer["type"]) == (401, "/problems/unauthenticated")


async def test_staff_report_where_their_organisation_works(system: System) -> None:
    assert (await system.report(system.staff)).status == 201
    assert (await system.report(system.staff, compound="other")).status == 422
    assert (await system.report(system.street, compound="demo-society")).status == 201


async def test_without_a_contract_the_community_answers(system: System) -> None:
    taken = await system.report(compound="demo-unmanaged")
    assert (taken["level"], taken["handler"]) == ("community", "demo-community")


async def test_a_complaint_about_the_operator_is_hidden_from_it(system: System) -> None:
    taken = await system.report(about_operator=True)
    assert taken["level"] == "community"
    assert (await system.get(f"/v1/issues/{taken['id']}", system.staff)).status == 404
    assert (await system.get(f"/v1/issues/{taken['id']}", system.community)).status == 200


async def test_a_recurrence_follows_a_closed_issue_of_ones_own(system: System) -> None:
    old = await system.report()
    code = {"X-Tracking-Code": old["tracking_code"]}
    assert (await system.report(code, follows=old["id"])).status == 422  # still open
    await system.give(old["id"], "withdraw", code)
    assert (await system.report(follows=old["id"])).status == 422  # anybody
    assert (await system.report(code, follows=old["id"], compound="other")).status == 422
    again = await system.report(code, follows=old["id"])
    assert (again.status, again["level"]) == (201, "property"), "what was withdrawn does not climb by coming back"
