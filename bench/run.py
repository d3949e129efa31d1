"""Shared data of one run: the stage, the scale, and rates that later measurements use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.figures import Result
from bench.stage import Stage


@dataclass(frozen=True)
class Scale:
    """The amount to measure. A small scale only shows that the harness works."""

    rounds: int = 3
    seconds: float = 12.0
    """Seconds of each closed-loop or open-loop phase, after `warm` seconds that do not count."""
    warm: float = 2.0
    at_once: int = 30
    lives: int = 25
    """Issues in each sequential phase."""
    mass: int = 2000
    mass_rounds: int = 1
    spread_seconds: float = 20.0
    sleepers: int = 800
    restarts: int = 3
    stored: int = 40
    open_issues: int = 50
    audited: int = 300
    searched: tuple[int, int] = (10_000, 100_000)
    originals: int = 200
    city: tuple[int, int] = (10_000, 100_000)
    searches: int = 60
    streams: tuple[int, int] = (20, 400)
    stream_events: int = 50
    """Events a second, written while so many streams are open."""


FULL = Scale()
QUICK = Scale(
    rounds=1, seconds=2.0, warm=0.5, at_once=10, lives=4, mass=40, mass_rounds=1, spread_seconds=2.0, sleepers=60,
    restarts=1, stored=6, open_issues=3, audited=12, searched=(200, 400),
    originals=40, city=(1000, 2000), searches=5, streams=(3, 12), stream_events=10,
)  # fmt: skip


@dataclass
class Run:
    """The stage, the scale, and `rates` in lifecycles/s and timers/s, which earlier measurements fill."""

    stage: Stage
    scale: Scale
    rates: dict[str, float] = field(default_factory=dict[str, float])


Measure = Callable[[Run], Awaitable[Result]]
"""A measurement on an open stage."""
