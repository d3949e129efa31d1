"""The input and output of the process-mining exports: issues as traces of their events, and people as pseudonyms."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from domain.events import Event
from domain.issue import Issue

SHORTEST_KEY: Final = 16
"""The fewest bytes of a key for pseudonyms. The ids of people can be guessed, so a key that could be guessed would hide
nobody.
"""


@dataclass(frozen=True)
class IssueTrace:
    """One issue, open or closed: each event, in order, with the state after it. An export iterates over `steps` only
    once.
    """

    issue: str
    steps: Iterable[tuple[Event, Issue]]


@dataclass(frozen=True)
class Exported:
    """The number of issues and events that were exported. Issues without events are neither exported nor counted."""

    issues: int
    events: int


class Sink(Protocol):
    """Anything that takes bytes: an open file, a pipe, a gzip stream."""

    def write(self, data: bytes, /) -> object: ...


class Pseudonyms:
    """Names each person by a pseudonym, which is the same throughout an export and differs under another key.

    Without the key nobody can tell from a pseudonym who the person is, nor join two exports that were made under
    different keys. With `names` the ids themselves are exported, for an auditor who may see them. A person may still be
    guessed from what he did and when: an export under pseudonyms is safer, not anonymous.
    """

    def __init__(self, key: bytes, *, names: bool = False) -> None:
        if not names and len(key) < SHORTEST_KEY:
            raise ValueError(f"the key for pseudonyms needs at least {SHORTEST_KEY} bytes")
        self._key = key
        self._names = names

    def resource(self, person: str) -> str:
        if self._names:
            return person
        message = b"jiesu/mining/person\0" + person.encode("utf-8", "surrogatepass")
        return f"p-{hmac.digest(self._key, message, 'sha256')[:10].hex()}"
