"""Reads the OpenAPI document as people do: each route with its parameters, its body, its answers and its problems."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.http.problems import MEDIA_TYPE

Document = Mapping[str, Any]
_NOTHING: Final[Document] = {}
_DEEPEST: Final = 3
"""How many parts deep the fields of a body are told; deeper ones the example shows."""


@dataclass(frozen=True)
class FieldText:
    """A parameter, or a field of a body: where it stands, its kind in words, and what it says."""

    name: str
    place: str
    kind: str
    is_needed: bool
    text: str


@dataclass(frozen=True)
class AnswerText:
    """An answer with its status; `examples` are JSON by name."""

    status: str
    text: str
    headers: tuple[str, ...]
    fields: tuple[FieldText, ...]
    examples: Mapping[str, str]
    is_problem: bool


@dataclass(frozen=True)
class RouteText:
    """A route: what it is for, what it takes, and what it answers."""

    id: str
    tag: str
    method: str
    path: str
    first: str
    """The first sentence of `text`."""
    text: str
    credentials: tuple[str, ...]
    """The schemes of which one suffices; an empty name: none is needed."""
    parameters: tuple[FieldText, ...]
    fields: tuple[FieldText, ...]
    bodies: Mapping[str, str]
    answers: tuple[AnswerText, ...]


def routes_of(document: Document) -> dict[str, RouteText]:
    """All routes, by operation id, in the order of the document."""
    found: dict[str, RouteText] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found[operation["operationId"]] = _route(document, path, method, operation)
    return found


def by_tag(routes: Mapping[str, RouteText]) -> dict[str, list[RouteText]]:
    """The routes by their tag, each tag where its first route stands."""
    found: dict[str, list[RouteText]] = {}
    for route in routes.values():
        found.setdefault(route.tag, []).append(route)
    return found


def _route(document: Document, path: str, method: str, operation: Document) -> RouteText:
    text = str(operation.get("description", operation["summary"]))
    content = operation.get("requestBody", {}).get("content", {})
    body: Document = next(iter(content.values()), _NOTHING)
    schemes = operation.get("security", [])
    return RouteText(
        operation["operationId"], operation["tags"][0], method.upper(), path, _first(text), text,
        tuple(dict.fromkeys(next(iter(each), "") for each in schemes)),
        tuple(_parameter(each) for each in operation.get("parameters", [])),
        tuple(_fields(document, body.get("schema", {}))),
        _examples(body),
        tuple(_answer(document, status, each) for status, each in sorted(operation["responses"].items())),
    )  # fmt: skip


def _first(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "."


def _parameter(each: Document) -> FieldText:
    return FieldText(
        each["name"], each["in"], _kind(each["schema"]), each.get("required", False), each.get("description", "")
    )


def _answer(document: Document, status: str, each: Document) -> AnswerText:
    content = each.get("content", {})
    media: Document = next(iter(content.values()), _NOTHING)
    is_problem = MEDIA_TYPE in content
    fields = () if is_problem else tuple(_fields(document, media.get("schema", {})))
    return AnswerText(status, each["description"], tuple(each.get("headers", {})), fields, _examples(media), is_problem)


def _examples(media: Document) -> dict[str, str]:
    found = {name: each["value"] for name, each in media.get("examples", {}).items()}
    if "example" in media:
        found[""] = media["example"]
    return {name: json.dumps(value, ensure_ascii=False, indent=2) for name, value in found.items()}


def _resolved(document: Document, schema: Document) -> Document:
    """The schema that is meant: without references, and without the null that a field may be."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {**schema, **_resolved(document, kinds[0])} if len(kinds) == 1 else schema


def _fields(document: Document, schema: Document, before: str = "", depth: int = 0) -> Iterator[FieldText]:
    """The fields of a body, and those of its parts as `part.field` or `parts[].field`."""
    whole = _resolved(document, schema)
    for name, each in whole.get("properties", {}).items():
        meant = _resolved(document, each)
        text = each.get("description", meant.get("description", "")) if "properties" not in meant else ""
        yield FieldText(before + name, "", _kind(meant), name in whole.get("required", ()), text)
        items = _resolved(document, meant.get("items", {}))
        deeper, part = (items, f"{before}{name}[].") if "properties" in items else (meant, f"{before}{name}.")
        if "properties" in deeper and depth < _DEEPEST:
            yield from _fields(document, deeper, part, depth + 1)


def _kind(schema: Document) -> str:
    """The kind of a value, in words of JSON Schema; of a closed set, its words."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_kind(each) for each in schema["anyOf"])
    kind = str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2] or "any")
    if kind == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    most = schema.get("maxLength")
    return f"{kind}, at most {most} characters" if most and kind == "string" else kind
