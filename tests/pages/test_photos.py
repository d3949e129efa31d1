"""Photos on the pages of an issue: a resident and staff add one and look at it; nobody else does either."""

import io
import re
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from PIL import Image

from support.browser import Browser, Site, site
from support.system import System


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(system: System) -> AsyncIterator[Site]:
    async with site(system) as running:
        yield running


def picture(colour: str = "red") -> bytes:
    found = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(found, "JPEG")
    return found.getvalue()


async def opened(browser: Browser, system: System) -> tuple[str, str]:
    """An issue that the browser has opened by its code, and the token of its page."""
    taken = await system.report()
    await system.until(f"/v1/issues/{taken['id']}", system.staff, lambda _: True)
    await browser.http.get(f"/t/{taken['id']}/{taken['tracking_code']}")
    shown = (await browser.http.get(f"/i/{taken['id']}")).text
    token = re.search(r'name="token" value="(\w+)"', shown)
    assert token is not None
    return taken["id"], token[1]


async def add(browser: Browser, path: str, token: str, data: bytes | None = None) -> httpx.Response:
    headers = {"Content-Type": "image/jpeg", "X-CSRF-Token": token, "Accept": "application/json"}
    return await browser.http.post(path, content=picture() if data is None else data, headers=headers)


async def test_a_resident_adds_a_photo_by_the_token_of_the_page_and_sees_it(served: Site, system: System) -> None:
    async with served.browser() as browser:
        issue, token = await opened(browser, system)
        first = await add(browser, f"/i/{issue}/photo", token)
        assert first.status_code == 201, first.text
        again = await add(browser, f"/i/{issue}/photo", token)
        assert again.json() == first.json(), "the same picture has the same name"
        digest = first.json()["attachment"]
        seen = await browser.http.get(f"/i/{issue}/photo/{digest}")
        assert (seen.status_code, seen.headers["content-type"]) == (200, "image/jpeg")
        assert "sandbox" in seen.headers["content-security-policy"]
        assert (await browser.http.get(f"/i/{issue}/photo/{'0' * 64}")).status_code == 404
        await system.until(
            f"/v1/issues/{issue}/timeline", system.staff,
            lambda body: [each["kind"] for each in body["events"]].count("attached") == 1,
        )  # fmt: skip
        assert f'src="/i/{issue}/photo/{digest}"' in (await browser.http.get(f"/i/{issue}")).text
    async with served.browser() as stranger:
        assert (await stranger.http.get(f"/i/{issue}/photo/{digest}")).status_code == 401


async def test_a_photo_that_no_page_of_ours_sends_is_refused(served: Site, system: System) -> None:
    async with served.browser() as browser:
        issue, token = await opened(browser, system)
        assert (await add(browser, f"/i/{issue}/photo", "")).status_code == 403
        assert (await add(browser, f"/i/{issue}/photo", token[::-1])).status_code == 403
        foreign = {"Content-Type": "image/jpeg", "X-CSRF-Token": token, "Origin": "http://evil.example"}
        answer = await browser.http.post(f"/i/{issue}/photo", content=picture(), headers=foreign)
        assert answer.status_code == 403


async def test_what_is_no_photo_is_refused_with_a_reason_for_the_script(served: Site, system: System) -> None:
    async with served.browser() as browser:
        issue, token = await opened(browser, system)
        answer = await add(browser, f"/i/{issue}/photo", token, b"no picture")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        large = await add(browser, f"/i/{issue}/photo", token, b"x" * (8 * 1024 * 1024 + 1))
        assert large.status_code == 413


async def test_staff_add_a_photo_by_the_token_of_the_session_and_see_those_of_their_issues(
    served: Site, system: System
) -> None:
    taken = await system.report()
    await system.until(f"/v1/issues/{taken['id']}", system.staff, lambda _: True)
    path = f"/work/{taken['id']}/photo"
    async with served.browser() as browser:
        await browser.sign_in("p1", "property", "demo-property")
        token = (await browser.csrf())["X-CSRF-Token"]
        assert (await add(browser, path, "")).status_code == 403
        added = await add(browser, path, token)
        assert added.status_code == 201, added.text
        assert (await browser.http.get(f"{path}/{added.json()['attachment']}")).status_code == 200
    async with served.browser() as other:
        await other.sign_in("o1", "property", "other-property")
        assert (await other.http.get(f"{path}/{added.json()['attachment']}")).status_code == 404
        assert (await add(other, path, (await other.csrf())["X-CSRF-Token"])).status_code == 404
    async with served.browser() as nobody:
        assert (await nobody.http.get(f"{path}/{added.json()['attachment']}")).status_code == 303
        assert (await add(nobody, path, "")).status_code == 401
