"""How each error is answered: as problem+json (RFC 9457), by the table `PROBLEMS`."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from protocol.context import LANGUAGE
from protocol.errors import (
    ChooseRole,
    Forbidden,
    Invalid,
    KeyReused,
    NotFound,
    ProtocolError,
    Refused,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from texts.catalogue import Language, Wrong, say, tables

log: Final = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
NAMED: Final = frozenset({"ge", "le", "min_length", "max_length", "expected"})
"""What texts of pydantic's faults may name."""
PREFIX: Final = "/problems/"
"""The path under which the `type` of every problem lies: `GET` of such a path explains the problem."""


class KeyMissing(ProtocolError):
    """The request lacks the header `Idempotency-Key`."""


class MethodNotAllowed(ProtocolError):
    """The path has routes, but none with the method of the request. `allowed` are the methods that it has."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__()
        self.allowed: Final = tuple(allowed)


class TooLarge(ProtocolError):
    """The request body is too large.

    `closes`: the rest of the body stays unread, so the connection has to be closed.
    """

    def __init__(self, code: str = "", /, *, closes: bool = False, **named: object) -> None:
        super().__init__(code, **named)
        self.closes: Final = closes


class TooSlow(ProtocolError):
    """The request body did not arrive in time. What is left of it stays unread, so the connection has to be closed."""


class SessionEnded(Unauthenticated):
    """The session cookie is invalid or has expired. `clearing` is the `Set-Cookie` value that deletes the cookie."""

    def __init__(self, clearing: str) -> None:
        super().__init__("session-ended")
        self.clearing: Final = clearing


def _no_headers(_: Any) -> dict[str, str]:
    return {}


def _authenticate(error: Unauthenticated) -> dict[str, str]:
    cookie = {"Set-Cookie": error.clearing} if isinstance(error, SessionEnded) else {}
    return {"WWW-Authenticate": 'Bearer realm="jiesu"', **cookie}


def _retry(error: TooMany | Unavailable) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after)}


@dataclass(frozen=True)
class Problem:
    """How one class of error is answered.

    The status and the type of a class never change. `about` is the explanation that `GET` of the type's path
    gives.
    """

    status: int
    type: str
    about: str = ""
    members: tuple[str, ...] = ()
    """Names of what else of the error the answer's body holds, besides code and params. What is None is left out."""
    headers: Callable[[Any], Mapping[str, str]] = _no_headers

    def titled(self, language: Language) -> str:
        return say("problems", self.type, language)

    def plain(self, language: Language) -> dict[str, Any]:
        return {"type": PREFIX + self.type, "title": self.titled(language), "status": self.status}

    def body(self, error: ProtocolError, language: Language) -> dict[str, Any]:
        told = error.told(language)
        detail = {"detail": told} if told else {}
        members = {name: getattr(error, name) for name in ("code", "params", *self.members)}
        members = {name: value(language) if callable(value) else value for name, value in members.items()}
        return self.plain(language) | detail | {name: value for name, value in members.items() if value is not None}


PROBLEMS: Final[Mapping[type[ProtocolError], Problem]] = {
    ProtocolError: Problem(
        500, "internal", "The base: what went wrong, with a status and a type that never change. The detail is for people.",
    ),
    KeyMissing: Problem(400, "idempotency-key-missing"),
    Unauthenticated: Problem(
        401, "unauthenticated", "Without credentials, or with some that are not accepted; it is not said why.",
        headers=_authenticate,
    ),
    Forbidden: Problem(
        403, "forbidden", "The caller is known and may never do this, whatever it concerns: an auditor writes nothing.",
    ),
    ChooseRole: Problem(
        403, "choose-role", "The caller holds several roles: which of them is meant, `X-Acting-Role` and `X-Acting-Org` say. They never add up.",
        members=("roles",),
    ),
    NotFound: Problem(
        404, "not-found", "There is nothing here, or nothing that this caller may know of: both look the same.",
    ),
    MethodNotAllowed: Problem(405, "method-not-allowed", headers=lambda error: {"Allow": ", ".join(error.allowed)}),
    TooSlow: Problem(408, "too-slow", headers=lambda _: {"Connection": "close"}),
    Refused: Problem(
        409, "refused", "The rules refuse the command; `reason` says why in words, `code` in one word for programs.",
        members=("reason", "command_id"),
    ),
    Stale: Problem(412, "stale", members=("reason", "command_id")),
    TooLarge: Problem(413, "too-large", headers=lambda error: {"Connection": "close"} if error.closes else {}),
    Invalid: Problem(
        422, "invalid", "The request cannot be understood; `errors` name each field and what is wrong with it (`code`, `params`, `reason`), never its value.",
        members=("errors",),
    ),
    KeyReused: Problem(422, "idempotency-key-reused"),
    TooMany: Problem(
        429, "too-many", "The caller has used up `limit`, which allows `rate`; a repeat after `Retry-After` seconds, at `until`, is answered.",
        members=("limit", "rate", "until"), headers=_retry,
    ),
    Unavailable: Problem(
        503, "unavailable", "A part that is needed does not answer; the same request may be sent again, with the same key.",
        headers=_retry,
    ),
}  # fmt: skip
"""How each class of error is answered."""
TYPES: Final[Mapping[str, Problem]] = {problem.type: problem for problem in PROBLEMS.values()}


def problem_of(error: ProtocolError) -> Problem:
    """The row of `PROBLEMS` for an error: its class's own, else that of its nearest base class."""
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def response(error: ProtocolError) -> Response:
    """The HTTP answer to an error, as problem+json."""
    problem = problem_of(error)
    # Escaped to ASCII: a detail may quote what came in, and that may be no Unicode text at all.
    language = LANGUAGE.get()
    content = json.dumps(problem.body(error, language), separators=(",", ":")).encode()
    return Response(content, problem.status, {"Content-Language": language, **problem.headers(error)}, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Registers the handlers that answer errors of routes, and faulty requests, with a problem.

    Any other error passes through to the middleware `Edge`, which answers it with a bare 500.
    """

    async def on_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProtocolError)
        return response(error)

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response(Invalid(*faults(error.errors())))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return response(_from_http(request, error))

    app.add_exception_handler(ProtocolError, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def internal(error: Exception, method: str, path: str) -> Response:
    """The answer to an unexpected error: a bare 500. What the error says goes to the log only.

    `path` is the template of the route, so that no id gets into the log.
    """
    log.error("unforeseen_error", method=method, route=path, error=type(error).__name__, exc_info=error)
    return response(ProtocolError())


def _from_http(request: Request, error: HTTPException) -> ProtocolError:
    match error.status_code:
        case 404:
            return NotFound()
        case 405:
            return MethodNotAllowed(_allowed(request))
        case 413:
            return TooLarge()
        case _:
            return Invalid(("body", Wrong("unreadable")))


def _allowed(request: Request) -> list[str]:
    """The methods of all routes that match the request's path; Starlette names the methods of the first route only."""
    allowed: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            allowed |= route.methods or set()
    return sorted(allowed)


def faults(errors: Iterable[Any]) -> list[tuple[str, Wrong]]:
    """For each error of pydantic, the field and what is wrong with it. The value that was sent is left out."""
    found: list[tuple[str, Wrong]] = []
    for error in errors:
        where: tuple[str | int, ...] = error["loc"]
        path = where[1:] if len(where) > 1 else where
        found.append((".".join(map(str, path)), _wrong(error["type"].replace("_", "-"), error.get("ctx", {}))))
    return found


def _wrong(code: str, named: Mapping[str, Any]) -> Wrong:
    """What a validator of ours raised, or the fault by the name that pydantic has for it, if the catalogue has it too."""
    if isinstance(ours := named.get("error"), Wrong):
        return ours
    if code not in tables("en")["faults"]:
        return Wrong("unfit")
    # Nothing else of what pydantic names: it may be what was sent.
    return Wrong(code, **{name: str(named[name]).replace(" or ", ", ") for name in NAMED & named.keys()})
