"""Makes the OpenAPI document, with examples of answers, and for each route its problems and accepted credentials."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.http import examples
from api.http.headers import KEY
from api.http.problems import MEDIA_TYPE, PREFIX, PROBLEMS, TYPES, TooLarge, TooSlow
from protocol import errors as e

Answers = dict[int | str, dict[str, Any]]

_BEARER: Final[dict[str, list[str]]] = {"bearer": []}
_CODE: Final[dict[str, list[str]]] = {"code": []}
STAFF: Final = {"security": [_BEARER]}
KNOWN: Final = {"security": [_BEARER, _CODE]}
SIGNED_IN: Final[dict[str, list[dict[str, list[str]]]]] = {"security": [{"session": []}]}
ANYBODY: Final[dict[str, Any]] = {"security": [{}, *KNOWN["security"]]}
NOBODY: Final[dict[str, Any]] = {"security": [{}]}
"""From `STAFF` to `NOBODY`: the credentials that a route accepts, passed as its `openapi_extra`. `ANYBODY` may have none."""
READING: Final = (e.Unauthenticated, e.NotFound, e.Invalid, e.TooMany, e.Unavailable)
"""The errors that every route may raise that reads something of an issue."""
BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "code": {
        "type": "apiKey", "in": "header", "name": "X-Tracking-Code",
        "description": "What opens one issue to whoever reported it.",
    },
}  # fmt: skip
_STRINGS: Final = {"additionalProperties": {"type": "string"}}
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "enum": [PREFIX + name for name in TYPES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "What is wrong, for programs; absent where the title says it all."},
        "params": {"type": "object", **_STRINGS, "description": "What the text of `code` names."},
        "reason": {"type": "string", "description": "Of a refusal, in words of the language in `Content-Language`."},
        "limit": {"type": "string", "description": "Which one is used up; `rate` is what it allows."},
        "rate": {"type": "string", "example": "60/hour"},
        "until": {"type": "string", "format": "date-time"},
        "roles": {
            "type": "array", "description": "Those among which `X-Acting-Role` and `X-Acting-Org` choose.",
            "items": {"type": "object", "properties": {"role": {"type": "string"}, "org": {"type": "string"}}},
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object", "properties": {
                    "field": {"type": "string"}, "code": {"type": "string"}, "params": {"type": "object", **_STRINGS},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}  # fmt: skip
_HEADERS: Final = {
    "ETag": ("The version of the issue.", {"type": "string", "pattern": '^"[0-9]+"$'}),
    "Location": ("Where it can be read.", {"type": "string", "pattern": "^/v1/"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("How to say who asks.", {"type": "string"}),
}
_OF_PROBLEMS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)
}  # fmt: skip
_FASTAPIS: Final = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's own validation errors. The API never answers in that form, so the document leaves them out."""


def answers(
    status: int, example: Any, text: str, *errors: type[e.ProtocolError], model: Any = None, headers: tuple[str, ...] = (),
    files: Mapping[str, Any] | None = None,
) -> Answers:  # fmt: skip
    """The argument `responses` of a route: its answer with example and headers, and the errors that it may raise.

    `model` is the shape of an answer that the route gives besides its usual one. `files` describes the answer by media
    type where it is a file instead of JSON.
    """
    content = {"application/json": {"example": example}} if files is None else files
    described: Answers = {status: {"description": text, "content": content, "headers": sent(*headers)}}
    if model is not None:
        described[status]["model"] = model
    slow = (TooSlow,) if TooLarge in errors else ()  # what has a body
    for problem in map(PROBLEMS.__getitem__, (*errors, *slow)):
        known = described.setdefault(
            problem.status,
            {
                "description": problem.titled("en"),
                "content": {},
                "headers": sent(*_OF_PROBLEMS.get(problem.status, ())),
            },
        )
        body = examples.REFUSED if problem is TYPES["refused"] else problem.plain("en")
        shown = known["content"].setdefault(
            MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        )
        shown["examples"][problem.type] = {"value": body}
    return described


def sent(*names: str) -> dict[str, Any]:
    """The OpenAPI descriptions of these headers, as headers that the answer always has."""
    return {
        name: {"description": text, "required": True, "schema": schema}
        for name in names
        for text, schema in [_HEADERS[name]]
    }


def document(app: FastAPI, cookie: str | None = None) -> dict[str, Any]:
    """The OpenAPI document of the app.

    `cookie` is the name of the session cookie, which routes accept instead of a token; None if browsers cannot sign in.
    """
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = found["components"]
        components["securitySchemes"] = dict(_SCHEMES)
        if cookie is not None:
            components["securitySchemes"]["session"] = {
                "type": "apiKey", "in": "cookie", "name": cookie, "description": "A browser's; see `GET /session`.",
            }  # fmt: skip
        components["schemas"]["Problem"] = _PROBLEM
        for name in _FASTAPIS:
            components["schemas"].pop(name, None)
        for name, path in found["paths"].items():
            for operation in path.values():
                if cookie is not None and _BEARER in operation.get("security", []):
                    operation["security"] = [*operation["security"], *SIGNED_IN["security"]]
                for parameter in operation.get("parameters", []):
                    _is_text(parameter)
                if name.startswith("/v1/"):
                    _forbids(operation["responses"])
                if MEDIA_TYPE not in operation["responses"].get("422", {}).get("content", {}):
                    operation["responses"].pop("422", None)
        for route in app.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                _show(route, found["paths"][route.path_format])
        app.openapi_schema = found
    return app.openapi_schema


def _show(route: APIRoute, path: dict[str, Any]) -> None:
    """Restores the examples of a route's answers, from which FastAPI has removed every null."""
    for method in route.methods or ():
        for status, described in route.responses.items():
            example = described.get("content", {}).get("application/json", {}).get("example")
            if example is not None:
                path[method.lower()]["responses"][str(status)]["content"]["application/json"]["example"] = example


def _is_text(parameter: dict[str, Any]) -> None:
    """Corrects the schema of a parameter in a path, query or header: it may be missing, but is never null.

    Marks the idempotency key as required. FastAPI takes it for optional, because the route itself answers with
    KeyMissing where the key is missing.
    """
    if parameter["name"] == KEY:
        parameter["required"] = True
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0])


def _forbids(responses: Answers) -> None:
    """Adds the answer 403 to a route.

    Every authenticated request may be refused so: for its role, or because a foreign page may have forged it.
    """
    known = responses.setdefault("403", {"description": PROBLEMS[e.Forbidden].titled("en"), "content": {}})
    shown = known["content"].setdefault(
        MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    )
    for problem in (PROBLEMS[e.Forbidden], PROBLEMS[e.ChooseRole]):
        shown["examples"].setdefault(problem.type, {"value": problem.plain("en")})
