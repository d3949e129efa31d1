"""Compares the three sources of an issue event by event: Temporal's history, the archive, and SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from audit.case import ArchivedCase, Finding
from audit.refold import Refolded
from audit.verify import check_rows
from domain.events import dump_event, event_digest


@dataclass(frozen=True)
class ComparedEvent:
    """The event number `seq` by source: `sources` gives the kind and digest of the event in each source, None if the
    source lacks it.
    """

    seq: int
    sources: Mapping[str, tuple[str, str] | None]

    @property
    def same(self) -> bool:
        return len(set(self.sources.values())) == 1


@dataclass(frozen=True)
class Diff:
    """The comparison of one issue: `lines` has each event by every source, `witnesses` names the sources, `rows` tells
    what else in SQL does not follow from the history.
    """

    issue: str
    lines: tuple[ComparedEvent, ...]
    witnesses: tuple[str, ...]
    rows: tuple[Finding, ...]

    @property
    def same(self) -> bool:
        return not self.rows and all(line.same for line in self.lines)

    def plain(self) -> dict[str, Any]:
        lines = [{"seq": line.seq, "same": line.same, **_shown(line)} for line in self.lines]
        head = {"issue": self.issue, "same": self.same, "witnesses": list(self.witnesses)}
        return {**head, "events": lines, "rows": [str(each) for each in self.rows]}


def compare(case: ArchivedCase, temporal: Refolded | None, archive: Refolded | None) -> Diff:
    """Compares the rows of the case with the events folded from Temporal's history and from the archive; None stands
    for a history that is missing.
    """
    witnesses: dict[str, Sequence[tuple[str, str]]] = {}
    for name, folded in (("temporal", temporal), ("archive", archive)):
        if folded is not None:
            plain = [dump_event(event) for event in folded.events]
            witnesses[name] = [(each["kind"], event_digest(each)) for each in plain]
    if case.rows is not None:
        witnesses["sql"] = [(str(each.get("kind")), event_digest(each)) for each in case.rows.events]
    sources = zip_longest(*witnesses.values())
    lines = tuple(ComparedEvent(seq, dict(zip(witnesses, each, strict=True))) for seq, each in enumerate(sources, 1))
    truth = archive or temporal
    if truth is None or case.rows is None:
        return Diff(case.issue, lines, tuple(witnesses), ())
    digests = [digest for _, digest in witnesses["archive" if archive is not None else "temporal"]]
    found = check_rows(truth, digests, case.rows)
    return Diff(
        case.issue, lines, tuple(witnesses), tuple(each for each in found if not each.where.startswith("event "))
    )


def _shown(line: ComparedEvent) -> dict[str, str | None]:
    return {name: None if event is None else " ".join(event) for name, event in line.sources.items()}
