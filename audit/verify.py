"""Strict replay checks that everything that is held of an issue follows from its history, and names everything that
does not.

It checks that today's code gives the commands that are in the history; that the signals, folded again through the
rules, give the events that were recorded, and the rows; that times agree with the server's; and that the chain of runs
and the seal are unbroken. It runs without Temporal, API and worker.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from audit.archive import ArchiveError, parse_history
from audit.case import ArchivedCase, Finding, Leaf, Rows, Runs, Step, Verdict
from audit.content import Contents, looked, unlooked
from audit.merkle import commitment, leaf_hash
from audit.orders import orders_of
from audit.record import facts
from audit.refold import Refolded, RefoldError, SerializedEvent, moment, refold
from audit.replaying import UnendedReplayError, replay_within
from audit.stored_batches import check_stored_batches
from audit.times import check_times
from db.rows import UNSEEN, columns, first_columns, voices, words
from domain.events import event_digest
from domain.wire import canonical, dump, format_time, truncate

_CONTINUED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
ENDLESS: Final = "the history ends here, without an end"


async def verify(
    cases: Sequence[ArchivedCase], *, commands: bool = True, contents: Contents | None = None, must_end: bool = False
) -> list[Verdict]:
    """The verdicts on the cases, in order. Without `commands`, histories are folded but not replayed with the
    workflow's code; without `contents`, texts and pictures are not looked at.

    The fold alone works for old histories even when the workflow's code has changed since. A replay that does not end
    within its limit is a finding, or with `must_end` an UnendedReplayError. Raises ReplayError.
    """
    verdicts: list[Verdict] = []
    whole: list[tuple[int, int, Sequence[HistoryEvent]]] = []
    for n, case in enumerate(cases):
        # One by one: each fold is freed before the next, which spares the garbage collector work.
        reading = _Reading(case)
        verdict = reading.verdict()
        if reading.folded is not None:
            found = reading.folded
            verdict = unlooked(found, verdict) if contents is None else await looked(contents, found, verdict)
        verdicts.append(verdict)
        whole += [(n, number, events) for number, events in enumerate(reading.runs if commands else ())]
    if not whole:
        return verdicts
    order = iter(whole)
    runs = ((cases[n].issue, number, events) for n, number, events in whole)
    async with contextlib.aclosing(replay_within(runs)) as replayed:
        async for each in replayed:
            if must_end and not each.has_ended:
                raise UnendedReplayError(*map(str, each.findings))
            n, _, _ = next(order)
            before = verdicts[n]
            findings = (*before.findings, *each.findings)
            verdicts[n] = replace(before, commands=before.commands + each.commands, findings=findings)
    return verdicts


class _Reading:
    """Reads one case: parses and folds its histories, and collects a finding for everything that does not hold."""

    def __init__(self, case: ArchivedCase) -> None:
        self.case = case
        self.found: list[Finding] = []
        self.runs: Runs = []
        self.folded: Refolded | None = None
        self.erased = case.erased
        if case.leaf is not None and case.leaf.record is None:
            # An erasure destroys the key of the texts only: a leaf without its content was tampered with.
            self._note("seal", f"leaf {case.leaf.position}", "its record and salt are gone")
            if case.is_bare:
                return
        self.runs = self._parsed()
        try:
            self.folded = refold(case.issue, self.runs)
        except RefoldError as error:
            self._note("fold", "history", str(error))

    def verdict(self) -> Verdict:
        case, folded = self.case, self.folded
        self._check_chain()
        if case.leaf is not None:
            self._take("seal", check_leaf(case.issue, case.leaf, case.kept))
        count = 0
        if folded is not None:
            written = folded.written
            count = len(written)
            for n in folded.carried:
                self._note("fold", f"run {n}, event 1", f"it does not go on from what run {n - 1} had come to")
            self._take("fold", check_stored_batches(folded, self.runs))
            self._take("time", check_times(folded, self.runs))
            self._check_outcome(folded)
            if case.leaf is not None and case.leaf.record is not None:
                self._take("seal", check_sealed_events(case.issue, case.leaf.record, written))
                self._take("seal", check_facts(folded, case.leaf.record))
            if case.rows is not None:
                self._take("rows", check_rows(folded, [each.digest for each in written], case.rows))
        begun = None if folded is None or not self.runs else format_time(truncate(moment(self.runs[0][0])))
        orders = () if folded is None else orders_of(folded)
        root = "" if folded is None else folded.root
        return Verdict(case.issue, len(self.runs), 0, count, tuple(self.found), self.erased, root, begun, orders)

    def _note(self, step: Step, where: str, what: str) -> None:
        self.found.append(Finding(step, self.case.issue, where, what))

    def _take(self, step: Step, findings: Iterator[Finding]) -> None:
        """Collects the findings of one step. If data makes the check itself fail, that becomes a finding, and the other
        steps go on.
        """
        try:
            for finding in findings:
                self.found.append(finding)
        except Exception as error:  # noqa: BLE001
            self._note(step, "data", f"it cannot be read: {type(error).__name__}: {str(error)[:200]}")

    def _parsed(self) -> list[list[HistoryEvent]]:
        """The parsed histories of the runs. The bytes of each run are compared with its digest in the record."""
        record = self.case.leaf.record if self.case.leaf else None
        sealed = [digest for _, digest in sealed_runs(record)]
        for why in self.case.unread:
            self._note("archive", "history", why)
        if record is not None and len(sealed) != len(self.case.runs):
            self._note("archive", "history", f"{len(self.case.runs)} runs, {len(sealed)} were sealed")
        parsed: list[list[HistoryEvent]] = []
        for n, data in enumerate(self.case.runs):
            if n < len(sealed) and hashlib.sha256(data).hexdigest() != sealed[n]:
                self._note("archive", f"run {n}", "the history is not the one that was sealed")
            try:
                parsed.append(parse_history(f"run {n}", data))
            except ArchiveError as error:
                self._note("archive", f"run {n}", str(error))
        return parsed

    def _check_chain(self) -> None:
        """Checks that the history events of each run are numbered without a gap, that each run continues the previous
        one, and that the last run has ended.
        """
        for n, events in enumerate(self.runs):
            numbers = [event.event_id for event in events]
            if numbers != list(range(1, len(numbers) + 1)):
                at = next(i for i, number in enumerate(numbers, 1) if i != number)
                self._note("archive", f"run {n}, event {at}", f"event {numbers[at - 1]} stands here")
        for n, (one, two) in enumerate(pairwise(self.runs)):
            if not one or one[-1].event_type != _CONTINUED or not two:
                self._note("archive", f"run {n}", "it is not continued by another run, but one follows")
                continue
            named = one[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            begun = two[0].workflow_execution_started_event_attributes
            if named != begun.original_execution_run_id:
                self._note("archive", f"run {n + 1}", f"run {n} is continued by {named}")
        if len(self.case.index) == len(self.runs):
            self._check_index()
        if self.runs and (not self.runs[-1] or self.runs[-1][-1].event_type != _COMPLETED):
            last = len(self.runs[-1])
            self._note("archive", f"run {len(self.runs) - 1}, event {last}", ENDLESS)

    def _check_index(self) -> None:
        """Checks what the archive's index in SQL says of each run beside its digest."""
        sealed = sealed_runs(self.case.leaf.record if self.case.leaf else None)
        for n, ((run, count, ended_at), events) in enumerate(zip(self.case.index, self.runs, strict=True)):
            named = sealed[n][0] if n < len(sealed) else run
            if events and (named, len(events), truncate(moment(events[-1]))) != (run, count, truncate(ended_at)):
                self._note("rows", f"archive, run {n}", "the index has another id, number of events or end of it")

    def _check_outcome(self, folded: Refolded) -> None:
        last = self.runs[-1][-1]
        if last.event_type != _COMPLETED:
            return
        where = f"run {len(self.runs) - 1}, event {last.event_id}"
        expected = canonical({"closed": dump(folded.state.closed), "version": folded.state.version})
        said = last.workflow_execution_completed_event_attributes.result.payloads
        if [each.data for each in said] != [expected]:
            self._note("fold", where, f"the outcome does not follow: it is {expected.decode()}")


def sealed_runs(record: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """``(id, SHA-256)`` of each run that a record names; empty if the record is None or malformed."""
    try:
        return [] if record is None else [(str(run["run"]), str(run["sha256"])) for run in record["runs"]]
    except (LookupError, TypeError):
        return []


def check_sealed_events(issue: str, record: Mapping[str, Any], written: Sequence[SerializedEvent]) -> Iterator[Finding]:
    """Checks that the history leads to the sealed events, and that its strict replay held when it was sealed."""
    sealed = record["events"]
    whole = b"[%b]" % b",".join(each.text for each in written)  # as `canonical` serializes the list
    if sealed["count"] != len(written) or sealed["digest"] != hashlib.sha256(whole).hexdigest():
        what = f"the history leads to {len(written)} events, {sealed['count']} others were sealed"
        yield Finding("fold", issue, "events", what)
    if not record["replay"]["holds"]:
        what = f"the replay did not hold when it was archived: {record['replay']}"
        yield Finding("commands", issue, "record", what)


def check_facts(folded: Refolded, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Checks that the fields of the record are those that follow from the history."""
    for name, value in facts(folded).items():
        if record.get(name) != value:
            what = f"{name} is {record.get(name)!r:.120}, the history leads to {value!r:.120}"
            yield Finding("seal", folded.issue, f"record, {name}", what)


def check_leaf(issue: str, leaf: Leaf, kept: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Checks that the leaf belongs to its record, that the record is the issue's, and that SQL and the archive (`kept`)
    hold the same seal.
    """
    where = f"leaf {leaf.position}"
    if leaf.salt is None or leaf.record is None:
        return
    if leaf_hash(commitment(leaf.salt, canonical(leaf.record))) != leaf.leaf:
        yield Finding("seal", issue, where, "the leaf is not that of this record")
    if leaf.record.get("issue") != issue:
        yield Finding("seal", issue, where, f"the record is that of issue {leaf.record.get('issue')}")
    here = leaf.seal()
    if kept is None:
        yield Finding("seal", issue, where, "the archive holds no seal of it")
    elif kept != here:
        names = sorted(name for name in here.keys() | kept.keys() if here.get(name) != kept.get(name))
        yield Finding("seal", issue, where, f"the seal in the archive is another one: {', '.join(names)}")


def check_rows(folded: Refolded, digests: Sequence[str], rows: Rows) -> Iterator[Finding]:
    """Checks that SQL holds the events, the row and the receipts that the history leads to; `digests` are those of the
    expected events.
    """
    issue = folded.issue
    expected = zip(digests, folded.events, rows.events, rows.beside, strict=False)
    for n, (ours, event, body, beside) in enumerate(expected, 1):
        if event_digest(body) != ours:
            yield Finding("rows", issue, f"event {n}", "the row holds another event than the history leads to")
        elif beside != (ours, event.kind, event.at, event.recorded_at):
            what = "what stands beside the event, digest, kind and times, is not its own"
            yield Finding("rows", issue, f"event {n}", what)
    if len(rows.events) < len(digests):
        yield Finding("rows", issue, f"event {len(rows.events) + 1}", f"{len(rows.events)} of {len(digests)} events")
    for n in range(len(digests) + 1, len(rows.events) + 1):
        yield Finding("rows", issue, f"event {n}", "the history leads to no such event")
    found = words(folded.events[0])
    if found == UNSEEN:
        found = {}  # the search words of sealed texts cannot be verified without the issue's key
    values = {**columns(folded.state), **first_columns(folded.policy, folded.calendars), **found}
    for name in sorted(name for name, value in values.items() if rows.columns.get(name) != value):
        what = f"it is {rows.columns.get(name)!r:.120}, not {values[name]!r:.120}"
        yield Finding("rows", issue, f"column {name}", what)
    heard = voices(folded.state)
    for person in sorted(heard.keys() | rows.voices.keys()):
        if heard.get(person) != rows.voices.get(person):
            yield Finding(
                "rows", issue, "voices", f"{person!r:.60} follows it, or does not, other than the history says"
            )
    for table, name in rows.forms:
        what = "it is stored in a form that Jiesu does not write, so that queries do not find it"
        yield Finding("rows", issue, f"{table}, {name}", what)
    receipts = {command: dump(receipt) for command, receipt in folded.state.receipts.items()}
    for command in sorted(receipts.keys() | rows.receipts.keys()):
        if receipts.get(command) != rows.receipts.get(command):
            yield Finding("rows", issue, f"receipt {command}", "it is not what the history leads to")
