"""What every page has: its template, its language, its static files, and errors that are pages too."""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.types import Scope

from api.http.problems import problem_of, response
from pages.forms import by_script
from pages.who import Member, SignInNeeded
from protocol.context import LANGUAGE
from protocol.errors import ChooseRole, Invalid, NotFound, ProtocolError
from protocol.text_rules import unfit
from texts.catalogue import LANGUAGES, Language, named, preferred, say

LANGUAGE_COOKIE: Final = "jiesu-language"
_COMMENT: Final = re.compile(rb"^[ \t]*/\*.*?\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_INDENT: Final = re.compile(rb"^[ \t]+", re.MULTILINE)
_FOREVER: Final = "public, max-age=31536000, immutable"
_HEADERS: Final = {
    # Without a referrer Firefox and WebKit would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie",
}
_TEMPLATES: Final = Environment(
    loader=PackageLoader("pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def language_of(request: Request) -> Language:
    """The language that this browser chose on a page of ours, or else prefers; Chinese if neither says."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", ""), "zh")


def fragment(template: str, values: Mapping[str, Any]) -> str:
    """The HTML of a template, in the language of this request."""
    language = LANGUAGE.get()

    def text(key: str, **given: Any) -> str:
        return say("pages", key, language, given)

    def word(name: str) -> str:
        return named(name, language)

    return _TEMPLATES.get_template(template).render(values, t=text, word=word, language=language, static=address_of)


def page(template: str, status: int = 200, *, who: Member | None = None, **values: Any) -> HTMLResponse:
    """A whole page. Its header says `who` is signed in, and offers the pages of that role."""
    headers = {**_HEADERS, "Content-Language": LANGUAGE.get()}
    return HTMLResponse(fragment(template, {**values, "who": who}), status, headers)


def onwards(path: str) -> RedirectResponse:
    """Sends the browser on to another page of ours, which it is to GET."""
    return RedirectResponse(path, 303, _HEADERS)


def with_headers_of(error: ProtocolError, answer: Response) -> Response:
    """The page that shows this error, with the headers that go with it, such as when to send again."""
    answer.headers.update(problem_of(error).headers(error))
    return answer


class PageRoute(APIRoute):
    """A route whose answers, errors included, are in the language of its reader, and whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            LANGUAGE.set(language_of(request))
            try:
                # What no name of ours holds, such as NUL, PostgreSQL refuses as if it were down.
                if any(map(unfit, request.path_params.values())):
                    raise NotFound
                return await handle(request)
            except SignInNeeded as error:
                return _to_sign_in(request, error)
            except ChooseRole as error:
                is_shown = request.method == "GET"
                return onwards(f"/roles?{_next(request)}") if is_shown else failed(error)
            except ProtocolError as error:
                if by_script(request):
                    return response(error)
                return failed(error, getattr(request.state, "member", None))

        return handled


def _to_sign_in(request: Request, error: SignInNeeded) -> Response:
    """Sends the browser to where people sign in, and back afterwards.

    What was sent is answered there, so that a script does not take it for done: the page says that it was not.
    """
    answer: Response
    if request.method == "GET":
        answer = onwards(f"/sign-in?{_next(request)}")
    else:
        answer = page(
            "problem.html", 401, title=say("pages", "signed-out", LANGUAGE.get()), why="", faults=[], to="/sign-in"
        )
    if error.clearing:
        answer.headers.append("set-cookie", error.clearing)
    return answer


def _next(request: Request) -> str:
    """The address of this page, for the page that leads back to it."""
    query = f"?{request.url.query}" if request.url.query else ""
    return urlencode({"next": request.url.path + query})


def failed(error: ProtocolError, who: Member | None = None) -> HTMLResponse:
    """The page that says what went wrong, with the same status as the API's answer."""
    problem, language = problem_of(error), LANGUAGE.get()
    faults = error.errors(language) if isinstance(error, Invalid) else []
    why = "" if faults else error.told(language)
    if isinstance(error, NotFound) and not error.code:
        why = say("pages", "nothing-here", language)
    answer = page(
        "problem.html", problem.status, title=problem.titled(language), why=why, faults=faults, who=who, to="/"
    )
    if (after := getattr(error, "retry_after", None)) is not None:
        answer.headers["Retry-After"] = str(after)
    return answer


def router_of() -> APIRouter:
    """A router for pages. The OpenAPI document leaves pages out."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)


class _AnyAddress(PageRoute):
    """Matches whatever a browser shows to people; programs are told in JSON that there is nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepted = dict(scope.get("headers", ())).get(b"accept", b"")
        if b"text/html" not in accepted or scope["path"].startswith("/v1/"):
            return Match.NONE, {}
        return super().matches(scope)


nowhere: Final = APIRouter(route_class=_AnyAddress, include_in_schema=False)


@nowhere.get("/{path:path}")
async def nothing(path: str) -> Response:
    """The page at every address at which there is no other, so this router comes last."""
    del path
    raise NotFound


# Static files


@dataclass(frozen=True)
class _File:
    stamp: str
    data: bytes
    packed: bytes
    """The same by gzip: a file holds nothing of anybody, so packing it betrays nothing."""


def _bare(name: str, data: bytes) -> bytes:
    """A script or style without the comments that have lines of their own, and without indentation: a fifth less to load.

    So none of them may hold a text of several lines.
    """
    if not name.endswith((".js", ".css")):
        return data
    return _INDENT.sub(b"", _COMMENT.sub(b"", data))


@cache
def _files() -> Mapping[str, _File]:
    """Each static file, by name."""
    folder = resources.files("pages") / "static"
    found = {each.name: _bare(each.name, each.read_bytes()) for each in folder.iterdir() if each.is_file()}
    return {
        name: _File(hashlib.sha256(data).hexdigest()[:8], data, gzip.compress(data, 9, mtime=0))
        for name, data in found.items()
    }


def address_of(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return f"/static/{_files()[name].stamp}/{name}"


static: Final = router_of()


@static.get("/static/{stamp}/{name}")
async def file(stamp: str, name: str, request: Request) -> Response:
    """A static file. Its address holds a stamp of its content, so browsers may keep it for ever."""
    found = _files().get(name)
    if found is None or stamp != found.stamp:
        raise NotFound
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(found.data, media_type=kind + charset, headers=headers)
    return Response(found.packed, media_type=kind + charset, headers=headers | {"Content-Encoding": "gzip"})


@static.get("/favicon.ico")
async def icon() -> Response:
    """The icon of every page."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(_files()["icon.svg"].data, media_type="image/svg+xml", headers=headers)
