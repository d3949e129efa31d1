"""No page tells anybody what is not his: canaries in a report are looked for in every page, stream, address, cookie and log line.

The pages are those that the app has, so a new one is looked at without being named here.
"""

import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html import unescape

import httpx
import pytest
import pytest_asyncio
from fastapi import Request
from fastapi.routing import APIRoute
from sqlalchemy import select
from starlette.responses import Response

from db.tables import AccessRow
from pages.who import keep
from support.again import client_of
from support.browser import Browser, Site, site
from support.canary import Canaries
from support.planted import logged
from support.system import System, running_system

COMPOUND = "jinpen"
"""Under a policy that leaves time: nothing climbs meanwhile."""
READERS = {
    "handler": ("w1", "property", "jinpen-property"), "community": ("k1", "community", "jinpen-community"),
    "street": ("t1", "street", "cuiwei-street"),
}  # fmt: skip
"""Who may read what was reported there."""
STRANGERS = {
    "resident": ("r9", "resident", ""), "other company": ("w9", "property", "other-property"),
    "other community": ("k9", "community", "other-community"), "other street": ("t9", "street", "other-street"),
    "department": ("d9", "department", "cuiwei-enforcement"), "volunteer": ("v9", "volunteer", "demo-volunteers"),
    "auditor": ("u1", "auditor", "cuiwei-street"), "admin": ("m9", "admin", "cuiwei-street"),
}  # fmt: skip
PAGE = {"Accept-Language": "zh-CN", "Accept": "text/html"}
NO_PAGES = (
    "/v1/",
    "/session",
    "/oidc/",
    "/codec/",
    "/static/",
    "/problems/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi",
)


@dataclass
class Answered:
    """One answer: who asked for what, and all that came back."""

    who: str
    path: str
    status: int
    headers: httpx.Headers
    body: str

    @property
    def whole(self) -> bytes:
        return f"{self.headers.multi_items()}\n{self.body}".encode()


@dataclass
class Stage:
    """An issue with canaries, and every answer of every page to everybody."""

    system: System
    served: Site
    issue: str = ""
    code: str = ""
    canaries: Canaries = field(default_factory=Canaries)
    phone: str = ""
    answers: list[Answered] = field(default_factory=list[Answered])
    log: io.StringIO = field(default_factory=io.StringIO)

    def paths(self) -> list[str]:
        """The address of every page that the app has, with this issue and its place in it."""
        filled = {
            "issue": self.issue, "compound": COMPOUND, "building": "5", "digest": "0" * 64, "command": "accept",
            "code": "8J5ZC-0QK2M-VT7XD-3H9RA", "language": "zh", "operation": "issues", "path": "nothing-here",
        }  # fmt: skip
        found: list[str] = []
        for route in self.served.app.routes:
            if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and not route.path.startswith(NO_PAGES):
                found.append(re.sub(r"\{(\w+)(?::path)?\}", lambda name: filled[name[1]], route.path))
        return found

    async def ask(self, who: str, browser: httpx.AsyncClient, path: str) -> None:
        """Asks for a page, or for the beginning of a stream, and keeps the answer."""
        async with browser.stream("GET", path, headers=PAGE, timeout=60) as answer:
            body = ""
            if "event-stream" in answer.headers.get("content-type", ""):
                async for line in answer.aiter_lines():
                    body += f"{line}\n"
                    if line.startswith("event: clock"):
                        break
            else:
                body = (await answer.aread()).decode("utf-8", "replace")
            self.answers.append(Answered(who, path, answer.status_code, answer.headers, body))

    def of(self, *who: str) -> list[Answered]:
        return [each for each in self.answers if each.who in who]

    async def revealed(self) -> list[tuple[str, str, str]]:
        """Who was shown a phone number of this issue, or not, as the access log has it."""
        query = select(AccessRow.person, AccessRow.org, AccessRow.result)
        async with self.system.database.read() as session:
            rows = await session.execute(query.where(AccessRow.what == "phone", AccessRow.issue == self.issue))
            return [(person, org or "", result) for person, org, result in rows]


def hidden(html: str, mark: str) -> dict[str, str]:
    """The hidden fields of the form that holds this mark."""
    form = next(found for found in re.findall(r"<form.*?</form>", html, re.DOTALL) if mark in found)
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    log = io.StringIO()
    with logged(log):
        async with running_system(tmp_path_factory.mktemp("pages")) as system, site(system) as served:
            found = Stage(system, served, log=log)
            await play(found)
            yield found


async def play(stage: Stage) -> None:
    """A resident reports and urges by pages; then everybody asks for every page."""
    stage.phone = stage.canaries.phone("phone")
    async with stage.served.browser() as resident:
        await reported(stage, resident)
        for path in stage.paths():
            if not path.startswith("/t/"):
                await stage.ask("reporter", resident.http, path)
    for group in (READERS, STRANGERS):
        for who, (person, role, org) in group.items():
            async with stage.served.browser() as browser:
                await browser.sign_in(person, role, org)
                for path in stage.paths():
                    await stage.ask(who, browser.http, path)
    taken = await stage.system.report()
    async with stage.served.browser() as browser:
        for path in stage.paths():
            await stage.ask("nobody", browser.http, path)
        browser.http.cookies.set("jiesu-code", taken["tracking_code"])
        for path in stage.paths():
            await stage.ask("another code", browser.http, path)


async def reported(stage: Stage, resident: Browser) -> None:
    shown = await resident.http.get("/report", headers=PAGE, follow_redirects=True)
    fields = hidden(shown.text, 'id="report"')
    words = {
        "compound": COMPOUND, "building": "5", "where": f"501室 {stage.canaries.plant('where')}", "category": "leak",
        "description": f"厨房漏水 {stage.canaries.plant('description')}", "phone": stage.phone, "step": "send",
    }  # fmt: skip
    sent = await resident.http.post(str(shown.url), data={**fields, **words}, headers=PAGE)
    for _ in range(50):  # a busy machine: the form is sent again with the same key, as a browser would
        if sent.status_code == 303:
            break
        sent = await resident.http.post(str(shown.url), data={**fields, **words}, headers=PAGE)
    stage.answers.append(Answered("reporter", "/report", sent.status_code, sent.headers, sent.text))
    issue = re.search(r"/i/([0-9a-z-]+)", sent.headers["location"])
    assert issue is not None
    stage.issue = issue[1]
    told = await resident.http.get(f"/i/{stage.issue}/sent", headers=PAGE)
    code = re.search(r"[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3}", told.text)
    assert code is not None
    stage.code = code[0]
    key = {"X-Tracking-Code": stage.code}
    await stage.system.until(f"/v1/issues/{stage.issue}/timeline", key, lambda body: len(body["events"]) > 1)
    page = await resident.http.get(f"/i/{stage.issue}", headers=PAGE)
    form = hidden(page.text, f"/i/{stage.issue}/urge")
    urged = await resident.http.post(
        f"/i/{stage.issue}/urge", data={**form, "text": stage.canaries.plant("urge")}, headers=PAGE
    )
    stage.answers.append(Answered("reporter", f"/i/{stage.issue}/urge", urged.status_code, urged.headers, urged.text))
    await stage.system.until(
        f"/v1/issues/{stage.issue}/timeline", key, lambda body: body["events"][-1]["kind"] == "urged"
    )


def test_every_page_was_asked_for_and_what_is_looked_for_is_there(stage: Stage) -> None:
    assert len(stage.paths()) > 20
    for who in ("nobody", "another code", *READERS, *STRANGERS):
        assert {each.path for each in stage.of(who)} == set(stage.paths()), who
    own = b"".join(each.whole for each in stage.of("reporter"))
    assert {where.split(":")[0] for where in stage.canaries.found(own)} >= {"description", "urge"}
    for who in READERS:
        read = b"".join(each.whole for each in stage.of(who))
        assert {where.split(":")[0] for where in stage.canaries.found(read)} >= {"where", "description"}, who
    assert [each for each in stage.answers if each.status >= 500] == []


@pytest.mark.parametrize("who", ["nobody", "another code", *STRANGERS])
def test_strangers_find_no_word_name_phone_or_code_on_any_page_or_stream(stage: Stage, who: str) -> None:
    for each in stage.of(who):
        assert stage.canaries.found(each.whole) == [], each.path
        assert stage.code.encode() not in each.whole, each.path


@pytest.mark.check(11)
def test_a_page_for_everybody_shows_nobodys_words_to_those_who_may_read_them_either(stage: Stage) -> None:
    public = ("/board/", "/places", "/r/", "/docs", "/find", "/report/similar", "/people", "/qr/", "/sign-in")
    found = [each for each in stage.answers if each.path.startswith(public)]
    assert {each.path for each in found} >= {f"/board/{COMPOUND}", "/places", "/people", "/report/similar"}
    for each in found:
        assert stage.canaries.found(each.whole) == [], (each.who, each.path)
        assert stage.code.encode() not in each.whole, (each.who, each.path)


def test_no_address_no_cookie_of_staff_and_no_log_line_holds_anything_personal(stage: Stage) -> None:
    log = stage.log.getvalue()
    assert f"/i/{stage.issue}" not in log
    assert '"route":"/i/{issue}"' in log, "or nothing was logged"
    assert stage.canaries.found(log.encode()) == []
    assert stage.code not in log
    for each in stage.answers:
        location = each.headers.get("location", "")
        assert stage.canaries.found(location.encode()) == []
        assert stage.code not in location
        for cookie in each.headers.get_list("set-cookie"):
            assert stage.canaries.found(cookie.encode()) == []
            if stage.code in cookie:
                assert f"path=/i/{stage.issue}" in cookie.lower().replace("path=/I/", "path=/i/")
                assert "httponly" in cookie.lower()
                assert "samesite=lax" in cookie.lower()
                assert each.who == "reporter"


@pytest.mark.parametrize(("scheme", "is_secure"), [("https", True), ("http", False)])
def test_the_cookie_of_a_code_goes_over_tls_alone_where_there_is_any(scheme: str, is_secure: bool) -> None:
    answer = Response()
    request = Request({"type": "http", "scheme": scheme, "server": ("jiesu.example", 443), "path": "/", "headers": []})
    keep(request, answer, "abc", "8J5ZC-0QK2M-VT7XD-3H9RA")
    assert ("; secure" in answer.headers["set-cookie"].lower()) is is_secure


def test_no_page_lets_another_host_know_its_address(stage: Stage) -> None:
    pages = [each for each in stage.answers if each.headers.get("content-type", "").startswith("text/html")]
    assert pages
    for each in pages:
        assert each.headers["referrer-policy"] in ("same-origin", "no-referrer"), each.path
        assert each.headers["cache-control"] == "no-store", each.path
        assert not re.search(r"""(?:src|action)=["'](?:https?:)?//|<link[^>]+href=["'](?:https?:)?//""", each.body), (
            each.path
        )


def test_the_code_is_on_the_reporters_own_pages_alone(stage: Stage) -> None:
    holding = {(each.who, each.path) for each in stage.answers if stage.code in each.body}
    assert holding <= {("reporter", f"/i/{stage.issue}/sent"), ("reporter", "/me"), ("reporter", "/mine")}


async def test_a_whole_phone_number_is_on_no_page_that_was_only_looked_at(stage: Stage) -> None:
    for each in stage.of(*READERS):
        assert stage.phone not in each.body, (each.who, each.path)


async def reveal(stage: Stage, browser: Browser, issue: str) -> str:
    """What the page of this job shows after somebody has asked for the phone number, if it can be asked for."""
    page = (await browser.http.get(f"/work/{issue}", headers=PAGE)).text
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token is not None
    path = f"/work/{issue}/phone"
    assert (await browser.http.post(path, data={"token": "foreign"}, headers=PAGE)).status_code == 403
    shown = await browser.http.post(path, data={"token": token[1]}, headers=PAGE)
    assert shown.status_code == 200, shown.text
    return shown.text


@pytest.mark.check(11)
async def test_a_phone_that_a_page_reveals_is_on_record_as_by_the_api(stage: Stage) -> None:
    shown_to: list[str] = []
    async with client_of(stage.served.origin) as client:
        for who, (person, role, org) in READERS.items():
            before = await stage.revealed()
            async with stage.served.browser() as browser:
                await browser.sign_in(person, role, org)
                shown = [stage.phone in await reveal(stage, browser, stage.issue) for _ in range(2)]
            by_page = [result for name, *_, result in (await stage.revealed())[len(before) :] if name == person]
            colleague = stage.system.token(f"{person}-b", role, org)  # type: ignore[arg-type]
            answer = await client.get(f"/v1/issues/{stage.issue}/timeline", headers=colleague)
            by_api = [result for name, *_, result in (await stage.revealed())[len(before) :] if name != person]
            assert shown == [stage.phone in answer.text] * 2, who
            assert by_page == by_api == ["shown"] * shown[0], "a second look within ten minutes is the same one"
            shown_to += [who] * shown[0]
    assert "handler" in shown_to


async def test_the_limit_on_revealed_phones_holds_on_pages(stage: Stage) -> None:
    phone = stage.canaries.phone("other phone")
    other = (await stage.system.report(compound=COMPOUND, contact={"name": "", "phone": phone}))["id"]
    staff = stage.system.token("w2", "property", "jinpen-property")
    await stage.system.until(f"/v1/issues/{other}", staff, lambda _: True)
    async with site(stage.system, rates={"reveal": "1/hour"}) as limited, limited.browser() as browser:
        await browser.sign_in("w3", "property", "jinpen-property")
        assert phone in await reveal(stage, browser, other)
        assert stage.phone not in await reveal(stage, browser, stage.issue)
