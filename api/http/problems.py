"""Every answer that is no success: problem+json (RFC 9457) from one base error, through one handler."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

log: Final = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "/problems/"
"""Types are relative references: `GET` of one says what it means."""
_MOST_ERRORS: Final = 20
_LONGEST_FIELD: Final = 80


class Problem(Exception):
    """The base: what went wrong, with a status and a type that never change. The detail is for people."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail: Final = detail
        self.headers: Final = dict(headers or {})
        self.extra: Final = extra

    @property
    def body(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"type": PREFIX + self.type, "title": self.title, "status": self.status}
        if self.detail:
            plain["detail"] = self.detail
        return plain | self.extra

    @property
    def response(self) -> Response:
        # Escaped to ASCII: a detail may quote what came in, and that may be no Unicode text at all.
        content = json.dumps(self.body, separators=(",", ":")).encode()
        return Response(content, self.status, self.headers, MEDIA_TYPE)


class KeyMissing(Problem):
    status = 400
    type = "idempotency-key-missing"
    title = "The header Idempotency-Key is missing"


class Unauthenticated(Problem):
    """Without credentials, or with some that are not accepted; it is not said why."""

    status = 401
    type = "unauthenticated"
    title = "A valid bearer token or tracking code is needed"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="jiesu"'})


class Forbidden(Problem):
    """The caller is known and may never do this, whatever it concerns: an auditor writes nothing."""

    status = 403
    type = "forbidden"
    title = "This role may not do that"


class ChooseRole(Problem):
    """The caller holds several roles: which of them is meant, `X-Acting-Role` and `X-Acting-Org` say. They never add up."""

    status = 403
    type = "choose-role"
    title = "Say in which one of your roles you act"

    def __init__(self, ways: Iterable[tuple[str, str]]) -> None:
        found = [{"role": role, "org": org} for role, org in sorted(ways)]
        super().__init__("send X-Acting-Role and X-Acting-Org", roles=found)


class NotFound(Problem):
    """There is nothing here, or nothing that this caller may know of: both look the same."""

    status = 404
    type = "not-found"
    title = "There is no such thing here"


class MethodNotAllowed(Problem):
    status = 405
    type = "method-not-allowed"
    title = "This method does not apply here"


class Refused(Problem):
    """The rules refuse the command; `reason` says why in words, `code` in one word for programs."""

    status = 409
    type = "refused"
    title = "The command has no effect"

    def __init__(self, code: str, reason: str, **extra: Any) -> None:
        super().__init__(reason, code=code, reason=reason, **extra)


class Stale(Problem):
    status = 412
    type = "stale"
    title = "The issue has changed since it was read"


class TooLarge(Problem):
    status = 413
    type = "too-large"
    title = "The body is too large"


class Invalid(Problem):
    """The request cannot be understood; `errors` name each field and what is wrong with it, never its value."""

    status = 422
    type = "invalid"
    title = "The request is not valid"

    def __init__(self, *errors: tuple[str, str]) -> None:
        found = [(_printable(field), reason) for field, reason in errors[:_MOST_ERRORS]]
        detail = "; ".join(f"{field}: {reason}" if field else reason for field, reason in found)
        super().__init__(detail, errors=[{"field": field, "reason": reason} for field, reason in found])


class KeyReused(Problem):
    status = 422
    type = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"


class TooMany(Problem):
    """More requests in a minute than one subject may send; a repeat after `Retry-After` seconds is answered."""

    status = 429
    type = "too-many"
    title = "Too many requests"

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Unavailable(Problem):
    """A part that is needed does not answer; the same request may be sent again, with the same key."""

    status = 503
    type = "unavailable"
    title = "Not available at the moment"

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


TYPES: Final[Mapping[str, type[Problem]]] = {
    kind.type: kind
    for kind in (
        Problem, KeyMissing, Unauthenticated, Forbidden, ChooseRole, NotFound, MethodNotAllowed, Refused, Stale, TooLarge, Invalid,
        KeyReused, TooMany, Unavailable,
    )
}  # fmt: skip
"""Type -> problem, for all that there are."""


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem; what is no `Problem` and no fault of the request is a bare 500."""

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return Invalid(*_faults(error.errors())).response

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _from_http(request, error).response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def internal(error: Exception, method: str, path: str) -> Response:
    """The answer to an error that nobody foresaw: it goes to the log, not to the caller. `path` is a template."""
    log.error("unforeseen_error", method=method, route=path, error=type(error).__name__, exc_info=error)
    return Problem().response


def _from_http(request: Request, error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return NotFound()
        case 405:
            return MethodNotAllowed(headers={"Allow": ", ".join(_allowed(request))})
        case 413:
            return TooLarge()
        case _:
            return Invalid(("body", "it cannot be read"))


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path; Starlette names those of the first one only."""
    allowed: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            allowed |= route.methods or set()
    return sorted(allowed)


def _faults(errors: Iterable[Any]) -> list[tuple[str, str]]:
    """What pydantic found, without the values that it found."""
    faults: list[tuple[str, str]] = []
    for error in errors:
        where: tuple[str | int, ...] = error["loc"]
        path = where[1:] if len(where) > 1 else where
        faults.append((".".join(map(str, path)), str(error["msg"]).removeprefix("Value error, ")))
    return faults


def _printable(field: str) -> str:
    """A field's name as it may be shown: the caller made it up where it is unknown."""
    return "".join(sign if sign.isprintable() else "?" for sign in field[:_LONGEST_FIELD])
