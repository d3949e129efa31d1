"""What a search has found, as a value that is kept as the proof and told in words."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

MOST: Final = 10
"""The most frozen sequences that are kept: the shortest."""
_DAY: Final = 86400


@dataclass(frozen=True)
class Found:
    """A sequence of moves in words, and what follows from it if nobody acts any more.

    `seconds` is how long after the last move the progress clock moves the lead; 0 where nothing does.
    """

    moves: tuple[str, ...]
    said: str
    seconds: int = 0

    def __str__(self) -> str:
        return f"{'; '.join(self.moves)}; then nobody acts: {self.said}"


@dataclass(frozen=True)
class Report:
    """What a search to a depth of so many commands has found.

    `states` are those of different fate that were left alone until they ended, `tried` the commands that were tried,
    `caught` those after which nothing but the progress clock moves the lead.
    """

    commands: int
    states: int = 0
    tried: int = 0
    caught: int = 0
    seconds: int = 0
    """The bound: the longest time in which an issue that nobody touches closes or has its lead at the top, counted from
    the last act, or from the last date that somebody named where that is later."""
    longest: tuple[str, ...] = ()
    """The moves after which it takes longest."""
    frozen: tuple[Found, ...] = ()
    hole: Found | None = None
    """The shortest sequence after which an issue freezes without the progress clock."""
    never: tuple[str, ...] = ()
    """Ids of clauses of which no clock was seen running."""
    complete: bool = True
    """Whether the search came to its end in the time that it was given."""

    def plus(self, other: "Report") -> "Report":
        """The report with what another part of the search found added; `states` and `never` stay."""
        slowest = other if other.seconds > self.seconds else self
        holes = [each.hole for each in (self, other) if each.hole is not None]
        return replace(
            self, tried=self.tried + other.tried, caught=self.caught + other.caught, seconds=slowest.seconds,
            longest=slowest.longest, frozen=_shortest((*self.frozen, *other.frozen)),
            hole=min(holes, key=_length, default=None), complete=self.complete and other.complete,
        )  # fmt: skip

    @property
    def sound(self) -> bool:
        """Whether nothing freezes, as far as the whole search has seen."""
        return self.complete and not self.frozen


def _shortest(found: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(sorted(found, key=_length)[:MOST])


def _length(found: Found) -> int:
    return len(found.moves)


def lasting(seconds: int) -> str:
    """A length of time in words, rounded up: ``8 days``, ``3 hours``, ``61 seconds``."""
    for size, word in ((_DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            count = -(-seconds // size)
            return f"{count} {word}s"
    return f"{seconds} seconds"


def ceiling(span: timedelta) -> int:
    """The length in whole seconds, rounded up."""
    return -(-span // timedelta(seconds=1))
