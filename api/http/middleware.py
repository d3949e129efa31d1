"""The outermost layer: counts and logs each request by its route, never by its ids, and answers what nobody foresaw.

It also tells browsers, with every answer, to do no more with it than it is meant for.
"""

import time
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import internal
from protocol.context import ADDRESS

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
"""Sent with every answer that does not say otherwise."""
_SECURE: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
"""Sent as well where the browser came by HTTPS, as this server or the proxy that it trusts says."""


class Meters:
    """What the API counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Histogram(
            "jiesu_http_seconds", "Time to answer", ("method", "route", "status"), registry=registry, buckets=_BUCKETS
        )
        self.commands = Counter(
            "jiesu_commands", "Commands by what became of them", ("command", "outcome"), registry=registry
        )


class Edge:
    """Middleware; see the module."""

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
    """The template of the route, so that neither a label nor a line holds anybody's id."""
    return getattr(scope.get("route"), "path", "unmatched")
