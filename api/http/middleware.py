"""The middleware around every route: `Edge`, the outermost, and `BodyLimit`.

`Edge` counts and logs each request under the template of its route, so without ids. It answers unexpected errors with a
bare 500 and adds security headers to every answer. `BodyLimit` refuses a body that is too large, is not JSON, is nested
too deeply or holds text that cannot be stored, before a route reads the body.
"""

import asyncio
import re
import time
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import TooLarge, TooSlow, internal, response
from protocol.context import ADDRESS, LANGUAGE
from protocol.errors import Invalid, ProtocolError, Unavailable
from protocol.json_rules import check_json
from runtime.proxies import Proxies
from runtime.web import CROWDED
from texts.catalogue import Wrong, preferred

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

_STREAM: Final = b"text/event-stream"
MOST_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 30.0
SLOWEST: Final = 2 * 1024
"""Bytes a second that a picture must bring on average: one through a cellar at 3 kB/s does, a trickle does not."""
_UPLOADS: Final = re.compile(r"/v1/issues/[^/]+/attachments|/(?:i|work)/[^/]+/photo")
_SIGN_IN: Final = "/oidc/token"
"""The path to which a form is sent, as RFC 6749 demands. Its body is not checked."""
_PROGRAMS: Final = ("/v1/", "/session", "/codec/", "/oidc/")
"""Beginnings of the paths to which programs send JSON. Forms are sent to pages, which are all the others."""
FORM: Final = "application/x-www-form-urlencoded"


class Meters:
    """The metrics of the API: how long requests took, and what became of commands."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Histogram(
            "jiesu_http_seconds", "Time to answer", ("method", "route", "status"), registry=registry, buckets=_BUCKETS
        )
        self.commands = Counter(
            "jiesu_commands", "Commands by what became of them", ("command", "outcome"), registry=registry
        )


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer while there are more connections than may be open at a time."""
    answer = response(Unavailable("connections-many", retry_after=5))
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


class Edge:
    """The outermost middleware: counts and logs requests, answers unexpected errors, adds security headers."""

    def __init__(self, app: ASGIApp, meters: Meters, proxies: Proxies | None = None) -> None:
        self._app = app
        self._meters = meters
        self._proxies = proxies or Proxies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status: int | None = None
        is_stream = False
        address, scheme = self._proxies.origin((scope.get("client") or ("",))[0], scope["headers"])
        scope["client"], scope["scheme"] = (address, 0), scheme or scope.get("scheme")
        headers_of_all = (*_HEADERS, _SECURE) if scope["scheme"] == "https" else _HEADERS
        ADDRESS.set(address)
        LANGUAGE.set(preferred(_header(scope, b"accept-language"), "en"))

        async def watched(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                is_stream = any(value.startswith(_STREAM) for name, value in headers if name.lower() == b"content-type")
                said = {name.lower() for name, _ in headers}
                headers.extend(header for header in headers_of_all if header[0] not in said)
            await send(message)

        app = _crowded if scope.get("state", {}).get(CROWDED) and scope["path"] != "/healthz" else self._app
        try:
            await app(scope, receive, watched)
        except Exception as error:
            if status is not None:  # half an answer is out already: the server has to cut it off
                raise
            await internal(error, scope["method"], _route(scope))(scope, receive, watched)
        finally:
            self._note(scope, status or 500, time.perf_counter() - began, is_stream=is_stream)

    def _note(self, scope: Scope, status: int, seconds: float, *, is_stream: bool) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope)
        if is_stream:  # it lasts as long as somebody looks, which says nothing of this server
            log.info("stream_ends", route=route, status=status)
            return
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
            path, kind = scope.get("path", ""), _header(scope, b"content-type").partition(";")[0].strip()
            # A page checks the fields of its form itself, so that what is wrong with them is told on a page.
            if path != _SIGN_IN and (kind != FORM or path.startswith(_PROGRAMS)):
                check(body, kind)
        except ProtocolError as error:
            await response(error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


def _is_upload(scope: Scope) -> bool:
    """Whether the request goes to the path to which pictures are uploaded.

    `BodyLimit` does not read the body of such a request: the upload route reads it after authenticating the caller,
    with a limit for pictures. The other methods of the path read no body, and no form is a picture.
    """
    is_form = _header(scope, b"content-type").partition(";")[0].strip() == FORM
    return not is_form and _UPLOADS.fullmatch(scope.get("path", "")) is not None


async def read_body(scope: Scope, receive: Receive, most: int = MOST_BYTES) -> bytes | None:
    """The request body; None if the caller has disconnected.

    Raises Invalid for a compressed body. Raises TooLarge as early as possible: by the announced length, or while the
    chunks arrive. Raises TooSlow after BODY_SECONDS; where `most` allows pictures, one second more for
    each SLOWEST bytes that came.
    """
    if _header(scope, b"content-encoding") not in ("", "identity"):
        raise Invalid(("Content-Encoding", Wrong("encoded")))
    announced = _header(scope, b"content-length")
    if announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size, began = 0, asyncio.get_running_loop().time()
    try:
        while True:
            async with asyncio.timeout_at(began + _seconds(size, most)):
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
    except TimeoutError:
        raise TooSlow("body-late", size=size, seconds=round(_seconds(size, most))) from None


def _seconds(size: int, most: int) -> float:
    """How long a body may take of which so many bytes have come. Words are short: only pictures get longer."""
    return BODY_SECONDS + (size / SLOWEST if most > MOST_BYTES else 0)


def _too_large(most: int) -> TooLarge:
    # What is left of the body stays unread, so the connection cannot be used again.
    return TooLarge("most-bytes", closes=True, most=most)


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
        raise Invalid(("Content-Type", Wrong("send-json")))
    check_json(body)
