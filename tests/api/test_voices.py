"""Who speaks and who judges, over HTTP: reports taken in for somebody, and raters of the handler's own side."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from activities.codes import CodeJobs
from activities.notices import UndeliveredError
from activities.sms import SmsWebhook
from db.directory import load_directory, store_directory
from db.outbox import Entry
from db.tables import OutboxRow
from domain.directory import Appointment
from domain.wire import truncate
from runtime.egress import EgressGuard
from security import ids
from support.completions import ANSWER
from support.receiver import receiver
from support.system import SECRET, Answer, System, running_system

CLERK_PHONE = "13700000001"
"""The private phone of somebody on the staff of the company, who lives in the compound."""
COMMUNITY_PHONE = "13700000002"
VOLUNTEER_PHONE = "13700000003"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("voices")) as running:
        async with running.database.write() as session:
            known = await load_directory(session)
            private = tuple(
                Appointment(person, role, org, phone=ids.phone_pseudonym(SECRET, f"+86{phone}"))
                for person, role, org, phone in (
                    ("p8", "property", "demo-property", CLERK_PHONE),
                    ("c8", "community", "demo-community", COMMUNITY_PHONE),
                    ("v8", "volunteer", "demo-volunteers", VOLUNTEER_PHONE),
                )
            )
            both = replace(known, appointments=(*known.appointments, *private))
            await store_directory(session, both, truncate(datetime.now(UTC)))
        yield running


def texts(system: System, phone: str) -> list[str]:
    if not system.texts.exists():
        return []
    lines = [json.loads(line) for line in system.texts.read_text("utf-8").splitlines()]
    return [line["text"] for line in lines if line["phone"] == f"+86{phone}"]


async def sent(system: System, phone: str, taken: Answer) -> dict[str, str]:
    """The header with the code that was texted to this phone for an issue."""
    async with asyncio.timeout(90):
        while not (found := [text for text in texts(system, phone) if taken["number"] in text]):
            await asyncio.sleep(0.05)
    return {"X-Tracking-Code": found[0].split("查询码 ")[1].split("。")[0]}


async def take_in(system: System, headers: dict[str, str], phone: str = "", **body: Any) -> Answer:
    contact = {"name": "住户", "phone": phone}
    return await system.report(headers, channel="phone", contact=contact, category="facility", **body)


async def complete(system: System, issue: str, who: dict[str, str] | None = None) -> None:
    for command, body in (("accept", {}), ("arrive", {"assessment": "minor"}), ("complete", {"answer": ANSWER})):
        done = await system.give(issue, command, who or system.staff, **body)
        assert done.status == 200, (command, done.body)


async def confirm(system: System, issue: str, headers: dict[str, str], outcome: str = "solved") -> Answer:
    satisfaction = "dissatisfied" if outcome == "not" else "satisfied"
    return await system.give(issue, "confirm", headers, outcome=outcome, satisfaction=satisfaction)


async def last(system: System, issue: str, kind: str) -> dict[str, Any]:
    events = (await system.get(f"/v1/issues/{issue}/timeline", system.community))["events"]
    return [event for event in events if event["kind"] == kind][-1]


# ------------------------------------------------------------------------------------------------------- who speaks


async def test_the_code_of_a_report_that_staff_take_in_goes_to_the_phone_only(system: System) -> None:
    taken = await take_in(system, system.staff, "13700000011")
    assert (taken.status, taken["tracking_code"], taken["told_by"]) == (201, None, "phone")
    code = await sent(system, "13700000011", taken)
    assert code["X-Tracking-Code"] not in json.dumps(taken.body)
    first = await last(system, taken["id"], "reported")
    assert first["data"]["taken_by"] == {"person": "p1", "role": "property", "org": "demo-property"}
    assert first["data"]["reporter"] != "p1"
    await complete(system, taken["id"])
    assert (await confirm(system, taken["id"], system.staff)).status == 409
    done = await confirm(system, taken["id"], code)
    assert (done.status, done["issue"]["closed"]) == (200, {"kind": "solved", "satisfaction": "satisfied"})


async def test_whoever_proves_the_phone_is_the_reporter(system: System) -> None:
    taken = await take_in(system, system.community, "13700000012")
    subject = ids.phone_subject(SECRET, "+8613700000012")
    assert (await system.get(f"/v1/issues/{taken['id']}", system.token(subject, "resident"))).status == 200
    assert (await system.get(f"/v1/issues/{taken['id']}", system.token("somebody", "resident"))).status == 404


@pytest.mark.parametrize(
    "way", ["\u202d１３７－0000－0031\u202c转801", "0086 137.0000.0031 分机 801", "+86—137—0000—0031#801"]
)
async def test_a_phone_is_the_same_however_it_is_typed(system: System, way: str) -> None:
    taken = await take_in(system, system.community, way)
    assert (taken.status, taken["told_by"]) == (201, "phone")
    await sent(system, "13700000031", taken)
    owner = system.token(ids.phone_subject(SECRET, "+8613700000031"), "resident")
    assert (await system.get(f"/v1/issues/{taken['id']}", owner)).status == 200
    first = await last(system, taken["id"], "reported")
    assert first["data"]["contact"]["phone"] == "137****0031"
    handler = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.staff))["events"]
    assert handler[0]["data"]["contact"]["phone"] == "13700000031 转801", "the extension stays as a note"


async def test_without_a_phone_it_goes_on_the_board_and_the_counter_speaks(system: System) -> None:
    taken = await take_in(system, system.community)
    assert (taken["tracking_code"], taken["told_by"]) == (None, "board")
    assert (await system.give(taken["id"], "urge", system.staff)).status == 409, "never the handler's"
    assert (await system.give(taken["id"], "urge", system.community, text="老人家问")).status == 200
    await complete(system, taken["id"])
    assert (await confirm(system, taken["id"], system.community)).status == 409, "nobody rates it"
    again = await system.give(taken["id"], "reopen", system.street, reason="还是不亮")
    assert (again.status, again["issue"]["status"]) == (200, "dispatched")
    assert (await last(system, taken["id"], "reopened"))["actor"]["role"] == "street"


async def test_where_no_text_can_be_sent_a_phone_is_as_none_and_the_answer_says_so(system: System) -> None:
    body = {
        "compound": "demo", "category": "facility", "description": "灯坏了", "channel": "phone",
        "contact": {"phone": "13700000013"},
    }  # fmt: skip
    key = {"Idempotency-Key": "6b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"}
    async with system.api_on(system.temporal, sms=None) as client:
        taken = (await client.post("/v1/issues", json=body, headers={**system.staff, **key})).json()
    assert (taken["tracking_code"], taken["told_by"]) == (None, "board")
    assert (await system.give(taken["id"], "urge", system.community)).status == 200
    landline = await take_in(system, system.staff, "021-55550000")
    assert landline["told_by"] == "board"


async def test_a_gateway_knows_the_attempts_at_one_text_by_their_id(system: System) -> None:
    one, other = [await take_in(system, system.staff, f"1370000002{n}") for n in range(2)]
    for n, taken in enumerate((one, other)):
        await sent(system, f"1370000002{n}", taken)

    async def job(issue: str) -> Entry:
        async with system.database.read() as session:
            wanted = (OutboxRow.issue == issue, OutboxRow.template == "send_code")
            row = await session.scalar(select(OutboxRow).where(*wanted))
        assert row is not None
        found = {each.name: getattr(row, each.name, None) for each in fields(Entry)}
        return Entry(**found | {"attempt": row.attempts, "lease": datetime.now(UTC)})

    async with receiver() as gateway:
        gateway.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        guard = EgressGuard([f"127.0.0.1:{gateway.port}"], local=True)
        sms = SmsWebhook(f"http://127.0.0.1:{gateway.port}/", b"secret", guard)
        jobs = CodeJobs(system.database, system.keys.vault, SECRET, sms)
        for issue in (one["id"], one["id"], other["id"]):
            with pytest.raises(UndeliveredError):
                await jobs.send_code(await job(issue))
        got = [json.loads(each.partition(b"\r\n\r\n")[2])["id"] for each in gateway.got]
    assert got[0] == got[1]
    assert got[2] != got[1]


@pytest.mark.parametrize("channel", ["staff", "phone", "visit", "hotline", "device"])
async def test_nobody_anonymous_is_staff(system: System, channel: str) -> None:
    refused = await system.report(channel=channel)
    assert (refused.status, refused["errors"][0]["field"]) == (422, "channel")


async def test_staff_say_how_the_resident_came_in(system: System) -> None:
    refused = await system.report(system.staff, channel="web")
    assert (refused.status, refused["errors"][0]["field"]) == (422, "channel")
    key = "7b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"
    taken = await system.report(system.staff, key)
    assert (await last(system, taken["id"], "reported"))["data"]["channel"] == "staff"
    assert (await system.report(system.staff, key))["id"] == taken["id"]


# ------------------------------------------------------------------------------------------------------- who judges


async def test_a_clerk_who_takes_in_a_report_for_a_private_phone_of_his_does_not_rate_it(system: System) -> None:
    clerk = system.token("p8", "property", "demo-property")
    taken = await take_in(system, clerk, CLERK_PHONE)
    code = await sent(system, CLERK_PHONE, taken)
    await complete(system, taken["id"])
    refused = await confirm(system, taken["id"], code)
    assert (refused.status, refused["code"]) == (409, "acted-here")
    heard = await confirm(system, taken["id"], code, "not")
    assert (heard.status, heard["issue"]["status"]) == (200, "dispatched"), "a word against one's own side is heard"


async def test_a_colleague_closes_but_is_not_counted(system: System) -> None:
    taken = await take_in(system, system.community, CLERK_PHONE)
    code = await sent(system, CLERK_PHONE, taken)
    await complete(system, taken["id"])
    done = await confirm(system, taken["id"], code)
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "not_rated"}
    said = (await last(system, taken["id"], "confirmed"))["data"]
    assert (said["counted"], said["because"]) == (False, "own_side")


async def test_an_officer_whose_own_roof_leaks_is_a_resident_where_the_community_did_not_act(system: System) -> None:
    taken = await take_in(system, system.street, COMMUNITY_PHONE)
    code = await sent(system, COMMUNITY_PHONE, taken)
    await complete(system, taken["id"])
    done = await confirm(system, taken["id"], code)
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}


async def test_a_volunteer_whose_own_roof_leaks_rates_the_company_and_not_the_volunteers(system: System) -> None:
    volunteers = system.token("v1", "volunteer", "demo-volunteers")
    for helped, closed in ((False, "satisfied"), (True, "not_rated")):
        taken = await take_in(system, system.community, VOLUNTEER_PHONE)
        code = await sent(system, VOLUNTEER_PHONE, taken)
        if helped:
            moved = await system.give(
                taken["id"], "redispatch", system.community, handler="demo-volunteers", reason="志愿者会修"
            )
            assert moved.status == 200
        await complete(system, taken["id"], volunteers if helped else None)
        done = await confirm(system, taken["id"], code)
        assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": closed}


async def test_by_a_token_under_the_name_of_the_staff_it_is_the_same(system: System) -> None:
    himself = system.token("p1", "resident")
    taken = await system.report(himself, category="facility")
    await complete(system, taken["id"])
    assert (await confirm(system, taken["id"], himself))["code"] == "acted-here"


async def nameless(system: System, phone: str) -> tuple[str, dict[str, str]]:
    """A report by web without a token, with a phone to call back."""
    taken = await system.report(category="facility", contact={"name": "住户", "phone": phone})
    return taken["id"], {"X-Tracking-Code": taken["tracking_code"]}


async def test_without_a_token_the_phone_to_call_back_tells_the_side(system: System) -> None:
    issue, code = await nameless(system, f"+86 {CLERK_PHONE}")
    await complete(system, issue)
    done = await confirm(system, issue, code)
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "not_rated"}
    said = (await last(system, issue, "confirmed"))["data"]
    assert (said["counted"], said["because"]) == (False, "own_side")


async def test_who_acted_does_not_rate_a_report_with_his_phone_to_call_back(system: System) -> None:
    issue, code = await nameless(system, CLERK_PHONE)
    await complete(system, issue, system.token("p8", "property", "demo-property"))
    refused = await confirm(system, issue, code)
    assert (refused.status, refused["code"]) == (409, "acted-here")
    heard = await confirm(system, issue, code, "not")
    assert (heard.status, heard["issue"]["status"]) == (200, "dispatched")


async def test_of_an_erased_report_there_is_nothing_to_compare(system: System) -> None:
    issue, code = await nameless(system, CLERK_PHONE)
    await complete(system, issue)
    await system.keys.vault.erase(issue, "asked for", datetime.now(UTC))
    done = await confirm(system, issue, code)
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}


async def test_whoever_was_merged_is_compared_by_the_phone_in_his_own_report(system: System) -> None:
    older, decides = await nameless(system, "13700000031")
    younger, code = await nameless(system, CLERK_PHONE)
    assert (await system.give(younger, "merge", system.community, into=older)).status == 200
    await complete(system, older)
    assert (await confirm(system, older, code)).status == 200
    assert (await last(system, older, "confirmed"))["data"]["because"] == "own_side"
    done = await confirm(system, older, decides)
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}


async def test_without_sql_the_report_stands_in_the_history(system: System) -> None:
    issue, code = await nameless(system, CLERK_PHONE)
    await complete(system, issue)
    async with system.without_sql():
        given = await system.send(
            issue, "confirm", code, "8b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85", outcome="solved", satisfaction="satisfied"
        )
        assert given.status in (200, 202), given.body
    done = await system.until(f"/v1/issues/{issue}", code, lambda body: body["closed"] is not None)
    assert done["closed"] == {"kind": "solved", "satisfaction": "not_rated"}


async def test_not_solved_is_not_the_end(system: System) -> None:
    taken = await system.report(category="facility")
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await complete(system, taken["id"])
    refused = await system.give(taken["id"], "confirm", code, outcome="not", satisfaction="satisfied")
    assert (refused.status, refused["code"]) == (409, "unsolved-satisfies")
    again = await confirm(system, taken["id"], code, "not")
    assert (again.status, again["issue"]["status"], again["issue"]["closed"]) == (200, "dispatched", None)


# ------------------------------------------------------------------------------------------- not solved is not the end


async def test_with_new_facts_what_came_back_climbs(system: System) -> None:
    taken = await system.report(category="facility")
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await complete(system, taken["id"])
    await confirm(system, taken["id"], code)
    plain = await system.report(code, category="facility", follows=taken["id"])
    assert (plain.status, plain["level"]) == (201, "property")
    news = await system.report(code, category="facility", follows=taken["id"], news="换过的灯又灭了")
    assert (news.status, news["level"]) == (201, "community")


async def test_what_silence_closed_is_taken_up_where_it_stood_and_nothing_else(system: System) -> None:
    taken = await system.report(category="facility")
    code = {"X-Tracking-Code": taken["tracking_code"]}
    await system.give(taken["id"], "escalate", system.staff, reason="要社区出面")
    await complete(system, taken["id"])
    early = await system.report(code, category="facility", follows=taken["id"], takes_up=True)
    assert (early.status, early["errors"][0]["field"]) == (422, "follows")
    await system.until(f"/v1/issues/{taken['id']}", code, lambda body: body["closed"] is not None, 120)
    again = await system.report(code, category="facility", follows=taken["id"], takes_up=True)
    assert (again.status, again["level"], again["handler"]) == (201, "community", "demo-property")
    done = await system.report(category="facility")
    own = {"X-Tracking-Code": done["tracking_code"]}
    await complete(system, done["id"])
    await confirm(system, done["id"], own)
    refused = await system.report(own, category="facility", follows=done["id"], takes_up=True)
    assert (refused.status, refused["errors"][0]["field"]) == (422, "takes_up")


async def test_who_objects_to_a_rejection_is_heard_above(system: System) -> None:
    taken = await system.report(category="facility")
    code = {"X-Tracking-Code": taken["tracking_code"]}
    rejected = await system.give(taken["id"], "reject", system.community, reason="不在本小区")
    assert (rejected["issue"]["status"], rejected["issue"]["closed"]) == ("completed", None)
    assert (await system.give(taken["id"], "object", code, reason="就在本小区")).status == 200
    assert (await system.give(taken["id"], "deny", system.community, what="objection", reason="不在")).status == 409
    undone = await system.give(taken["id"], "grant", system.street, what="objection", note="在,请办")
    assert (undone.status, undone["issue"]["status"]) == (200, "dispatched")


async def test_a_phone_under_which_one_organisation_takes_in_much_is_shown_to_the_lead(system: System) -> None:
    taken = [await take_in(system, system.staff, "13700000077") for _ in range(4)]
    path = f"/v1/issues/{taken[0]['id']}"
    await system.give(taken[0]["id"], "escalate", system.staff, reason="要社区出面")
    assert (await system.until(path, system.community, lambda body: body["taken_often"] is not None))[
        "taken_often"
    ] == 4
    assert (await system.get(path, system.street))["taken_often"] == 4
    code = await sent(system, "13700000077", taken[0])
    assert (await system.get(path, code))["taken_often"] is None
    assert (await system.get(path, system.staff))["taken_often"] is None, "the company that took them in does not lead"
    other = await take_in(system, system.community, "13700000077")
    assert (await system.get(f"/v1/issues/{other['id']}", system.street))["taken_often"] is None
