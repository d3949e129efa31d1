"""The API's documentation is a page of ours: complete, in both languages, and without anything from elsewhere."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from pages.reference import routes_of
from support.bare import Bare, bare_api

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bare]:
    async with bare_api(tmp_path_factory.mktemp("docs")) as found:
        yield found


async def shown(bare: Bare, path: str, language: str = "zh-CN") -> str:
    async with httpx.AsyncClient(base_url=bare.client.base_url, headers={"Accept-Language": language}) as browser:
        answer = await browser.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith("text/html")
        return answer.text


async def test_every_operation_of_the_document_is_listed_and_has_its_page(bare: Bare) -> None:
    document = bare.app.openapi()
    index = await shown(bare, "/docs")
    operations = [each for path in document["paths"].values() for each in path.values()]
    for operation in operations:
        assert f'href="/docs/api/{operation["operationId"]}"' in index
        html = await shown(bare, f"/docs/api/{operation['operationId']}")
        for parameter in operation.get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in html
        for status in operation["responses"]:
            assert f"<b>{status}</b>" in html or f"<h3>{status} " in html
        assert len(re.findall("<h1", html)) == 1
    assert len(routes_of(document)) == len(operations) > 50


async def test_a_route_shows_its_fields_examples_and_problems(bare: Bare) -> None:
    html = await shown(bare, "/docs/api/report", "en")
    assert "<code>description</code> <b>required</b>" in html
    assert "<code>contact.phone</code>" in html, "the fields of a part are told too"
    assert "厨房漏水" in html
    assert "idempotency-key-reused" in html
    assert "Credentials, one of: none needed" in html


async def test_nothing_comes_from_another_host_and_no_script_stands_in_the_page(bare: Bare) -> None:
    for path in ("/docs", "/docs/commands", "/docs/api/report", "/docs/api/accept"):
        html = await shown(bare, path)
        assert html.count("<script") == len(re.findall(r'<script src="/static/[^"]*" defer></script>', html))
        assert " style=" not in html
        for address in re.findall(r'(?:src|href)="([^"]+)"', html):
            assert address.startswith(("/", "#")), address


async def test_there_is_no_page_of_a_route_that_does_not_exist(bare: Bare) -> None:
    async with httpx.AsyncClient(base_url=bare.client.base_url) as browser:
        assert (await browser.get("/docs/api/nothing")).status_code == 404


@pytest.mark.parametrize(("language", "name"), [("zh-CN", "commands.zh-CN.md"), ("en", "commands.md")])
async def test_the_commands_page_is_the_document_with_headings_for_phones(bare: Bare, language: str, name: str) -> None:
    text, html = (DOCS / name).read_text("utf-8"), await shown(bare, "/docs/commands", language)
    named = re.findall(r"^\| \*\*`(\w+)`\*\*", text, re.MULTILINE)
    assert len(named) > 40
    for command in named:
        assert f"<strong><code>{command}</code></strong>" in html
    assert len(re.findall("<h1", html)) == 1
    heads = re.search(r"^\| (.+?) \| (.+?) \|", text, re.MULTILINE)
    assert heads is not None
    assert f'<td data-label="{heads[2]}">' in html
    assert ".md" not in html, "a link to what is no page is plain words"


def test_the_package_ships_the_documents() -> None:
    for name in ("commands.md", "commands.zh-CN.md"):
        shipped = DOCS.parent / "pages" / "documents" / name
        assert shipped.read_bytes() == (DOCS / name).read_bytes()
        assert f"!docs/{name}" in (DOCS.parent / ".dockerignore").read_text("utf-8").splitlines()
