"""Pages for who writes programs: every route of the API, from its OpenAPI document, and every command, from its document."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from pages.markdown import html_of
from pages.reference import RouteText, by_tag, routes_of
from pages.shell import page, router_of
from protocol.context import LANGUAGE
from protocol.errors import NotFound
from texts.catalogue import Language

router: Final = router_of()

_COMMANDS: Final[Mapping[Language, str]] = {"zh": "commands.zh-CN.md", "en": "commands.md"}
_TO_THE_OTHER: Final = re.compile(r"^\[[^]]+\]\(commands[^)]*\)\n", re.MULTILINE)
"""The line that leads to the document in the other language, which each page has in its header."""


@cache
def _routes(app: FastAPI) -> dict[str, RouteText]:
    return routes_of(app.openapi())


@cache
def _commands(language: Language) -> str:
    text = (resources.files("pages") / "documents" / _COMMANDS[language]).read_text("utf-8")
    return html_of(_TO_THE_OTHER.sub("", text))


@router.get("/docs")
async def api(request: Request) -> Response:
    """All routes of the API, by what they are about."""
    app: FastAPI = request.app
    return page("docs.html", tags=by_tag(_routes(app)), about=html_of(app.description), md=html_of)


@router.get("/docs/commands")
async def commands() -> Response:
    """All commands: who may give each, when, with what, and what follows."""
    return page("document.html", body=_commands(LANGUAGE.get()))


@router.get("/docs/api/{operation}")
async def route(operation: str, request: Request) -> Response:
    """One route: its parameters, its body with an example, its answers and its problems."""
    found = _routes(request.app).get(operation)
    if found is None:
        raise NotFound
    return page("route.html", route=found, md=html_of)
