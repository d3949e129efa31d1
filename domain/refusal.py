"""The value that says why a command has no effect."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why a command has no effect: a code for each reason, and what the reason names, for its text in `texts/`."""

    code: str
    params: Mapping[str, str]


def no(code: str, **params: object) -> Refusal:
    """The refusal of this code, which names these values."""
    return Refusal(code, {name: str(value) for name, value in params.items()})
