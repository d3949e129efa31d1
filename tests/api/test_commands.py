"""The command protocol over HTTP: at most one effect, the same answer to a repeat, no trace of a refusal."""

import asyncio
import uuid
from typing import Any

import pytest

from api.http import examples
from api.http.requests import COMMANDS
from security import ids
from support.system import Answer, System


async def accepted(system: System, **body: Any) -> Answer:
    taken = await system.report(compound="other", **body)
    given = await system.give(taken["id"], "accept", other(system))
    assert given.status == 200
    return taken


def other(system: System) -> dict[str, str]:
    return system.token("op1", "property", "other-property")


def clerk(system: System) -> dict[str, str]:
    return system.token("oc1", "community", "other-community")


def own(taken: Answer) -> dict[str, str]:
    return {"X-Tracking-Code": taken["tracking_code"]}


async def kinds(system: System, taken: Answer) -> list[str]:
    return [event["kind"] for event in (await system.get(f"/v1/issues/{taken['id']}/timeline", own(taken)))["events"]]


@pytest.mark.attack(13)
async def test_a_repeat_takes_effect_once_and_gets_the_same_answer(system: System) -> None:
    taken = await system.report(compound="other")
    key = str(uuid.uuid4())
    answers = [await system.give(taken["id"], "accept", other(system), key, note="好") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert len({answer["command_id"] for answer in answers}) == 1
    assert (await kinds(system, taken)).count("accepted") == 1


async def test_repeats_at_the_same_moment_take_effect_once(system: System) -> None:
    taken = await system.report(compound="other")
    key = str(uuid.uuid4())
    answers = await asyncio.gather(
        *(system.give(taken["id"], "comment", other(system), key, text="x") for _ in range(6))
    )
    assert {answer.status for answer in answers} == {200}
    assert (await kinds(system, taken)).count("commented") == 1


@pytest.mark.attack(13)
async def test_another_body_under_the_key_is_refused(system: System) -> None:
    taken = await system.report(compound="other")
    key = str(uuid.uuid4())
    await system.give(taken["id"], "comment", other(system), key, text="one")
    reused = await system.give(taken["id"], "comment", other(system), key, text="two")
    assert (reused.status, reused["type"]) == (422, "/problems/idempotency-key-reused")
    assert (await system.give(taken["id"], "accept", other(system), key)).status == 422


@pytest.mark.attack(13)
async def test_a_command_key_used_by_another_person_finds_nothing(system: System) -> None:
    taken = await system.report(system.token("r-a", "resident"))
    key = str(uuid.uuid4())
    given = await system.give(taken["id"], "accept", system.staff, key, note="马上到")
    for stranger in (other(system), system.token("r-b", "resident")):
        assert (await system.send(taken["id"], "accept", stranger, key, note="马上到")).status == 404
        assert (await system.get(f"/v1/commands/{given['command_id']}", stranger)).status == 404
    colleague = system.token("p2", "property", "demo-property")
    late = await system.give(taken["id"], "accept", colleague, key, note="马上到")
    assert (late.status, late.body.get("code")) == (409, "lead-taken")  # a command of his own, and no repeat


async def test_out_of_order_is_refused_in_words_and_leaves_no_trace(system: System) -> None:
    taken = await system.report(compound="other")
    key = str(uuid.uuid4())
    answer = await system.give(taken["id"], "arrive", other(system), key, assessment="minor")
    assert (answer.status, answer["type"]) == (409, "/problems/refused")
    assert "accept" in answer["reason"]
    command = ids.command_id(taken["id"], "op1", "property", key)
    assert (await system.get(f"/v1/commands/{command}", other(system))).status == 404
    assert await kinds(system, taken) == ["reported", "dispatched"]


async def test_whoever_urges_a_sixth_time_in_an_hour_is_told_that_it_was_only_counted(system: System) -> None:
    taken = await accepted(system)
    *first, sixth = [await system.give(taken["id"], "urge", own(taken), text="快点") for _ in range(6)]
    assert all(answer.status == 200 and "code" not in answer.body for answer in first)
    assert (sixth.status, sixth["outcome"], sixth["code"]) == (200, "applied", "counted")
    assert "5 times within an hour" in sixth["reason"]
    receipt = await system.get(f"/v1/commands/{sixth['command_id']}", own(taken))
    assert (receipt["outcome"], receipt["code"], receipt["reason"]) == ("applied", "counted", sixth["reason"])
    timeline = await system.get(f"/v1/issues/{taken['id']}/timeline", own(taken))
    urged = [event["data"].get("counted_only", False) for event in timeline["events"] if event["kind"] == "urged"]
    assert urged == [False] * 5 + [True]
    # It takes nothing from those who do the work.
    assert (await system.give(taken["id"], "contact", other(system))).status == 200


async def test_what_is_not_for_this_role_is_refused(system: System) -> None:
    taken = await system.report(compound="other")
    answer = await system.give(taken["id"], "redispatch", other(system), handler="other-community", reason="x")
    assert (answer.status, answer["code"]) == (409, "not-yours")


async def test_a_foreign_issue_answers_like_a_missing_one(system: System) -> None:
    taken = await system.report()
    for headers in (
        other(system),
        clerk(system),
        system.token("os1", "street", "other-street"),
        own(await accepted(system)),
    ):
        foreign = [
            await system.give(taken["id"], "accept", headers),
            await system.get(f"/v1/issues/{taken['id']}", headers),
            await system.get(f"/v1/issues/{taken['id']}/timeline", headers),
            await system.get(f"/v1/issues/{taken['id']}/next", headers),
        ]
        none = await system.get("/v1/issues/" + "a" * 26, headers)
        assert {answer.status for answer in foreign} == {404}
        assert all(answer.body == none.body for answer in foreign)
    assert await kinds(system, taken) == ["reported", "dispatched"]


@pytest.mark.attack(14)
async def test_a_stale_version_comes_before_any_other_refusal(system: System) -> None:
    taken = await accepted(system)
    stale = await system.give(taken["id"], "arrive", {**other(system), "If-Match": '"2"'})
    assert (stale.status, stale["type"]) == (412, "/problems/stale")
    never = await system.give(
        taken["id"], "confirm", {**own(taken), "If-Match": '"1"'}, outcome="not", satisfaction="dissatisfied"
    )
    assert never.status == 412
    for unknown in ('W/"1"', '"x"', "1", '"1", "2"'):
        answer = await system.give(taken["id"], "arrive", {**other(system), "If-Match": unknown})
        assert answer.status == 412
    read = await system.get(f"/v1/issues/{taken['id']}", other(system))
    assert read["status"] == "accepted"
    fits = await system.give(taken["id"], "arrive", {**other(system), "If-Match": read.headers["etag"]})
    assert fits.status == 200
    assert fits.headers["etag"] == f'"{fits["issue"]["version"]}"'


async def test_an_etag_saves_reading_the_same_again(system: System) -> None:
    taken = await accepted(system)
    path = f"/v1/issues/{taken['id']}"
    tag = (await system.get(path, other(system))).headers["etag"]
    assert (await system.get(path, {**other(system), "If-None-Match": tag})).status == 304
    assert (await system.get(path, {**other(system), "If-None-Match": '"1"'})).status == 200


async def test_receipts_are_for_those_who_see_the_issue(system: System) -> None:
    taken = await system.report(compound="other")
    command = (await system.give(taken["id"], "accept", other(system)))["command_id"]
    for headers in (other(system), clerk(system), own(taken)):
        receipt = await system.get(f"/v1/commands/{command}", headers)
        assert (receipt.status, receipt["outcome"], receipt["command_id"]) == (200, "applied", command)
    assert (await system.get(f"/v1/commands/{command}", system.staff)).status == 404
    assert (await system.get(f"/v1/commands/{command}")).status == 401
    assert (await system.get("/v1/commands/nonsense", other(system))).status == 404


@pytest.mark.parametrize("path", ["/v1/issues/{}", "/v1/issues/{}/next", "/v1/issues/{}/timeline"])
async def test_without_credentials_nothing_is_read(system: System, path: str) -> None:
    taken = await system.report()
    answer = await system.get(path.format(taken["id"]))
    assert (answer.status, answer["type"]) == (401, "/problems/unauthenticated")


async def test_a_tracking_code_works_as_it_is_read_out(system: System) -> None:
    taken = await system.report()
    spoken = {"X-Tracking-Code": taken["tracking_code"].lower().replace("-", " ")}
    assert (await system.get(f"/v1/issues/{taken['id']}", spoken)).status == 200


async def test_no_key_no_command(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}/commands/accept"
    answer = await system.client.post(path, json={}, headers=system.staff)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/idempotency-key-missing")


async def test_a_command_without_content_needs_no_body(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}/commands/accept"
    answer = await system.client.command(path, {**system.staff, "Idempotency-Key": "k1"})
    assert answer.status_code == 200
    assert (await system.give(taken["id"], "no_such_command", system.staff)).status == 404


async def test_work_goes_only_to_organisations_of_the_street(system: System) -> None:
    taken = await system.report()
    answer = await system.give(taken["id"], "redispatch", system.community, handler="nowhere", reason="x")
    assert (answer.status, answer["errors"][0]["field"]) == (422, "handler")
    for foreign in ("other-property", "chengdong-enforcement"):
        answer = await system.give(taken["id"], "redispatch", system.community, handler=foreign, reason="x")
        assert (answer.status, answer["code"]) == (409, "works-elsewhere")
        assert foreign in answer["reason"]
    given = await system.give(
        taken["id"], "redispatch", system.community, handler="demo-enforcement", reason="需要执法"
    )
    assert (given.status, given["issue"]["handler"]) == (200, "demo-enforcement")
    officer = system.token("e1", "department", "demo-enforcement")
    assert (await system.give(taken["id"], "accept", officer)).status == 200


async def test_the_policy_changes_only_to_one_that_exists(system: System) -> None:
    taken = await system.report()
    admin = system.token("m1", "admin", "demo-street")
    assert (await system.give(taken["id"], "change_policy", admin, policy="none", reason="x")).status == 422
    changed = await system.give(taken["id"], "change_policy", admin, policy="12345", reason="转为热线件")
    assert (changed.status, changed["issue"]["policy"]["id"]) == (200, "12345")


async def test_a_calendar_that_cannot_be_is_refused_with_the_place(system: System) -> None:
    taken = await system.report()
    admin = system.token("m1", "admin", "demo-street")
    calendar = {"year": 2027, "version": 1, "off": ["2027-01-01", "2026-01-01"], "on": []}
    answer = await system.give(taken["id"], "calendar_published", admin, calendar=calendar)
    assert (answer.status, answer["errors"][0]["field"]) == (422, "calendar")
    assert "off[1]" in answer["errors"][0]["reason"]


async def test_the_younger_issue_merges_into_the_older(system: System) -> None:
    older, younger = await system.report(compound="other"), await system.report(compound="other")
    wrong = await system.give(older["id"], "merge", clerk(system), into=younger["id"])
    assert (wrong.status, wrong["type"]) == (409, "/problems/refused")
    assert (await system.give(younger["id"], "merge", clerk(system), into="nothing")).status == 422
    foreign = await system.report()
    assert (await system.give(younger["id"], "merge", clerk(system), into=foreign["id"])).status == 422
    assert (await system.give(younger["id"], "merge", other(system), into=older["id"])).status == 409

    key = str(uuid.uuid4())
    merged = await system.give(younger["id"], "merge", clerk(system), key, into=older["id"])
    assert (merged.status, merged["issue"]["merged_into"], merged["issue"]["closed"]) == (200, older["id"], None)
    assert "adopted" in await kinds(system, older)
    assert (await kinds(system, younger)).count("merged") == 1
    again = await system.give(younger["id"], "merge", clerk(system), key, into=older["id"])
    assert (again.status, again["command_id"]) == (200, merged["command_id"])


async def test_a_merge_is_refused_for_its_version_then_its_giver_then_its_order(system: System) -> None:
    older, younger = await system.report(compound="other"), await system.report(compound="other")
    stale = await system.give(older["id"], "merge", {**clerk(system), "If-Match": '"1"'}, into=younger["id"])
    assert stale.status == 412
    company = await system.give(older["id"], "merge", other(system), into=younger["id"])
    assert (company.status, company["code"]) == (409, "not-yours")
    wrong = await system.give(older["id"], "merge", clerk(system), into=younger["id"])
    assert (wrong.status, wrong["code"]) == (409, "older-takes-in")
    assert await kinds(system, younger) == ["reported", "dispatched"]


async def test_a_merge_has_a_key_and_a_receipt_like_any_command(system: System) -> None:
    older, younger = await system.report(compound="other"), await system.report(compound="other")
    key = str(uuid.uuid4())
    await system.give(younger["id"], "comment", clerk(system), key, text="x")
    reused = await system.give(younger["id"], "merge", clerk(system), key, into=older["id"])
    assert (reused.status, reused["type"]) == (422, "/problems/idempotency-key-reused")
    merged = await system.give(younger["id"], "merge", clerk(system), into=older["id"])
    receipt = await system.get(f"/v1/commands/{merged['command_id']}", clerk(system))
    assert (receipt.status, receipt["outcome"]) == (200, "applied")
    late = await system.give(
        younger["id"], "merge", system.token("oc2", "community", "other-community"), into=older["id"]
    )
    assert (late.status, late["code"]) == (409, "merged-first")


async def test_adopt_merges_the_younger_issue(system: System) -> None:
    older, younger = await system.report(compound="other"), await system.report(compound="other")
    assert (await system.give(younger["id"], "adopt", clerk(system), issue=older["id"])).status == 409
    assert (await system.give(older["id"], "adopt", clerk(system), issue=younger["id"])).status == 200
    read = await system.until(f"/v1/issues/{younger['id']}", own(younger), lambda body: body["merged_into"])
    assert (read["merged_into"], read["closed"]) == (older["id"], None), "its reporter may object"


async def test_a_closed_issue_refuses_commands(system: System) -> None:
    taken = await system.report(compound="other")
    await system.give(taken["id"], "withdraw", own(taken))
    late = await system.give(taken["id"], "accept", other(system))
    assert (late.status, late["code"]) == (409, "closed")


async def test_texts_are_masked_for_the_auditor(system: System) -> None:
    taken = await system.report(contact={"name": "王五", "phone": "13812348000"})
    auditor = system.token("a1", "auditor", "demo-street")
    shown = await system.client.get(f"/v1/issues/{taken['id']}/timeline", headers=auditor)
    assert shown.status_code == 200
    assert not any(secret in shown.text for secret in ("厨房", "3幢", "王五", "13812348000"))
    above = await system.client.get(f"/v1/issues/{taken['id']}/timeline", headers=system.street)
    assert "厨房漏水" in above.text
    assert "138****8000" in above.text


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_gets_an_expected_status_in_every_role(system: System, name: str) -> None:
    taken = await system.report(compound="other")
    body = examples.COMMANDS[name]
    allowed = {200, 409, 422} if name in ("adopt", "merge", "redispatch", "rule") else {200, 409}
    for headers in (own(taken), other(system), clerk(system), system.token("os1", "street", "other-street")):
        assert (await system.give(taken["id"], name, headers, nonsense=1)).status == 422
        answer = await system.give(taken["id"], name, headers, **body)
        assert answer.status in allowed, answer
        taken.body["tracking_code"] = answer.body.get("tracking_code", taken["tracking_code"])
    assert (await system.get(f"/v1/issues/{taken['id']}", own(taken))).status == 200
