"""The record of an issue holds all that the API tells its viewer, and no more."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
from starlette.responses import Response

import support.system
from api.dependencies import Use
from pages.record import record_of
from pages.routers import ROUTERS
from pages.shell import page, router_of
from pages.who import Signed
from protocol.reader import Reader, Timeline, VisibleIssue
from protocol.telling import told
from support.browser import Site, site
from support.system import System

alone = router_of()


@alone.get("/record/{issue}")
async def of_issue(issue: str, who: Signed, use: Use) -> Response:
    """The record without the page around it."""
    seen = await use.reader.readable(who.caller, issue, record=True)
    found = await told(seen, use.reader, use.access)
    return page("record.html", who=who, id=issue, record=await record_of(seen, use, found))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded(system: System) -> AsyncIterator[Site]:
    with mock.patch.object(support.system, "ROUTERS", (*ROUTERS, alone)):
        async with site(system) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def taken(system: System) -> Any:
    """An issue with a plan, and a wish that waits for the community."""
    found = await system.report(contact={"name": "住户", "phone": "13800000000"}, compound="jinpen")
    handler = system.token("p9", "property", "jinpen-property")
    later = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    for name, given in (
        ("accept", {"note": "马上到"}), ("plan", {"steps": [{"title": "换总阀", "due": later}]}),
        ("extend", {"reason": "配件未到"}),
    ):  # fmt: skip
        answer = await system.give(found["id"], name, handler, **given)
        assert answer.status == 200, answer.body
    return found


async def shown(embedded: Site, issue: str, role: str, org: str, language: str = "zh-CN") -> str:
    async with embedded.browser() as browser:
        await browser.sign_in("r1", role, org)
        answer = await browser.http.get(f"/record/{issue}", headers={"Accept-Language": language})
        assert answer.status_code == 200, answer.text
        return answer.text


async def test_an_officer_reads_what_is_due_what_was_promised_and_who_did_what(
    embedded: Site, system: System, taken: Any
) -> None:
    html = await shown(embedded, taken["id"], "community", "jinpen-community")
    for words in (
        "正在走的时限",
        "裁定延期",
        "等待裁定",
        "延期",
        "换总阀",
        "时间在谁手里",
        "马上到",
        "配件未到",
        "厨房漏水",
        "已签收",
    ):
        assert words in html, words
    body = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.token("r1", "street", "cuiwei-street"))).body
    assert html.count("<time") == len(body["events"]), "every event is told"
    for clause in body["clauses"]:
        assert clause["zh"] in html


async def test_it_is_told_in_english_too(embedded: Site, taken: Any) -> None:
    html = await shown(embedded, taken["id"], "street", "cuiwei-street", "en")
    assert "Waiting for a ruling" in html
    assert "Whose minutes" in html


async def test_who_may_not_read_words_reads_none(embedded: Site, taken: Any) -> None:
    html = await shown(embedded, taken["id"], "auditor", "cuiwei-street")
    for words in ("马上到", "配件未到", "换总阀", "厨房漏水", "13800000000", "住户"):
        assert words not in html
    assert "正在走的时限" in html


async def test_a_phone_is_shown_to_whom_the_rules_show_it_and_that_is_logged(
    embedded: Site, system: System, taken: Any
) -> None:
    assert "13800000000" not in await shown(embedded, taken["id"], "community", "jinpen-community")
    assert "13800000000" in await shown(embedded, taken["id"], "property", "jinpen-property")
    log = await system.get(f"/v1/access?issue={taken['id']}", system.token("a", "auditor", "cuiwei-street"))
    assert ("r1", "phone", "shown") in {(each["person"], each["what"], each["result"]) for each in log.body["items"]}


async def test_it_is_nobody_elses(embedded: Site, taken: Any) -> None:
    async with embedded.browser() as browser:
        await browser.sign_in("r1", "community", "other-community")
        assert (await browser.http.get(f"/record/{taken['id']}")).status_code == 404


async def test_the_page_of_a_job_reads_the_events_once(
    embedded: Site, taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = list[str](), Reader.timeline

    async def counted(reader: Reader, seen: VisibleIssue) -> Timeline:
        reads.append(seen.issue.id)
        return await read(reader, seen)

    monkeypatch.setattr(Reader, "timeline", counted)
    async with embedded.browser() as browser:
        await browser.sign_in("c5", "community", "jinpen-community")
        answer = await browser.http.get(f"/work/{taken['id']}", headers={"Accept-Language": "zh-CN"})
        assert (answer.status_code, "换总阀" in answer.text) == (200, True)
    assert reads == [taken["id"]]
