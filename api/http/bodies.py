"""What a request may weigh, hold and ask, checked before anything is parsed into meaning.

64 KB, JSON, not nested deeply, and text that any database, log line or page can carry as it is.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import TooLarge, response
from protocol.errors import Invalid, ProtocolError

MOST_BYTES: Final = 64 * 1024
DEEPEST: Final = 12
_UPLOADS: Final = re.compile(r"/v1/issues/[^/]+/attachments")
_FORMS: Final = "/oidc/token"
"""Where the protocol demands a form (RFC 6749)."""
_HALF: Final = re.compile("[\ud800-\udfff]")
_SIGNS: Final = r"\u0000\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""NUL, and the characters that reorder what is read around them: the text would look like another one."""
_FORBIDDEN: Final = re.compile(f"[{_SIGNS}]")
FIT: Final = f"^[^{_SIGNS}]*$"
FILLED: Final = rf"^[^{_SIGNS}]*[^\s{_SIGNS}][^{_SIGNS}]*$"
"""The patterns of texts that can be taken, and that are not blank either, for the OpenAPI document."""


class BodyLimit:
    """Middleware: reads the whole body up to the limit, looks at it as plain JSON, then lets the app have it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(scope, receive)
            if body is None:  # the caller is gone
                return
            if scope.get("path") != _FORMS:
                check(body, _header(scope, b"content-type"))
        except ProtocolError as error:
            await response(error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


def _is_upload(scope: Scope) -> bool:
    """Whether a picture may come: its route reads it, with a limit of its own, once it is known who sends it.

    By other methods nothing is read there.
    """
    return _UPLOADS.fullmatch(scope.get("path", "")) is not None


async def read_body(scope: Scope, receive: Receive, most: int = MOST_BYTES) -> bytes | None:
    """The body, None if the caller is gone.

    TooLarge as soon as it is known to be, whether its length was announced or it comes in chunks.
    """
    if _header(scope, b"content-encoding") not in ("", "identity"):
        raise Invalid(("Content-Encoding", "send the body as it is"))
    announced = _header(scope, b"content-length")
    if announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(most: int) -> TooLarge:
    # What is left of the body stays unread, so the connection cannot be used again.
    return TooLarge(f"at most {most} bytes", closes=True)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "").strip().lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def check(body: bytes, content_type: str) -> None:
    """Raises Invalid for a body that is no JSON, says something twice, is nested too deeply, or holds unfit text."""
    if not body.strip():
        return
    if content_type.partition(";")[0].strip() != "application/json":
        raise Invalid(("Content-Type", "send application/json"))
    try:
        plain = json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise Invalid(("body", "it is not JSON in UTF-8")) from None
    for place, value, depth in _values(plain):
        if depth > DEEPEST:
            raise Invalid(("body", f"it is nested more than {DEEPEST} levels deep"))
        if isinstance(value, str) and (reason := unfit(value)):
            raise Invalid((place, reason))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; readers differ in which of two values under one name they take."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid((name, "it is there more than once"))
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _values(plain: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value and every key, with the name of its field and its depth; without recursion."""
    left: list[tuple[str, Any, int]] = [("body", plain, 0)]
    while left:
        place, value, depth = left.pop()
        yield place, value, depth
        if depth > DEEPEST:
            continue
        if isinstance(value, dict):
            for key, inner in cast("dict[str, Any]", value).items():
                yield "a field's name", key, depth
                left.append((key, inner, depth + 1))
        elif isinstance(value, list):
            left += [(place, inner, depth + 1) for inner in cast("list[Any]", value)]


def known_query(request: Request) -> None:
    """Refuses a question with a parameter that its route does not know, as unknown fields of a body are."""
    route = request.scope.get("route")
    if isinstance(route, APIRoute) and route.path.startswith("/v1/"):
        unknown = sorted(set(request.query_params) - _names(route.dependant))
        if unknown:
            raise Invalid(*((name, "there is no such parameter") for name in unknown))


def _names(dependant: Dependant) -> set[str]:
    found = {field.alias for field in dependant.query_params}
    return found.union(*(_names(each) for each in dependant.dependencies))


def unfit(text: str) -> str | None:
    """Why a text cannot be taken, None if it can: NUL, half a character, or signs that reorder what is read."""
    if _HALF.search(text):
        return "it holds half a character (a lone surrogate)"
    if _FORBIDDEN.search(text):
        return "NUL and bidirectional control characters are not allowed"
    return None
