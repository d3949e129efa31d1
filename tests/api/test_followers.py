"""Neighbours with one problem: the second is merged or joins, sees and hears of each step, urges, rates, and goes on alone."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from db.tables import NoticeRow, OutboxRow
from support.completions import ANSWER
from support.system import Answer, System, running_system

SHARED = {"compound": "other", "category": "facility", "location": "6栋东侧路灯", "description": "路灯坏了"}
STAFF = ("op1", "property", "other-property")
CLERK = ("oc1", "community", "other-community")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory) -> AsyncIterator[System]:
    folder: Path = tmp_path_factory.mktemp("followers")
    async with running_system(folder) as running:
        yield running


def code(taken: Answer) -> dict[str, str]:
    return {"X-Tracking-Code": taken["tracking_code"]}


async def merged(system: System) -> tuple[Answer, Answer]:
    """Two reports of one lift by people without tokens, of which the second is merged into the first."""
    older = await system.report(
        compound="other", category="elevator", description="电梯停了", contact={"phone": "13800000001"}
    )
    younger = await system.report(compound="other", category="elevator", description="电梯坏了,我坐轮椅")
    answer = await system.give(younger["id"], "merge", system.token(*CLERK), into=older["id"])
    assert answer.status == 200, answer.body
    return older, younger


async def completed(system: System, issue: str) -> None:
    staff = system.token(*STAFF)
    for name, body in (
        ("accept", {"note": "对内"}), ("arrive", {"assessment": "minor"}),
        ("complete", {"kind": "explained", "answer": ANSWER, "note": "业主难缠"}),
    ):  # fmt: skip
        answer = await system.give(issue, name, staff, **body)
        assert answer.status == 200, (name, answer.body)


async def told(system: System, issue: str, voice: str) -> set[str]:
    """What the resident was notified of."""
    async with system.database.read() as session:
        rows = (await session.scalars(select(OutboxRow).where(OutboxRow.issue == issue, OutboxRow.to_reporter))).all()
    return {row.template for row in rows if row.payload.get("voice", "") == voice}


async def test_who_is_merged_goes_on_with_his_own_code(system: System) -> None:
    older, younger = await merged(system)
    own = await system.get(f"/v1/issues/{younger['id']}", code(younger))
    assert (own["closed"], own["merged_into"]) == (None, older["id"]), "he may object"
    survivor = await system.get(f"/v1/issues/{older['id']}", code(younger))
    assert (survivor.status, survivor["status"]) == (200, "dispatched")
    assert (await system.get(f"/v1/issues/{older['id']}/next", code(younger)))["org"] == "other-property"
    assert (await system.give(older["id"], "urge", code(younger), text="还没修")).status == 200
    gone = await system.give(older["id"], "withdraw", code(older), reason="我搬走了")
    assert (gone.status, gone["issue"]["closed"]) == (200, None)
    again = await system.get(f"/v1/commands/{gone['command_id']}", code(older))
    assert (again.status, again["outcome"]) == (200, "applied"), "who withdrew learns that it was done"
    assert (await system.give(older["id"], "urge", code(older))).status == 409
    await completed(system, older["id"])
    heard = await told(system, older["id"], "")
    assert {"withdrawn", "accepted", "arrived", "completed"} <= heard, "he decides, so he is told as the reporter"
    rated = await system.give(older["id"], "confirm", code(younger), outcome="solved", satisfaction="satisfied")
    assert (rated.status, rated["issue"]["closed"]) == (200, {"kind": "solved", "satisfaction": "satisfied"})


async def parted(system: System, older: Answer, younger: Answer) -> None:
    """The younger one goes on by itself, and the older one has let its resident go."""
    alone = await system.get(f"/v1/issues/{younger['id']}", code(younger))
    assert (alone["status"], alone["merged_into"], alone["closed"]) == ("dispatched", None, None)
    assert (await system.get(f"/v1/issues/{younger['id']}/next", code(younger)))["org"] == "other-property"
    assert (await system.give(younger["id"], "urge", code(younger), text="还没修")).status == 200
    await system.until(
        f"/v1/issues/{older['id']}/timeline", system.token(*CLERK), lambda body: body["events"][-1]["kind"] == "split"
    )
    assert (await system.give(older["id"], "urge", code(younger), text="还没修")).status == 409
    assert (await system.give(older["id"], "urge", code(older), text="还没修")).status == 200


async def test_who_is_merged_against_his_will_is_heard_above(system: System) -> None:
    older, younger = await merged(system)
    assert "merged" in await told(system, younger["id"], "")
    assert (await system.give(younger["id"], "object", code(younger), reason="是另一台电梯")).status == 200
    clerk, street = system.token(*CLERK), system.token("os1", "street", "other-street")
    ruling = {"what": "objection", "note": "两台电梯,请另办"}
    assert (await system.give(younger["id"], "grant", clerk, **ruling))["code"] == "rules-above"
    answer = await system.give(younger["id"], "grant", street, **ruling)
    assert answer.status == 200, answer.body
    await parted(system, older, younger)


async def test_two_neighbours_are_merged_and_split_again(system: System) -> None:
    older, younger = await merged(system)
    clerk = system.token(*CLERK)
    assert (await system.give(younger["id"], "split", code(younger), reason="是另一台"))["code"] == "not-yours"
    answer = await system.give(younger["id"], "split", clerk, reason="是另一台电梯")
    assert (answer.status, answer["issue"]["merged_into"]) == (200, None)
    await parted(system, older, younger)
    again = await system.give(younger["id"], "merge", clerk, into=older["id"])
    assert (again.status, again["code"]) == (409, "overruled"), "no clock stands still by merging in turns"


async def test_what_is_urgent_is_not_merged_into_what_is_not(system: System) -> None:
    older = await system.report(compound="other", category="elevator", description="电梯停了")
    younger = await system.report(compound="other", category="elevator", description="有人困在电梯里", urgent=True)
    answer = await system.give(younger["id"], "merge", system.token(*CLERK), into=older["id"])
    assert (answer.status, answer["code"]) == (409, "other-urgent")
    assert younger["id"] in answer["detail"]


async def test_neighbours_rate_while_the_reporter_decides(system: System) -> None:
    older, younger = await merged(system)
    await completed(system, older["id"])
    heard = await told(system, older["id"], f"merged-{younger['id']}")
    assert {"accepted", "arrived", "completed"} <= heard
    assert "merged" in await told(system, younger["id"], ""), "by his own"
    rated = await system.give(older["id"], "confirm", code(younger), outcome="solved", satisfaction="basically")
    assert (rated.status, rated["issue"]["closed"]) == (200, None)
    assert (
        await system.give(older["id"], "confirm", code(younger), outcome="solved", satisfaction="satisfied")
    ).status == 409
    closed = await system.give(older["id"], "confirm", code(older), outcome="solved", satisfaction="satisfied")
    assert closed["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    assert "closed" in await told(system, older["id"], f"merged-{younger['id']}")


async def joined(system: System, issue: str, headers: dict[str, str] | None = None, key: str | None = None) -> Answer:
    return await system.give(issue, "follow", headers or {}, key or str(uuid.uuid4()))


async def test_a_neighbour_finds_the_issue_and_joins_it(system: System) -> None:
    taken = await system.report(**SHARED, contact={"name": "张三", "phone": "13800000002"})
    await system.report(**{**SHARED, "location": "7栋东侧路灯"})
    await system.report(**{**SHARED, "location": "6栋2单元501"})
    wanted: dict[str, Any] = {"compound": "other", "category": "facility", "building": "6号楼"}
    found = await system.until("/v1/candidates", {}, bool, **wanted)
    assert [each["id"] for each in found.body] == [taken["id"]]
    assert set(found.body[0]) == {"id", "category", "building", "opened_at", "next"}
    key = str(uuid.uuid4())
    answer = await joined(system, taken["id"], key=key)
    mine = code(answer)
    assert (await joined(system, taken["id"], key=key))["tracking_code"] == answer["tracking_code"], (
        "the same once more"
    )
    assert (await joined(system, taken["id"]))["tracking_code"] != answer["tracking_code"]
    assert (await system.get(f"/v1/issues/{taken['id']}", mine)).status == 200
    assert (await system.give(taken["id"], "urge", mine, text="太黑了")).status == 200
    renewed = await system.give(taken["id"], "renew_code", mine)
    assert (await system.get(f"/v1/issues/{taken['id']}", mine)).status == 404
    mine = code(renewed)
    left = await system.give(taken["id"], "unfollow", mine)
    assert (await system.get(f"/v1/commands/{left['command_id']}", mine))["outcome"] == "applied"
    assert (await system.give(taken["id"], "urge", mine)).status == 409
    assert (await system.get(f"/v1/issues/{taken['id']}", code(taken))).status == 200


async def test_with_a_token_one_joins_once_and_rates(system: System) -> None:
    taken, resident = await system.report(**SHARED), system.token("r-follows", "resident")
    assert (await system.get(f"/v1/issues/{taken['id']}", resident)).status == 404
    assert (await joined(system, taken["id"], resident)).status == 200
    for who in (resident, code(taken)):
        again = await joined(system, taken["id"], who)
        assert (again["code"], again["reason"]) == (
            "hears-already", "whoever reported or follows the issue hears of it already",
        )  # fmt: skip
    await completed(system, taken["id"])
    nameless = await joined(system, taken["id"])
    rating = {"outcome": "solved", "satisfaction": "satisfied"}
    assert (await system.give(taken["id"], "confirm", code(nameless), **rating))["code"] == "rates-unverified"
    assert (await system.give(taken["id"], "confirm", resident, **rating)).status == 200


@pytest.mark.attack(1)
async def test_what_is_nobody_elses_business_looks_as_if_it_did_not_exist(system: System) -> None:
    for body in (
        {**SHARED, "location": "6栋2单元501"}, {**SHARED, "category": "dispute"}, {**SHARED, "about_operator": True},
    ):  # fmt: skip
        taken = await system.report(**body)
        for headers in ({}, system.token("r-stranger", "resident")):
            assert (await joined(system, taken["id"], headers)).status == 404
    taken = await system.report(**SHARED)
    assert (await joined(system, taken["id"], system.token("x", "community", "demo-community"))).status == 404
    assert (await system.get(f"/v1/issues/{taken['id']}")).status == 401


@pytest.mark.attack(1)
async def test_no_resident_reads_what_another_wrote(system: System) -> None:
    taken = await system.report(**SHARED, contact={"name": "张三", "phone": "13800000003"})
    mine = code(await joined(system, taken["id"]))
    await system.give(taken["id"], "urge", mine, text="我是李四")
    await system.give(taken["id"], "urge", code(taken), text="我是张三")
    await completed(system, taken["id"])
    by_follower = (await system.get(f"/v1/issues/{taken['id']}/timeline", mine)).body
    by_reporter = (await system.get(f"/v1/issues/{taken['id']}/timeline", code(taken))).body
    by_staff = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.token(*STAFF))).body
    for shown, seen, hidden in (
        (by_follower, ("我是李四", ANSWER), ("张三", "13800000003", "东侧", "坏了", "业主难缠", "对内", "anonymous")),
        (by_reporter, ("我是张三", ANSWER, "13800000003", "东侧", "业主难缠"), ("李四", "v-")),
        (by_staff, ("我是李四", "我是张三", ANSWER, "13800000003"), ()),
    ):
        text = str(shown)
        assert [word for word in seen if word not in text] == []
        assert [word for word in hidden if word in text] == []
    pictures = f"/v1/issues/{taken['id']}/attachments"
    assert (await system.get(pictures, mine)).body == {"items": []}


async def test_each_is_notified_by_a_notice_of_his_own(system: System) -> None:
    taken = await system.report(**SHARED)
    await joined(system, taken["id"], system.token("r-hears", "resident"))
    await system.give(taken["id"], "accept", system.token(*STAFF))

    async def delivered() -> list[NoticeRow]:
        async with system.database.read() as session:
            return list((await session.scalars(select(NoticeRow).where(NoticeRow.issue == taken["id"]))).all())

    rows = await delivered()
    async with asyncio.timeout(system.patience):
        while [row.template for row in rows].count("accepted") < 2:
            await asyncio.sleep(0.05)
            rows = await delivered()
    voices = {row.payload.get("voice", "") for row in rows if row.template == "accepted"}
    assert len(voices) == 2
    assert {row.to_org for row in rows if row.template == "followed"} == {"other-property"}


@pytest.mark.attack(1)
async def test_by_the_renewal_of_somebody_else_nobody_gets_a_code(system: System) -> None:
    taken = await system.report(**SHARED)
    stolen = code(taken)
    renewed = await system.give(taken["id"], "renew_code", stolen)
    thief = code(await joined(system, taken["id"]))
    own = await system.give(taken["id"], "renew_code", thief)
    asked = await system.get(f"/v1/commands/{own['command_id']}", stolen)
    assert asked.status == 404
    assert renewed["tracking_code"] not in str(asked.body)


@pytest.mark.attack(1)
async def test_who_reported_by_phone_and_in_which_house_no_neighbour_reads(system: System) -> None:
    phone = {"name": "张三", "phone": "13800000041"}
    taken = await system.report(system.token(*CLERK), **SHARED, channel="phone", contact=phone)
    mine = code(await joined(system, taken["id"]))
    first = (await system.get(f"/v1/issues/{taken['id']}/timeline", mine))["events"][0]["data"]
    assert (first["reporter"], first["building"]) == ("***", "***")


async def test_followers_use_up_no_limit_but_their_own(system: System) -> None:
    taken = await system.report(**SHARED)
    mine = code(await joined(system, taken["id"]))
    path = f"/v1/issues/{taken['id']}/commands/urge"
    async with system.api_on(system.temporal, rates={"issue": "3/minute"}) as client:

        async def urge(who: dict[str, str]) -> int:
            return (await client.post(path, json={}, headers={"Idempotency-Key": str(uuid.uuid4()), **who})).status_code

        assert 429 in [await urge(mine) for _ in range(5)]
        assert await urge(code(taken)) in (200, 202)
