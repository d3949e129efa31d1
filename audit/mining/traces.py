"""What is exported: one issue after another, each as its events with the state after each."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from domain.events import Event
from domain.issue import Issue

SHORTEST_KEY: Final = 16
"""Bytes. Ids of people can be guessed, so a key that can be guessed, too, would hide nobody."""


@dataclass(frozen=True)
class IssueTrace:
    """One issue, open or closed: each event, in order, with the state after it. The steps are read once."""

    issue: str
    steps: Iterable[tuple[Event, Issue]]


@dataclass(frozen=True)
class Exported:
    """How much was exported. Issues to which nothing has happened are not counted: they are left out."""

    issues: int
    events: int


class Sink(Protocol):
    """Anything that takes bytes: an open file, a pipe, a gzip stream."""

    def write(self, data: bytes, /) -> object: ...


class Pseudonyms:
    """How people appear: each as a pseudonym that is the same throughout, and under another key another one.

    Whoever lacks the key can neither name anybody nor join two exports made under different keys. With `names` the
    ids themselves are exported, for an auditor who may see them. Who somebody is may still be guessed from what he
    did and when: an export under pseudonyms is safer, not anonymous.
    """

    def __init__(self, key: bytes, *, names: bool = False) -> None:
        if not names and len(key) < SHORTEST_KEY:
            raise ValueError(f"the key for pseudonyms needs at least {SHORTEST_KEY} bytes")
        self._key = key
        self._names = names

    def resource(self, person: str) -> str:
        if self._names:
            return person
        told = b"jiesu/mining/person\0" + person.encode("utf-8", "surrogatepass")
        return f"p-{hmac.digest(self._key, told, 'sha256')[:10].hex()}"
