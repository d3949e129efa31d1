"""`<script>`, `javascript:` and Markdown in texts stay text: in answers of the API and on Temporal's pages."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from domain.issue import Issue
from domain.place import Place
from domain.summary import details, escape, summary
from support.bare import Bare
from tests.domain.play import Stage, pack

HOSTILE = (
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](https://evil.example/p.png)", "<img src=x onerror=y>",
    "**bold** _it_ `code` ~~no~~", "# title", "> quote", "1. one", "- item", "| a | b |", "a\n\n---\n\nb", "&lt;b&gt; &amp;",
    "https://evil.example", "<https://evil.example>", "a@evil.example", "\\", "\\[x](y)", "```\ncode\n```", "    code", "a  \nb",
    "***", "[a]: https://evil.example", "[^1]", "$$x$$", ":smile:", "<!-- x -->", "&#60;script&#62;",
)  # fmt: skip


def rendered(text: str) -> str:
    """As a renderer makes a page of it that takes everything, raw HTML and bare links included."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def shown(page: str) -> str:
    """What a person reads on such a page."""
    return html.unescape(re.sub(r"</?p>|\n", "", page))


@pytest.mark.parametrize("text", HOSTILE)
def test_row_19_escaped_it_is_one_paragraph_of_the_same_characters(text: str) -> None:
    page = rendered("x " + escape(text))
    assert set(re.findall(r"<[^>]*>", page)) == {"<p>", "</p>"}
    assert shown(page) == "x " + text.replace("\n", " ")


@pytest.mark.parametrize("text", HOSTILE)
def test_row_19_summary_and_details_in_temporal_render_no_markup(text: str) -> None:
    line = text.replace("\n", " ")
    issue = Stage("demo", where=Place("garden", "elm", "north", "company-a", "company", name=line)).issue
    assert isinstance(issue, Issue)
    for found in (summary(issue), details(issue)):
        assert set(re.findall(r"<[^>]*>", rendered(found))) <= {"<p>", "</p>"}
    assert line in shown(rendered(summary(issue)))


async def test_row_19_answers_are_json_that_no_browser_takes_for_a_page(bare: Bare) -> None:
    paths = ("/v1/issues", "/v1/issues/%3Cscript%3E", "/<script>alert(1)</script>", "/problems/<script>", "/healthz")
    for path in paths:
        answer = await bare.client.get(path, headers=bare.staff, params={"q": "<script>alert(1)</script>"})
        assert answer.headers["content-type"] in ("application/json", "application/problem+json"), path
        assert answer.headers.get("x-content-type-options") == "nosniff"
        assert "default-src 'self'" in answer.headers.get("content-security-policy", "")
        assert b"<script>" not in answer.content
    hostile = {"compound": "demo", "category": "leak", "description": "x", "<script>alert(1)</script>": 1}
    answer = await bare.client.post("/v1/issues", json=hostile, headers={"Idempotency-Key": "x"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_row_19_the_texts_that_people_write_are_not_shown_there_at_all() -> None:
    stage = Stage(pack("demo"), location="3-501-secret")
    assert "secret" not in summary(stage.issue) + details(stage.issue)
