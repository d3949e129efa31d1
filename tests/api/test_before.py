"""What is read of a closed issue in the one that takes it up, or only follows it: texts, pictures, and by whom."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from sqlalchemy import select

from db.directory import load_directory, store_directory
from db.tables import AccessRow
from domain.directory import Contract, Operator, Period
from domain.wire import truncate
from domain.worktime import SHANGHAI, Limit
from policies.loader import load_pack
from support.completions import ANSWER
from support.system import Answer, System, running_system

SHARED = {"category": "facility", "location": "6栋东侧路灯", "description": "路灯坏了,我是张三"}
PHONE = "13800000051"
AUDITOR = ("a1", "auditor", "demo-street")
Headers = dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system whose issues silence closes two seconds after their completion."""
    policy = load_pack("demo")
    quick = replace(policy, silence=replace(policy.silence, within=Limit(2, "s")))
    async with (
        running_system(tmp_path_factory.mktemp("before")) as running,
        running.api_on(running.temporal, policies={"demo": quick}) as client,
    ):
        running.client = client
        yield running


def code(taken: Answer) -> Headers:
    return {"X-Tracking-Code": taken["tracking_code"]}


async def report(system: System, headers: Headers | None = None, **body: Any) -> Answer:
    taken = await system.report(headers, **{**SHARED, "contact": {"name": "张三", "phone": PHONE}, **body})
    assert taken.status == 201, taken.body
    return taken


async def again(system: System, old: str, headers: Headers, **body: Any) -> Answer:
    """A report that names the old issue, with none of its words."""
    more = {"description": "还是黑的", "location": "", "contact": {}, "follows": old}
    return await report(system, headers, **{**more, **body})


async def picture(system: System, issue: str, who: Headers, shade: int) -> str:
    target = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, 0, 9)).save(target, "JPEG")
    path = f"/v1/issues/{issue}/attachments"
    added = await system.client.post(path, content=target.getvalue(), headers={**who, "Content-Type": "image/jpeg"})
    assert added.status_code == 201, added.text
    return added.json()["attachment"]


async def complete(system: System, issue: str, who: Headers) -> None:
    for name, body in (
        ("accept", {"note": "对内"}), ("arrive", {"assessment": "minor"}), ("complete", {"answer": ANSWER}),
    ):  # fmt: skip
        done = await system.give(issue, name, who, **body)
        assert done.status == 200, (name, done.body)


async def silent(system: System, issue: str, headers: Headers) -> None:
    """Until silence has closed the issue."""
    await system.until(f"/v1/issues/{issue}", headers, lambda body: body["closed"] is not None)


async def before(system: System, issue: str, who: Headers) -> list[dict[str, Any]]:
    found = await system.until(f"/v1/issues/{issue}/timeline", who, lambda body: body["events"])
    return found["before"]


async def opens(system: System, links: list[str], who: Headers) -> list[int]:
    return [(await system.client.get(link, headers=who)).status_code for link in links]


@dataclass
class Story:
    """A lamp that a resident reported and a neighbour follows; silence closed it, and each of them took it up."""

    old: Answer
    by_reporter: Answer
    by_follower: Answer
    pictures: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def story(system: System) -> Story:
    old = await report(system)
    joined = await system.give(old["id"], "follow", {})
    pictures = [await picture(system, old["id"], code(old), 1), await picture(system, old["id"], system.staff, 2)]
    assert (await system.give(old["id"], "urge", code(joined), text="我是李四")).status == 200
    await complete(system, old["id"], system.staff)
    await silent(system, old["id"], code(old))
    taken = [await again(system, old["id"], code(each), takes_up=True) for each in (old, joined)]
    return Story(old, taken[0], taken[1], pictures)


async def test_who_takes_it_up_reads_the_old_words_and_opens_the_old_pictures(system: System, story: Story) -> None:
    new, who = story.by_reporter["id"], code(story.by_reporter)
    (old,) = await before(system, new, who)
    assert (old["id"], old["number"]) == (story.old["id"], story.old["number"])
    assert [word for word in ("我是张三", "东侧路灯", ANSWER, PHONE) if word not in str(old)] == []
    assert "李四" not in str(old), "a neighbour's words are nobody else's"
    assert old["attachments"] == [f"/v1/issues/{new}/attachments/{each}" for each in story.pictures]
    assert await opens(system, old["attachments"], who) == [200, 200]


async def test_the_handler_of_the_new_one_reads_the_old_one_but_for_the_phone(system: System, story: Story) -> None:
    for taken in (story.by_reporter, story.by_follower):
        for staff in (system.staff, system.community):
            (old,) = await before(system, taken["id"], staff)
            assert [word for word in ("我是张三", "我是李四", "东侧路灯", ANSWER) if word not in str(old)] == []
            assert PHONE not in str(old)
            assert await opens(system, old["attachments"], staff) == [200, 200]


async def test_a_follower_who_takes_it_up_reads_no_more_than_he_did(system: System, story: Story) -> None:
    new, who = story.by_follower["id"], code(story.by_follower)
    (old,) = await before(system, new, who)
    assert [word for word in ("我是李四", ANSWER) if word not in str(old)] == []
    assert [word for word in ("张三", "东侧", "坏了", PHONE, "对内") if word in str(old)] == []
    assert old["attachments"] == []
    links = [f"/v1/issues/{new}/attachments/{each}" for each in story.pictures]
    assert await opens(system, links, who) == [404, 404]
    assert (await system.get(f"/v1/issues/{story.old['id']}/timeline", who)).status == 404


async def test_who_may_not_read_words_reads_none_here_either(system: System, story: Story) -> None:
    auditor = system.token(*AUDITOR)
    (old,) = await before(system, story.by_reporter["id"], auditor)
    assert [word for word in ("张三", "李四", "东侧", PHONE, ANSWER) if word in str(old)] == []
    links = [f"/v1/issues/{story.by_reporter['id']}/attachments/{each}" for each in story.pictures]
    assert (old["attachments"], await opens(system, links, auditor)) == ([], [404, 404])
    async with system.database.read() as session:
        read = set(await session.scalars(select(AccessRow.issue).where(AccessRow.person == AUDITOR[0])))
    assert {story.old["id"], story.by_reporter["id"]} <= read
    for stranger in (code(story.old), system.token("op1", "property", "other-property")):
        assert (await system.get(f"/v1/issues/{story.by_reporter['id']}/timeline", stranger)).status == 404
        assert await opens(system, links, stranger) == [404, 404]


async def test_what_was_taken_up_twice_is_shown_from_the_beginning(system: System, story: Story) -> None:
    first = story.by_reporter
    await complete(system, first["id"], system.staff)
    await silent(system, first["id"], code(first))
    second = await again(system, first["id"], code(first), takes_up=True, description="第三次了")
    for who in (code(second), system.staff):
        older = await before(system, second["id"], who)
        assert [each["id"] for each in older] == [first["id"], story.old["id"]]
        assert ("还是黑的" in str(older[0]), "我是张三" in str(older[1])) == (True, True)
        assert await opens(system, older[1]["attachments"], who) == [200, 200]


async def test_a_neighbour_who_joins_the_new_one_reads_of_the_old_one_what_everybody_was_told(
    system: System, story: Story
) -> None:
    new = await again(system, story.old["id"], code(story.old), takes_up=True, location=SHARED["location"])
    neighbour = code(await system.give(new["id"], "follow", {}))
    (old,) = await before(system, new["id"], neighbour)
    assert ANSWER in str(old)
    assert [word for word in ("张三", "李四", "东侧", "坏了", PHONE, "对内") if word in str(old)] == []
    links = [f"/v1/issues/{new['id']}/attachments/{each}" for each in story.pictures]
    assert (old["attachments"], await opens(system, links, neighbour)) == ([], [404, 404])


async def test_erased_words_are_shown_as_erased(system: System) -> None:
    old = await report(system)
    await picture(system, old["id"], code(old), 3)
    await complete(system, old["id"], system.staff)
    await silent(system, old["id"], code(old))
    new = await again(system, old["id"], code(old), takes_up=True)
    await system.keys.vault.erase(old["id"], "asked for", datetime.now(UTC))
    for who in (code(new), system.staff):
        (shown,) = await before(system, new["id"], who)
        assert shown["events"][0]["data"]["description"] == "[erased]"
        assert "张三" not in str(shown)
        assert await opens(system, shown["attachments"], who) == [404]


async def test_the_company_reads_no_complaint_about_itself_that_is_taken_up_without_saying_so(system: System) -> None:
    old = await report(system, about_operator=True)
    await complete(system, old["id"], system.community)
    await silent(system, old["id"], code(old))
    new = await again(system, old["id"], code(old), takes_up=True)
    assert (await system.get(f"/v1/issues/{new['id']}", system.staff)).status == 200
    assert await before(system, new["id"], system.staff) == []
    (shown,) = await before(system, new["id"], system.community)
    assert "我是张三" in str(shown)


async def test_after_a_contract_has_passed_the_new_company_reads_what_it_takes_over_and_nothing_else(
    system: System,
) -> None:
    """What is taken up goes on; what only came back is another issue, and the old one stays with whoever had it."""
    society, following = ("w1", "property", "demo-service-society"), system.token("n1", "property", "next-property")
    taken, gone = [await report(system, compound="demo-society") for _ in range(2)]
    await complete(system, taken["id"], system.token(*society))
    assert (await system.give(gone["id"], "withdraw", code(gone))).status == 200
    await silent(system, taken["id"], code(taken))
    await passes(system, "demo-society")
    back = await again(system, gone["id"], code(gone), compound="demo-society")
    async with asyncio.timeout(system.patience):  # until the API reads the new directory
        while (await system.get(f"/v1/issues/{back['id']}", following)).status != 200:
            await asyncio.sleep(0.2)
            back = await again(system, gone["id"], code(gone), compound="demo-society")
    goes_on = await again(system, taken["id"], code(taken), compound="demo-society", takes_up=True)
    assert await before(system, back["id"], following) == []
    assert "我是张三" in str(await before(system, goes_on["id"], following))
    for new in (back, goes_on):
        assert "我是张三" in str(await before(system, new["id"], code(new)))
        assert "我是张三" in str(await before(system, new["id"], system.community))
        left = await system.get(f"/v1/issues/{new['id']}/timeline", system.token(*society))
        assert left.status == 404 or left["before"] == []
    for each in (back, goes_on):
        await complete(system, each["id"], following)
        await silent(system, each["id"], code(each))
    third = await again(system, back["id"], code(back), compound="demo-society", takes_up=True)
    assert [each["id"] for each in await before(system, third["id"], following)] == [back["id"]]
    assert [each["id"] for each in await before(system, third["id"], code(third))] == [back["id"], gone["id"]]
    third = await again(system, goes_on["id"], code(goes_on), compound="demo-society")
    assert [each["id"] for each in await before(system, third["id"], following)] == [goes_on["id"], taken["id"]]


async def passes(system: System, compound: str) -> None:
    """From today on another company has the contract for the compound."""
    today = datetime.now(SHANGHAI).date()
    async with system.database.write() as session:
        known = await load_directory(session)
        kept = [each for each in known.contracts if each.compound != compound]
        ended = [replace(each, period=Period(None, today)) for each in known.contracts if each.compound == compound]
        contracts = (*kept, *ended, Contract("next-property", compound, Period(today)))
        operators = (*known.operators, Operator("next-property", "新来物业", "company"))
        changed = replace(known, operators=operators, contracts=contracts)
        await store_directory(session, changed, truncate(datetime.now(UTC)))
