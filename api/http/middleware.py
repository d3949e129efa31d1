"""The middleware around every route: `Edge`, the outermost, and `BodyLimit`.

`Edge` counts and logs each request under the template of its route, so without ids. It answers unexpected errors with a
bare 500 and adds security headers to every answer. `BodyLimit` refuses a body that is too large, is not JSON, is nested
too deeply or holds text that cannot be stored, before a route reads the body.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any, Final, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import TooLarge, internal, response
from protocol.context import ADDRESS
from protocol.errors import Invalid, ProtocolError
from protocol.text_rules import unfit

log: Final = structlog.stdlib.get_logger(__name__)

_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)  # fmt: skip
_HEADERS: Final = tuple(
    (name, value.encode())
    for name, value in (
        (b"content-security-policy", _POLICY),
        (b"x-content-type-options", "nosniff"),
        (b"referrer-policy", "no-referrer"),
        (b"permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        (b"cross-origin-opener-policy", "same-origin"),
        (b"cross-origin-resource-policy", "same-origin"),
        (b"cache-control", "no-store"),
    )
)
"""The headers of every answer. A header that an answer sets itself is left as it is."""
_SECURE: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
"""A further header, for answers to requests that came by HTTPS to this server or to the proxy that it trusts."""

MOST_BYTES: Final = 64 * 1024
DEEPEST: Final = 12
_UPLOADS: Final = re.compile(r"/v1/issues/[^/]+/attachments")
_FORMS: Final = "/oidc/token"
"""The path to which a form is sent, as RFC 6749 demands. Its body is not checked as JSON."""


class Meters:
    """The metrics of the API: how long requests took, and what became of commands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Histogram(
            "jiesu_http_seconds", "Time to answer", ("method", "route", "status"), registry=registry, buckets=_BUCKETS
        )
        self.commands = Counter(
            "jiesu_commands", "Commands by what became of them", ("command", "outcome"), registry=registry
        )


class Edge:
    """The outermost middleware: counts and logs requests, answers unexpected errors, adds security headers."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status: int | None = None
        headers_of_all = (*_HEADERS, _SECURE) if scope.get("scheme") == "https" else _HEADERS
        client = scope.get("client")
        ADDRESS.set(client[0] if client else "")

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                said = {name.lower() for name, _ in headers}
                headers.extend(header for header in headers_of_all if header[0] not in said)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if status is not None:  # half an answer is out already: the server has to cut it off
                raise
            await internal(error, scope["method"], _route(scope))(scope, receive, watched)
        finally:
            self._note(scope, status or 500, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope)
        self._meters.requests.labels(method, route, str(status)).observe(seconds)
        log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _route(scope: Scope) -> str:
    """The path template of the request's route. A template holds no id, so metrics and the log hold none either."""
    return getattr(scope.get("route"), "path", "unmatched")


class BodyLimit:
    """Middleware that reads the body, at most `MOST_BYTES`, checks that it is JSON, and passes it on to the route."""

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
    """Whether the request goes to the path to which pictures are uploaded.

    `BodyLimit` does not read the body of such a request: the upload route reads it after authenticating the caller,
    with a limit for pictures. The other methods of the path read no body.
    """
    return _UPLOADS.fullmatch(scope.get("path", "")) is not None


async def read_body(scope: Scope, receive: Receive, most: int = MOST_BYTES) -> bytes | None:
    """The request body; None if the caller has disconnected.

    Raises Invalid for a compressed body. Raises TooLarge as early as possible: by the announced length, or while the
    chunks arrive.
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
    """Checks a request body; an empty one passes.

    Raises Invalid for a body that is not JSON, repeats a key, is nested too deeply, or holds text that cannot be
    stored.
    """
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
    """A JSON object as a dict.

    Raises Invalid for a repeated key: JSON readers differ in which of the values they take.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid((name, "it is there more than once"))
        found[name] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _values(plain: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value and every key in a JSON document, each with the name of its field and its depth.

    The function works without recursion, and does not look below the depth `DEEPEST`.
    """
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
