"""Figures and goals: samples become a median and a range, and a goal bounds the median."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal

Verdict = Literal["met", "missed", ""]


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of the samples do not exceed. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share")
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def ratios(measured: Sequence[float], floor: Sequence[float]) -> tuple[float, ...]:
    """The ratio of measurement to floor for each round."""
    return tuple(ours / theirs for ours, theirs in zip(measured, floor, strict=True))


@dataclass(frozen=True)
class Goal:
    """A bound for the median of a figure."""

    sign: Literal["<=", ">=", "=="]
    bound: float

    def is_met(self, value: float) -> bool:
        match self.sign:
            case "<=":
                return value <= self.bound
            case ">=":
                return value >= self.bound
            case "==":
                return value == self.bound

    def __str__(self) -> str:
        signs = {"<=": "≤ ", ">=": "≥ ", "==": ""}
        return f"{signs[self.sign]}{self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """One figure of a report: a value for each round, in `unit` (empty for a ratio or a count)."""

    name: str
    values: tuple[float, ...]
    unit: str = ""
    goal: Goal | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> Verdict:
        if self.goal is None:
            return ""
        return "met" if self.goal.is_met(self.median) else "missed"

    def shown(self) -> str:
        """The median with its unit."""
        return f"{number(self.median)} {self.unit}".strip()

    def spread(self) -> str:
        """The range over the rounds; empty for a single round."""
        if len(self.values) == 1:
            return ""
        return f"{number(min(self.values))} - {number(max(self.values))}"


def number(value: float) -> str:
    """The number with three significant digits and separated thousands: 0.842, 12.7, 1,203."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits: Final = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


@dataclass
class Result:
    """The result of one measurement.

    `figures` have goals and stand in the summary, `details` are the absolute figures behind them, `remarks` whole
    sentences. `failed` says why it came to nothing; empty if it did not.
    """

    name: str
    about: str
    figures: list[Figure] = field(default_factory=list[Figure])
    details: list[Figure] = field(default_factory=list[Figure])
    remarks: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    failed: str = ""


def times(name: str, samples: Sequence[float], unit: str = "ms") -> list[Figure]:
    """Median and 99th percentile of durations in seconds, as details in milliseconds."""
    scale = {"ms": 1000.0, "s": 1.0}[unit]
    found = [(f"{name}, p50", 0.5), (f"{name}, p99", 0.99)]
    return [Figure(label, (quantile(samples, share) * scale,), unit) for label, share in found]
