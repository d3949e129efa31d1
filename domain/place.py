"""The place of an issue and the organisations that answer for it, as resolved when it was reported."""

from dataclasses import dataclass

from domain.vocabulary import HandlerKind, OperatorKind


@dataclass(frozen=True)
class Handler:
    """The organisation that does the work (承办)."""

    code: str
    kind: HandlerKind


@dataclass(frozen=True)
class Place:
    """A compound with its community, its street, and its operator on the day in question (None: no contract)."""

    compound: str
    community: str
    street: str
    operator: str | None = None
    operator_kind: OperatorKind | None = None
    grid: str = ""
    name: str = ""
    """The compound's name, for people."""
