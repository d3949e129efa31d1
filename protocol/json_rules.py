"""Which JSON is accepted: no key twice, not nested too deeply, and only texts that every database and page can hold."""

import json
from collections.abc import Iterator
from typing import Any, Final, cast

from protocol.errors import Invalid
from protocol.text_rules import unfit
from security.phone_numbers import unmarked
from texts.catalogue import Wrong

DEEPEST: Final = 12
"""The most levels of nesting."""


def check_json(body: bytes) -> None:
    """Raises Invalid for what is no JSON, repeats a key, is nested too deeply, or holds text that cannot be stored."""
    try:
        plain = json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise Invalid(("body", Wrong("no-json"))) from None
    for place, value, depth in _values(plain):
        if depth > DEEPEST:
            raise Invalid(("body", Wrong("nested", most=DEEPEST)))
        if isinstance(value, str) and (reason := unfit(unmarked(value) if place == "phone" else value)):
            raise Invalid((place, reason))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict.

    Raises Invalid for a repeated key: JSON readers differ in which of the values they take.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid((name, Wrong("twice")))
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
