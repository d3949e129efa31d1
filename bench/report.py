"""Prints the results and writes docs/performance.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Figure, Result
from bench.machine import ROOT

DOCUMENT: Final = ROOT / "docs" / "performance.md"
HEAD: Final = """\
# Performance

Written by `make bench`; do not edit it. Absolute figures say as much about the machine as about the program, so each
goal is a ratio to a floor: a bare workflow on the same server, under the same worker settings, measured in turn in the
same run. Where there were several rounds, a figure is their median and the range is beside it.
"""


def render(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """The whole report as Markdown."""
    parts = [HEAD, _facts(facts), "## Goals\n", _summary(results)]
    for result in results:
        parts += [
            f"## {result.name}\n",
            f"{result.about}\n",
            f"**It failed**: {result.failed}\n" if result.failed else "",
        ]
        parts += [_details(result)] if result.figures or result.details else []
        parts += [f"{remark}\n" for remark in result.remarks]
    return "\n".join(part for part in parts if part)


def _facts(facts: Mapping[str, str]) -> str:
    return _table(("measured", ""), list(facts.items()))


def _summary(results: Sequence[Result]) -> str:
    rows = [
        (figure.name, str(figure.goal), figure.shown(), figure.spread(), figure.verdict)
        for result in results
        for figure in result.figures
    ]
    return _table(("figure", "goal", "median", "range", "goal is"), rows)


def _details(result: Result) -> str:
    def row(figure: Figure) -> tuple[str, str, str]:
        return figure.name, figure.shown(), figure.spread()

    return _table(("figure", "median", "range"), [row(figure) for figure in (*result.figures, *result.details)])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def terminal(result: Result) -> str:
    """A short report for the terminal."""
    lines = [f"{result.name} ({result.seconds:.0f} s)"]
    lines += [
        f"  {figure.name}: {figure.shown()}  [{figure.spread()}]  goal {figure.goal}: {figure.verdict}"
        for figure in result.figures
    ]
    lines += [f"    {figure.name}: {figure.shown()}  [{figure.spread()}]" for figure in result.details]
    lines += [f"    {remark}" for remark in result.remarks]
    return "\n".join(lines).replace("  []", "")


def write(text: str, document: Path = DOCUMENT) -> None:
    document.parent.mkdir(exist_ok=True)
    document.write_text(text, "utf-8")
