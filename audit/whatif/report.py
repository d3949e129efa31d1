"""The figures of a what-if as rows, and reports made of these rows: a table for a terminal, CSV and JSON."""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from audit.whatif import words
from audit.whatif.measures import Tally, percentile
from audit.whatif.study import SIDES, Dimension, Side, Sides, Study
from domain.cells import Sheet
from domain.wire import format_time
from texts.whatif import ASSUMPTIONS, DIMENSION_WORDS, SIDE_WORDS

Number = int | float | None
_BY_NAME: Final[tuple[tuple[str, str, Callable[[Tally], Mapping[Any, int]]], ...]] = (
    ("late", "", lambda tally: tally.red),
    ("escalations", "", lambda tally: tally.climbs),
    ("highest", "issues", lambda tally: tally.highest),
    ("refused", "", lambda tally: tally.refused),
    ("held", "minutes", lambda tally: tally.held),
)
"""The measures with a separate figure for each clause, level, code or holder: key, unit, and how to take the figures
from a tally.
"""


@dataclass(frozen=True)
class Measure:
    """One kind of figure, taken from a tally by `of`, with its names; `unit` is ``minutes``, ``percent`` or empty for a
    number.
    """

    key: str
    chinese: str
    english: str
    unit: str
    of: Callable[[Tally], Number]


MEASURES: Final[tuple[Measure, ...]] = (
    Measure("issues", "诉求", "issues", "", lambda t: t.issues),
    Measure("due", "受检时限", "limits kept or late", "", lambda t: t.due),
    Measure("late", "超时", "late", "", lambda t: t.late),
    Measure("late_share", "超时率", "late share", "percent", lambda t: 100 * t.late / t.due if t.due else None),
    Measure("unmet", "其中始终未补", "never made good", "", lambda t: t.unmet),
    Measure("late_p50", "超时中位", "late median", "minutes", lambda t: percentile(t.lateness, 0.5)),
    Measure("late_p90", "超时P90", "late p90", "minutes", lambda t: percentile(t.lateness, 0.9)),
    Measure("late_max", "最长超时", "late longest", "minutes", lambda t: max(t.lateness, default=None)),
    Measure("escalated", "提级诉求", "issues escalated", "", lambda t: t.escalated),
    Measure("escalations", "提级次数", "escalations", "", lambda t: t.climbs.total()),
    Measure("reminders", "催办提醒", "reminders", "", lambda t: t.reminders),
    Measure("close_p50", "结案中位", "closed in, median", "minutes", lambda t: percentile(t.closing, 0.5)),
    Measure("close_p90", "结案P90", "closed in, p90", "minutes", lambda t: percentile(t.closing, 0.9)),
    Measure("open", "未结", "open", "", lambda t: t.open),
    Measure("awaiting", "其中待居民确认", "waiting for the resident", "", lambda t: t.awaiting),
    Measure("refused", "被拒操作", "commands refused", "", lambda t: t.refused.total()),
)
BRIEF: Final = ("issues", "late", "late_p90", "escalations", "open")
"""The keys of the main measures, which are the ones shown in the tables by group."""


@dataclass(frozen=True)
class StudyFigure:
    """One figure of one group, with its values on every side in the order of SIDES. `change` is the value of the
    what-if less that of the control.
    """

    dimension: Dimension
    group: str
    measure: str
    name: str
    unit: str
    values: tuple[Number, ...]

    @property
    def change(self) -> Number:
        _, control, whatif = self.values
        return None if control is None or whatif is None else whatif - control


def rows(study: Study) -> Iterator[StudyFigure]:
    """Every figure of the study. `name` is the clause, level, code or holder if the measure has a figure for each of
    them, otherwise empty.
    """
    for dimension in get_args(Dimension):
        for group, sides in study.groups(dimension):
            yield from (figure for _, figure in measured(dimension, group, sides))
            yield from named(dimension, group, sides)


def measured(dimension: Dimension, group: str, sides: Sides) -> Iterator[tuple[Measure, StudyFigure]]:
    """Every measure of MEASURES with its figure for one group."""
    for each in MEASURES:
        yield (
            each,
            StudyFigure(dimension, group, each.key, "", each.unit, tuple(each.of(sides[side]) for side in SIDES)),
        )


def named(dimension: Dimension, group: str, sides: Sides) -> Iterator[StudyFigure]:
    """The figures of one group that exist separately for each clause, level, code or holder."""
    for key, unit, of in _BY_NAME:
        found: dict[Side, dict[str, int]] = {side: {str(k): n for k, n in of(sides[side]).items()} for side in SIDES}
        for name in sorted({name for each in found.values() for name in each}):
            values = tuple(found[side].get(name, 0) for side in SIDES)
            yield StudyFigure(
                dimension, group, key, name, unit, tuple(n / 60_000 for n in values) if key == "held" else values
            )


def as_csv(study: Study) -> str:
    """Every figure as CSV, one a line. The assumptions come first, as lines of one cell.

    Write it with ``newline=""``, since it holds its own line ends.
    """
    sheet = Sheet()
    for line in (*words.rules(study), *(f"{a} {b}" for a, b in (*words.findings(study), *ASSUMPTIONS))):
        sheet.add([line])
    sheet.add(["dimension", "group", "label", "measure", "name", "unit", *SIDES, "change"])
    for row in rows(study):
        texts = (row.dimension, row.group, words.label(row.dimension, row.group), row.measure, row.name, row.unit)
        sheet.add([*texts, *(_figure(value) for value in (*row.values, row.change))])
    return sheet.text


def _figure(value: Number) -> int | float | str:
    if value is None:
        return ""
    return round(value, 2) if isinstance(value, float) else value


def as_json(study: Study) -> dict[str, Any]:
    """The whole report as one plain value, ready for `json.dumps`.

    The figures are ``groups: {dimension: {group: {measure: {unit, happened, control, whatif, change, by?}}}}``. If a
    measure has a figure for each clause, level, code or holder, ``by`` holds these figures by name.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {dimension: {} for dimension in get_args(Dimension)}
    for row in rows(study):
        measures = groups[row.dimension].setdefault(row.group, {})
        figures = {**dict(zip(SIDES, map(_plain, row.values), strict=True)), "change": _plain(row.change)}
        if row.name:
            measures.setdefault(row.measure, {"unit": row.unit}).setdefault("by", {})[row.name] = figures
        else:
            measures[row.measure] = {"unit": row.unit, **figures}
    return {
        "rules": words.rules(study),
        "policy": study.policy and {k: getattr(study.policy, k) for k in ("id", "version", "digest", "title")},
        "as_of": format_time(study.as_of),
        "assumptions": [english for _, english in ASSUMPTIONS],
        "findings": [english for _, english in words.findings(study)],
        "issues": study.issues,
        "control": {"agreeing": study.agreeing, "differing": study.differing.number, "first": study.differing.first},
        "failed": {"number": study.failed.number, "first": study.failed.first},
        "left_out": dict(study.left_out),
        "newly_refused": [{"command": c, "code": r, "number": n} for (c, r), n in sorted(study.newly_refused.items())],
        "newly_taken": [{"command": c, "code": r, "number": n} for (c, r), n in sorted(study.newly_taken.items())],
        "groups": groups,
    }


def json_text(study: Study) -> str:
    return json.dumps(as_json(study), ensure_ascii=False, indent=1)


def _plain(value: Number) -> Number:
    return round(value, 4) if isinstance(value, float) else value


def span(minutes: float) -> str:
    """A number of minutes as people write a span of time: ``45 s``, ``12 min``, ``3 h 05``, ``2 d 4 h``."""
    sign, minutes = ("-" if round(minutes * 60) < 0 else ""), abs(minutes)
    if minutes < 1:
        return f"{sign}{round(minutes * 60)} s"
    whole = round(minutes)
    if whole < 60:
        return f"{sign}{whole} min"
    if whole < 48 * 60:
        return f"{sign}{whole // 60} h {whole % 60:02}"
    return f"{sign}{whole // 1440} d {whole % 1440 // 60} h"


def shown(value: Number, unit: str) -> str:
    """The figure with its unit as people read it; a dash if there is none."""
    if value is None:
        return "–"
    if unit == "minutes":
        return span(value)
    if unit == "percent":
        return f"{value:.1f} %"
    return str(value)


def signed(value: Number, unit: str) -> str:
    """The figure as a change, with its sign."""
    text = shown(value, unit)
    return text if value is None or value <= 0 or text.startswith("0 ") else f"+{text}"


def as_text(study: Study) -> str:
    """The report as text for a terminal: findings, the total with every measure, the main measures by group, the
    assumptions.
    """
    parts = ["假如 What if: " + "; ".join(words.rules(study)), ""]
    parts += [f"  {line}" for pair in words.findings(study) for line in pair]
    if study.issues:
        head = [
            "合计 total",
            *(f"{SIDE_WORDS[side][0]} {SIDE_WORDS[side][1]}" for side in SIDES),
            "影响 effect",
        ]
        body = [
            [f"{m.chinese} {m.english}", *(shown(v, m.unit) for v in figures.values), signed(figures.change, m.unit)]
            for m, figures in totals(study)
        ]
        parts += ["", *table([head, *body])]
        for dimension in get_args(Dimension)[1:]:
            parts += ["", *table(brief(study, dimension))]
    parts += ["", "前提 Assumptions", *(f"  {a}\n  {b}" for a, b in ASSUMPTIONS)]
    return "\n".join("\n".join(map(printable, part.split("\n"))) for part in parts) + "\n"


def totals(study: Study) -> Iterator[tuple[Measure, StudyFigure]]:
    """Every measure with its figure for the total over all issues."""
    return measured("total", "", study.total)


def brief(study: Study, dimension: Dimension) -> list[list[str]]:
    """A table of the groups of a dimension, with ``happened → what if`` for each of the main measures; its first row is
    the head.
    """
    measures = [each for each in MEASURES if each.key in BRIEF]
    found = [[" ".join(DIMENSION_WORDS[dimension]), *(f"{m.chinese} {m.english}" for m in measures)]]
    for group, sides in study.groups(dimension):
        name = f"{words.label(dimension, group)} {words.english(dimension, group)}".strip()
        cells = [" → ".join(shown(m.of(sides[side]), m.unit) for side in ("happened", "whatif")) for m in measures]
        found.append([name, *cells])
    return found


def table(cells: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines with aligned columns, the first to the left, the others to the right. Each column is as wide as
    its widest cell; wide characters count as two.
    """
    clean = [[printable(cell) for cell in line] for line in cells]
    widths = [max(map(width, column)) for column in zip(*clean, strict=True)]
    lines = ["  ".join(_padded(cell, widths[n], left=n == 0) for n, cell in enumerate(line)).rstrip() for line in clean]
    lines.insert(1, "  ".join("-" * each for each in widths))
    return lines


def _padded(cell: str, to: int, *, left: bool) -> str:
    blank = " " * (to - width(cell))
    return cell + blank if left else blank + cell


def width(text: str) -> int:
    """The number of terminal columns that the text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def printable(text: str) -> str:
    """The text with U+FFFD in place of each character that is not printable, since it could control a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
