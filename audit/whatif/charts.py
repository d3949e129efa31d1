"""Bar charts as SVG: no scripts, nothing from outside, readable in print and without colour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from audit.whatif.report import width
from audit.whatif.study import Side

_WIDE: Final = 480
_LABELS: Final = 128
_FIGURES: Final = 82
_BAR: Final = 14
_GAP: Final = 3
_BETWEEN: Final = 14
_MOST: Final = 16
"""The most terminal columns that a label may take."""


@dataclass(frozen=True)
class Bars:
    """One group of bars: its label, the English text below the label, and a value for each side (None if there is
    none).
    """

    label: str
    beside: str
    values: tuple[float | None, ...]


def chart(title: str, bars: Sequence[Bars], sides: Sequence[Side], shown: Callable[[float], str]) -> str:
    """A bar chart: the groups of bars from top to bottom, in each a bar for every side, with its figure at the bar's
    end.
    """
    most = max((value for group in bars for value in group.values if value is not None), default=0) or 1
    drawn: list[str] = []
    y = 4.0
    for group in bars:
        tall = len(sides) * (_BAR + _GAP) - _GAP
        drawn.append(_label(group, y + tall / 2))
        for side, value in zip(sides, group.values, strict=True):
            drawn.append(_bar(side, value, most, y, shown))
            y += _BAR + _GAP
        y += _BETWEEN
    tall = max(y - _BETWEEN + 4, 20)
    return (
        f'<svg viewBox="0 0 {_WIDE} {tall:.0f}" role="img" aria-label="{escape(title)}">'
        f'<line class="axis" x1="{_LABELS}" x2="{_LABELS}" y1="0" y2="{tall:.0f}"/>{"".join(drawn)}</svg>'
    )


def _label(group: Bars, middle: float) -> str:
    """The label of a group to the left of the axis, shortened to fit; its tooltip has the whole text."""
    whole = f"{group.label} {group.beside}".strip()
    y = middle if group.beside else middle + 5
    beside = (
        f'<text class="beside" x="{_LABELS - 10}" y="{middle + 13:.1f}">{escape(cut(group.beside, 20))}</text>'
        if group.beside
        else ""
    )
    return (
        f"<g><title>{escape(whole)}</title>"
        f'<text class="label" x="{_LABELS - 10}" y="{y:.1f}">{escape(cut(group.label))}</text>{beside}</g>'
    )


def _bar(side: Side, value: float | None, most: float, y: float, shown: Callable[[float], str]) -> str:
    long = 0.0 if value is None else value / most * (_WIDE - _LABELS - _FIGURES)
    figure = "–" if value is None else shown(value)
    return (
        f'<rect class="{side}" x="{_LABELS}" y="{y:.1f}" width="{max(long, 1) if value else 0:.1f}" height="{_BAR}"/>'
        f'<text class="figure" x="{_LABELS + long + 6:.1f}" y="{y + 12:.1f}">{escape(figure)}</text>'
    )


def cut(text: str, most: int = _MOST) -> str:
    """The text, cut so that it takes at most `most` terminal columns."""
    if width(text) <= most:
        return text
    while width(text) > most - 1:
        text = text[:-1]
    return f"{text}…"
