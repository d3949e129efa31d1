"""Everything that can be altered in an archive, and the step that finds it: each row is done to a real installation.

``python tests/audit/test_tampers.py`` writes the list into the documents.
"""

import asyncio
import contextlib
import gc
import re
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete, func, select, update
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History
from temporalio.converter import PayloadConverter

from audit.archive import pack
from audit.case import STEPS, Finding, Leaf, Step
from audit.content import cited, sealed_texts
from audit.log import leaf_from
from audit.log_keys import LogKeys, TrustedKeys
from audit.merkle import Tree, commitment, leaf_hash
from audit.notes import TreeHead
from audit.orders import check_orders
from audit.roots import check_root, read_roots
from audit.verify import verify
from audit.verify_all import AuditReport, open_holdings, verify_log
from db.tables import (
    AccessRow,
    AlarmRow,
    ArchiveRow,
    AttachmentRow,
    ErasureRow,
    EventRow,
    HeadRow,
    IssueRow,
    OutboxRow,
    PolicyRow,
    ReceiptRow,
    SealRow,
    SearchTerm,
    VoiceRow,
)  # fmt: skip
from domain.events import Reported, chain, event_digest
from domain.personal import Sealed, is_sealed
from domain.pins import pins_digest, read_calendars, read_policy
from domain.wire import canonical, format_time
from security.master import MasterFile
from support import stranger
from support.crowd import Crowd
from support.signers import lasting_signer
from support.tampering import (
    Forge,
    Forgery,
    Names,
    Scene,
    Subject,
    Tamper,
    UnfitError,
    at,
    cut,
    edit,
    insert,
    of_kind,
    put,
    shift,
    some,
    subjects,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
BEGIN, END = "<!-- tampers: begin -->", "<!-- tampers: end -->"

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")

SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
CONTINUED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
TIMER_FIRED = EventType.EVENT_TYPE_TIMER_FIRED
TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
ACTIVITY_DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
MARKER = EventType.EVENT_TYPE_MARKER_RECORDED

THIEF = lasting_signer()
"""It is with this key that all tests sign."""


def in_clear(subject: Subject) -> bool:
    """Whether what was reported is not sealed."""
    return not isinstance(next(subject.folded.states())[0].body.description, Sealed)


def by_thief(forge: Forge) -> Forge:
    """The same by somebody who has stolen the key that signs commands: he signs anew what he altered."""

    def alter(subject: Subject, runs: list[History]) -> Names | None:
        names = forge(subject, runs)
        for run, data in zip(runs, subject.histories, strict=True):
            for event, before in zip(run.events, History.FromString(data).events, strict=True):
                if event.event_type == SIGNALED and event != before:
                    said = event.workflow_execution_signaled_event_attributes
                    edit(said.input.payloads[0], partial(_sign, subject.issue, said.signal_name))
        edit(_start(runs), partial(_sign_start, subject.issue))
        return names

    return alter


def _sign(issue: str, name: str, plain: dict[str, Any]) -> None:
    del plain["proof"]
    plain.update(THIEF.sign(THIEF.root, issue, name, plain))


def _sign_start(issue: str, plain: dict[str, Any]) -> None:
    policy, calendars = read_policy(plain["policy"]), read_calendars(plain["calendars"])
    plain["report"]["body"]["pins"] = pins_digest(policy, calendars, plain["rules_version"])
    _sign(issue, "report", plain["report"])


# Histories


def _given(subject: Subject, wanted: Callable[[Any, Any], bool]) -> Any:
    return some((taken, event) for taken, event in subject.given() if wanted(taken, event))


def _record(subject: Subject, seq: int, moved: int = 0) -> Names:
    """Where event `seq` was recorded, in a run that has become longer or shorter before it."""
    found = subject.record_of(seq)
    return {"n": found.run, "event": found.event_id + moved}


def _signal(runs: Sequence[History], taken: Any) -> Any:
    return at(runs, taken.run, taken.event_id).workflow_execution_signaled_event_attributes


def _is_staff(taken: Any) -> bool:
    return taken.command.actor is not None and taken.command.actor.role != "resident"


def text(subject: Subject, runs: list[History]) -> Names:
    taken, event = _given(subject, lambda taken, _: taken.command.name in ("accept", "comment", "complete"))
    name = "text" if taken.command.name == "comment" else "note"
    edit(_signal(runs, taken).input.payloads[0], lambda plain: plain["body"].update({name: "改过"}))
    return _record(subject, event.seq)


def actor(subject: Subject, runs: list[History]) -> Names:
    taken, event = _given(subject, lambda taken, _: _is_staff(taken))
    edit(_signal(runs, taken).input.payloads[0], lambda plain: plain["actor"].update({"person": "somebody-else"}))
    return _record(subject, event.seq)


def signal_name(subject: Subject, runs: list[History]) -> Names:
    taken, event = _given(subject, lambda taken, _: taken.command.name == "accept")
    _signal(runs, taken).signal_name = "comment"
    return _record(subject, event.seq)


def command_time(subject: Subject, runs: list[History]) -> Names:
    """By so little that a delivery may have taken it."""
    before = {event.seq + 1: event.at for event in subject.folded.events}
    little = timedelta(milliseconds=200)
    taken, event = _given(
        subject,
        lambda taken, event: event.at == taken.command.at and event.at - before.get(event.seq, event.at) > little,
    )
    _restamp(runs, taken, taken.command.at - little)
    return _record(subject, event.seq)


def command_long_before(subject: Subject, runs: list[History]) -> Names:
    """Not that of a merge, which bears the time of what another issue was told."""
    taken, _ = _given(subject, lambda taken, _: taken.command.name != "merge")
    _restamp(runs, taken, taken.command.at - timedelta(hours=1))
    return {"n": taken.run, "event": taken.event_id}


def command_long_after(subject: Subject, runs: list[History]) -> Names:
    taken, _ = _given(subject, lambda taken, _: True)
    _restamp(runs, taken, taken.command.at + timedelta(hours=1))
    return {"n": taken.run, "event": taken.event_id}


def _restamp(runs: Sequence[History], taken: Any, moment: datetime) -> None:
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    edit(_signal(runs, taken).input.payloads[0], lambda plain: plain.update({"at": text}))


def task_time(subject: Subject, runs: list[History]) -> Names:
    turn = some(turn for turn in subject.folded.turns if any(event.recorded_at for event in turn.events))
    shift(at(runs, turn.run, turn.event_id), 3)
    return _record(subject, turn.events[0].seq)


def task_long_before(subject: Subject, runs: list[History]) -> Names:
    n, event = some((n, event) for n, event in of_kind(runs, TASK_STARTED) if event.event_id > 5)
    shift(event, -3_600_000)
    return {"n": n, "event": event.event_id}


def signal_time(subject: Subject, runs: list[History]) -> Names:
    taken, _ = _given(subject, lambda taken, _: True)
    shift(at(runs, taken.run, taken.event_id), -3_600_000)
    return {"n": taken.run, "event": taken.event_id}


def timer_duration(subject: Subject, runs: list[History]) -> Names:
    n, event = some(of_kind(runs, TIMER_STARTED))
    event.timer_started_event_attributes.start_to_fire_timeout.seconds += 30
    return {"n": n, "event": event.event_id}


def timer_clause(subject: Subject, runs: list[History]) -> Names:
    n, event = some(of_kind(runs, TIMER_STARTED))
    event.user_metadata.summary.data = b'"street-accept-2"'
    return {"n": n, "event": event.event_id}


def timer_early(subject: Subject, runs: list[History]) -> Names:
    """By 0.6 s before it was due: on a busy machine it may have fired seconds late."""
    n, event = some(of_kind(runs, TIMER_FIRED))
    started = at(runs, n, event.timer_fired_event_attributes.started_event_id)
    due = started.event_time.ToNanoseconds()
    due += started.timer_started_event_attributes.start_to_fire_timeout.ToNanoseconds()
    event.event_time.FromNanoseconds(due - 600_000_000)
    return {"n": n, "event": event.event_id}


def timer_dropped(subject: Subject, runs: list[History]) -> Names:
    """A climb that never was: the timer fired, and the task that followed had nothing else to do."""
    turn = some(
        turn for turn in subject.folded.turns if not turn.inbox and any(event.recorded_at for event in turn.events)
    )
    fired = some(
        event
        for event in reversed(runs[turn.run].events[: turn.event_id])
        if event.event_type == TIMER_FIRED and event.event_id > turn.event_id - 3
    )
    cut(runs[turn.run], fired.event_id)
    return {"n": turn.run}


def _ordered(subject: Subject, runs: list[History]) -> tuple[int, Any, Any]:
    """An ordinary activity that recorded something: its run, its order, its result."""
    n, done = some(of_kind(runs, ACTIVITY_DONE))
    return n, at(runs, n, done.activity_task_completed_event_attributes.scheduled_event_id), done


def activity_input(subject: Subject, runs: list[History]) -> Names:
    n, order, _ = _ordered(subject, runs)
    payload = order.activity_task_scheduled_event_attributes.input.payloads[0]
    edit(payload, lambda plain: plain["events"][-1].update({"level": "district"}))
    return {"n": n, "event": order.event_id}


def activity_limit(subject: Subject, runs: list[History]) -> Names:
    n, order, _ = _ordered(subject, runs)
    order.activity_task_scheduled_event_attributes.start_to_close_timeout.seconds += 1
    return {"n": n, "event": order.event_id}


def activity_result(subject: Subject, runs: list[History]) -> Names:
    n, _, done = _ordered(subject, runs)
    done.activity_task_completed_event_attributes.result.payloads[0].data = b'"00000000000000000000000000000000"'
    return {"n": n, "event": done.event_id}


def _marker(runs: Sequence[History], *, failed: bool) -> tuple[int, Any]:
    return some(
        (n, event)
        for n, event in of_kind(runs, MARKER)
        if event.marker_recorded_event_attributes.HasField("failure") == failed
    )


def marker_result(subject: Subject, runs: list[History]) -> Names:
    n, event = _marker(runs, failed=False)
    details = event.marker_recorded_event_attributes.details
    details["result"].payloads[0].data = b'"00000000000000000000000000000000"'
    return {"n": n, "event": event.event_id}


def marker_failed(subject: Subject, runs: list[History]) -> Names:
    n, event = _marker(runs, failed=False)
    marker = event.marker_recorded_event_attributes
    del marker.details["result"]
    marker.failure.message = "the database was away just now"
    marker.failure.application_failure_info.type = "BreakerOpen"
    return {"n": n}


def marker_made_good(subject: Subject, runs: list[History]) -> Names:
    """The local activity is said to have stored what the ordinary one stored after it."""
    n, event = _marker(runs, failed=True)
    order = some(each for m, each in of_kind(runs, SCHEDULED) if m == n and each.event_id > event.event_id)
    batch = PayloadConverter.default.from_payload(
        order.activity_task_scheduled_event_attributes.input.payloads[0], dict
    )
    marker = event.marker_recorded_event_attributes
    marker.ClearField("failure")
    digest = chain(map(event_digest, batch["events"]))
    marker.details["result"].payloads.append(PayloadConverter.default.to_payload(digest))
    return {"n": n}


def outcome(subject: Subject, runs: list[History]) -> Names:
    n, event = some(of_kind(runs, COMPLETED))
    payload = event.workflow_execution_completed_event_attributes.result.payloads[0]
    edit(payload, lambda plain: plain["closed"].update({"kind": "partly"}))
    return {"n": n, "event": event.event_id}


def _start(runs: Sequence[History], n: int = 0) -> Payload:
    return runs[n].events[0].workflow_execution_started_event_attributes.input.payloads[0]


def policy_limit(subject: Subject, runs: list[History]) -> Names:
    edit(_start(runs), lambda plain: plain["policy"]["clause"][0].update({"limit": "9h"}))
    return _record(subject, 1)


def place(subject: Subject, runs: list[History]) -> Names:
    edit(_start(runs), lambda plain: plain["report"]["body"]["place"].update({"street": "another"}))
    return _record(subject, 1)


def report(subject: Subject, runs: list[History]) -> Names:
    edit(_start(runs), lambda plain: plain["report"]["body"].update({"description": "没什么"}))
    return _record(subject, 1)


def rules_version(subject: Subject, runs: list[History]) -> Names:
    edit(_start(runs), lambda plain: plain.update({"rules_version": 99}))
    return {}


def carried_state(subject: Subject, runs: list[History]) -> Names:
    if len(runs) == 1:
        raise UnfitError
    edit(_start(runs, 1), lambda plain: plain["state"].update({"reopened": 3}))
    return {"n": 1}


def carried_policy(subject: Subject, runs: list[History]) -> Names:
    if len(runs) == 1:
        raise UnfitError
    edit(_start(runs, 1), lambda plain: plain["policy"].update({"title": "另一个"}))
    return {"n": 1}


def state_carried_on(subject: Subject, runs: list[History]) -> Names:
    n, event = some(of_kind(runs, CONTINUED))
    payload = event.workflow_execution_continued_as_new_event_attributes.input.payloads[0]
    edit(payload, lambda plain: plain["state"].update({"reopened": 3}))
    return {"n": n, "event": event.event_id}


def signals_swapped(subject: Subject, runs: list[History]) -> Names:
    """Two that were folded together, each with events of its own."""
    led_to = {taken.event_id: event for taken, event in subject.given()}
    one, two, turn = some(
        (one, two, turn)
        for turn in subject.folded.turns
        for one, two in zip(turn.inbox, turn.inbox[1:], strict=False)
        if one.event_id in led_to and two.event_id in led_to and one.event_id > 1
    )
    first, second = _signal(runs, one), _signal(runs, two)
    kept = type(first)()
    kept.CopyFrom(first)
    first.CopyFrom(second)
    second.CopyFrom(kept)
    return _record(subject, turn.events[0].seq)


def signal_dropped(subject: Subject, runs: list[History]) -> Names:
    taken, event = _given(subject, lambda taken, _: True)
    cut(runs[taken.run], taken.event_id)
    return _record(subject, event.seq, moved=-1)


def signal_doubled(subject: Subject, runs: list[History]) -> Names:
    """A second one under an id of its own, right after the first."""
    taken, event = _given(subject, lambda taken, _: True)
    again = type(runs[0].events[0])()
    again.CopyFrom(at(runs, taken.run, taken.event_id))
    edit(
        again.workflow_execution_signaled_event_attributes.input.payloads[0], lambda plain: plain.update({"id": "new"})
    )
    insert(runs[taken.run], again, taken.event_id + 1)
    return _record(subject, event.seq, moved=1)


def signal_gone(subject: Subject, runs: list[History]) -> Names:
    """Without closing the gap."""
    taken, _ = _given(subject, lambda taken, _: True)
    del runs[taken.run].events[taken.event_id - 1]
    return {"n": taken.run, "event": taken.event_id}


def renumbered(subject: Subject, runs: list[History]) -> Names:
    runs[0].events[3].event_id += 1
    return {"n": 0, "event": 4}


def tail(subject: Subject, runs: list[History]) -> Names:
    n = len(runs) - 1
    del runs[n].events[-3:]
    return {"n": n, "event": len(runs[n].events)}


def continued_elsewhere(subject: Subject, runs: list[History]) -> Names:
    n, event = some(of_kind(runs, CONTINUED))
    event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id = (
        runs[n].events[0].workflow_execution_started_event_attributes.original_execution_run_id
    )
    return {"n": n + 1}


def runs_swapped(subject: Subject, runs: list[History]) -> Names:
    if len(runs) == 1:
        raise UnfitError
    runs.reverse()
    return {}


def identity(subject: Subject, runs: list[History]) -> Names:
    taken, _ = _given(subject, lambda taken, _: True)
    _signal(runs, taken).identity = "nobody"
    return {}


def signal_a_little_later(subject: Subject, runs: list[History]) -> Names:
    taken, _ = _given(subject, lambda taken, _: taken.command.at <= taken.at)
    shift(at(runs, taken.run, taken.event_id), 5)
    return {}


HEAD = r"head \S+"
TEXT = r"run \d+, event \d+, \S+"
FORGERIES = (
    Forgery("a signal's payload: what was said", text, "fold", "run {n}, event {event}"),
    Forgery("a signal's payload: who said it", actor, "fold", "run {n}, event {event}"),
    Forgery("a signal's name", signal_name, "fold", "run {n}, event {event}"),
    Forgery("a command's time, by 0.2 s", command_time, "fold", "run {n}, event {event}"),
    Forgery("a command's time, an hour back, signed with a stolen key", by_thief(command_long_before), "time", "run {n}, event {event}"),
    Forgery("a command's time, an hour back", command_long_before, "fold", r"run {n}, event \d+"),
    Forgery("a command's time, an hour on, signed with a stolen key", by_thief(command_long_after), "time", "run {n}, event {event}"),
    Forgery("a command's time, an hour on", command_long_after, "fold", r"run {n}, event \d+"),
    Forgery("the server's time of a workflow task, by 3 ms", task_time, "fold", "run {n}, event {event}"),
    Forgery("the server's time of a workflow task, an hour back", task_long_before, "time", "run {n}, event {event}"),
    Forgery("the server's time of a signal, an hour back", signal_time, "time", "run {n}, event {event}"),
    Forgery("a timer's duration", timer_duration, "commands", "run {n}, event {event}"),
    Forgery("the clause that a timer names", timer_clause, "commands", "run {n}, event {event}"),
    Forgery("a timer that fired earlier", timer_early, "time", "run {n}, event {event}"),
    Forgery("a timer that never fired", timer_dropped, "fold", r"run {n}, event \d+|history"),
    Forgery("an activity's input", activity_input, "commands", "run {n}, event {event}"),
    Forgery("an activity's time limit", activity_limit, "commands", "run {n}, event {event}"),
    Forgery("an activity's result", activity_result, "fold", "run {n}, event {event}"),
    Forgery("a local activity's result", marker_result, "fold", "run {n}, event {event}"),
    Forgery("a local activity turned into one that failed", marker_failed, "commands", r"run {n}(, event \d+)?"),
    Forgery("a local activity that failed turned into one that did not", marker_made_good, "commands",
            r"run {n}(, event \d+)?"),
    Forgery("the workflow's result", outcome, "fold", "run {n}, event {event}"),
    Forgery("the start: a limit of the policy, signed with a stolen key", by_thief(policy_limit), "fold",
            "run {n}, event {event}"),
    Forgery("the start: the place, signed with a stolen key", by_thief(place), "fold",
            "run {n}, event {event}"),
    Forgery("the start: what was reported, signed with a stolen key", by_thief(report), "fold",
            "run {n}, event {event}"),
    Forgery("the start: a limit of the policy", policy_limit, "fold", "history"),
    Forgery("the start: the place", place, "fold", "history"),
    Forgery("the start: what was reported", report, "fold", "history"),
    Forgery("the start: the version of the rules", rules_version, "fold", "history"),
    Forgery("the state with which a run goes on", carried_state, "fold", "run {n}, event 1"),
    Forgery("the policy with which a run goes on", carried_policy, "fold", "run {n}, event 1"),
    Forgery("the state that a run passes on", state_carried_on, "commands", "run {n}, event {event}"),
    Forgery("the order of two signals", signals_swapped, "fold", "run {n}, event {event}"),
    Forgery("a signal taken out", signal_dropped, "fold", "run {n}, event {event}"),
    Forgery("a signal put in", signal_doubled, "fold", "run {n}, event {event}"),
    Forgery("an event taken out, the others not renumbered", signal_gone, "archive", "run {n}, event {event}"),
    Forgery("an event's number", renumbered, "archive", "run {n}, event {event}"),
    Forgery("the tail cut off", tail, "archive", "run {n}, event {event}"),
    Forgery("the run that a run is continued by", continued_elsewhere, "archive", "run {n}"),
    Forgery("two runs of a chain swapped", runs_swapped, "archive", "run 0"),
    Forgery("the process that sent a signal, as Temporal knows it", identity, "head", HEAD),
    Forgery("the server's time of a signal, by 5 ms", signal_a_little_later, "head", HEAD),
)  # fmt: skip


def forged(scene: Scene, runs: Sequence[History], *, reseal: bool) -> int:
    """Puts the histories in the place of the true ones; the first run that differs."""
    written = [run.SerializeToString(deterministic=True) for run in runs]
    changed = [n for n, history in enumerate(written) if history != scene.victim.histories[n]]
    for n in changed:
        scene.write(n, written[n])
    if reseal:
        scene.reseal()
    return changed[0]


# Files


def truncated(scene: Scene) -> None:
    file = scene.file(0)
    put(file, file.read_bytes()[:-40])


def missing(scene: Scene) -> None:
    scene.file(0).unlink()


def other_content(scene: Scene) -> None:
    put(scene.file(0), pack(b"no history at all"))


def trailing(scene: Scene) -> None:
    """A whole frame after the first: a reader that stops there would not see it."""
    file = scene.file(0)
    put(file, file.read_bytes() + pack(b"more"))


def unknown_field(scene: Scene) -> None:
    """Bytes that today's protobuf does not know."""
    scene.write(0, scene.victim.histories[0] + b"\xfa\x7f\x03abc")


def histories_swapped(scene: Scene, *, reseal: bool) -> None:
    other = scene.others[0]
    scene.write(0, other.histories[0])
    scene.write(0, scene.victim.histories[0], other.issue)
    if reseal:
        scene.reseal()
        scene.reseal(other.issue)


def index_gone(scene: Scene) -> None:
    scene.session.execute(delete(ArchiveRow).where(ArchiveRow.issue == scene.victim.issue))


def index_elsewhere(scene: Scene) -> None:
    """The index leads to the history of another issue."""
    scene.index()[0].key = scene.index(scene.others[0].issue)[0].key


def last_run_dropped(scene: Scene) -> Names:
    last = scene.index()[-1]
    scene.file(last.n).unlink()
    scene.session.delete(last)
    scene.session.flush()
    scene.reseal()
    n = last.n - 1
    return {"n": n, "event": len(scene.victim.runs[n].events)}


# Rows


def _event(scene: Scene, wanted: Callable[[EventRow], bool] = lambda _: True) -> EventRow:
    of = EventRow.issue == scene.victim.issue
    return some(row for row in scene.session.scalars(select(EventRow).where(of).order_by(EventRow.seq)) if wanted(row))


def _issue(scene: Scene) -> IssueRow:
    row = scene.session.get(IssueRow, scene.victim.issue)
    assert row is not None
    return row


def event_body(scene: Scene, *, digest: bool) -> Names:
    row = _event(scene, lambda row: row.kind == "completed")
    row.body = {**row.body, "at": "2026-01-01T00:00:00.000Z"}
    if digest:
        row.digest = event_digest(row.body)
    return {"seq": row.seq}


def event_digest_only(scene: Scene) -> Names:
    row = _event(scene)
    row.digest = "0" * len(row.digest)
    return {"seq": row.seq}


def event_deleted(scene: Scene) -> Names:
    row = _event(scene, lambda row: row.kind == "overdue")
    scene.session.delete(row)
    return {"seq": row.seq}


def last_event_deleted(scene: Scene) -> Names:
    row = _event(scene, lambda row: row.seq == scene.victim.folded.state.version)
    scene.session.delete(row)
    return {"seq": row.seq}


def event_inserted(scene: Scene) -> Names:
    row = _event(scene, lambda row: row.seq == scene.victim.folded.state.version)
    copied = {column.name: getattr(row, column.name) for column in EventRow.__table__.columns}
    body = {**row.body, "seq": row.seq + 1, "kind": "commented"}
    scene.session.add(EventRow(**{**copied, "seq": row.seq + 1, "body": body, "digest": event_digest(body)}))
    return {"seq": row.seq + 1}


def column(name: str, value: Callable[[Any], Any]) -> Callable[[Scene], Names]:
    def alter(scene: Scene) -> Names:
        row = _issue(scene)
        before = getattr(row, name)
        setattr(row, name, value(before))
        return {"column": name}

    return alter


def receipt_edited(scene: Scene) -> Names:
    row = some(scene.session.scalars(_receipts(scene).where(ReceiptRow.outcome == "refused")))
    row.outcome, row.code, row.params = "applied", "", {}
    return {"command": row.command_id}


def receipt_deleted(scene: Scene) -> Names:
    row = some(scene.session.scalars(_receipts(scene)))
    scene.session.delete(row)
    return {"command": row.command_id}


def _receipts(scene: Scene) -> Any:
    return select(ReceiptRow).where(ReceiptRow.issue == scene.victim.issue).order_by(ReceiptRow.seq)


def row_deleted(scene: Scene) -> None:
    scene.session.execute(update(IssueRow).where(IssueRow.id == scene.victim.issue).values(id="away"))


# Keys


def erased(subject: Subject) -> bool:
    return subject.erased


def has_texts(subject: Subject) -> bool:
    return not subject.erased and any(sealed_texts(subject.folded))


def has_sealed_report(subject: Subject) -> bool:
    """Words of a report in clear follow from the history, so that they cannot be emptied unseen."""
    report = subject.folded.events[0].body
    return has_texts(subject) and isinstance(report, Reported) and is_sealed(report)


def key_gone(scene: Scene) -> None:
    scene.keys("DELETE FROM issue_keys WHERE issue = ?", scene.victim.issue)


def keys_exchanged(scene: Scene) -> None:
    """Both are wrapped by the master key, each for its own issue."""
    scene.keys(_WRAPPED_OF, some(filter(has_texts, scene.others)).issue, scene.victim.issue)


def key_made_anew(scene: Scene) -> None:
    """By somebody who has the master key."""
    masters = MasterFile(scene.crowd.vault / "master.json")
    with ThreadPoolExecutor() as pool:  # the test has a loop of its own
        wrapped = pool.submit(asyncio.run, masters.wrap(bytes(32), scene.victim.issue.encode())).result()
    scene.keys("UPDATE issue_keys SET wrapped = ? WHERE issue = ?", wrapped.data, scene.victim.issue)


def master_unknown(scene: Scene) -> None:
    scene.keys("UPDATE issue_keys SET master = 'another' WHERE issue = ?", scene.victim.issue)


def key_destroyed(scene: Scene) -> None:
    scene.keys(_DESTROYED, format_time(LONG_AGO), "request", scene.victim.issue)


def tombstone_gone(scene: Scene) -> None:
    key_gone(scene)


def tombstone_made_a_key(scene: Scene) -> None:
    scene.keys(
        "UPDATE issue_keys SET wrapped = x'00', master = 'm', destroyed_at = NULL WHERE issue = ?", scene.victim.issue
    )


def tombstone_of_none(scene: Scene) -> None:
    scene.keys("INSERT INTO issue_keys VALUES ('ghost', NULL, NULL, ?, ?, 'request')", *[format_time(LONG_AGO)] * 2)


def trigger_on_keys(scene: Scene) -> None:
    with contextlib.closing(sqlite3.connect(scene.crowd.vault / "issues.db")) as connection:
        connection.execute(f"CREATE TRIGGER spy AFTER INSERT ON issue_keys {_NOTHING}")


_DESTROYED = "UPDATE issue_keys SET wrapped = NULL, master = NULL, destroyed_at = ?, why = ? WHERE issue = ?"
_WRAPPED_OF = "UPDATE issue_keys SET wrapped = (SELECT wrapped FROM issue_keys WHERE issue = ?) WHERE issue = ?"
_NOTHING = "BEGIN SELECT 1; END"


def _erasure(scene: Scene) -> ErasureRow:
    row = scene.session.get(ErasureRow, scene.victim.issue)
    assert row is not None
    return row


def erasure_forged(scene: Scene) -> None:
    scene.session.add(ErasureRow(issue=scene.victim.issue, why="request", asked_at=LONG_AGO, done_at=LONG_AGO))


def erasure_of_none(scene: Scene) -> None:
    scene.session.add(ErasureRow(issue="ghost", why="request", asked_at=LONG_AGO, done_at=LONG_AGO))


def erasure_gone(scene: Scene) -> None:
    scene.session.delete(_erasure(scene))


def erasure_column(name: str, value: Callable[[ErasureRow], object]) -> Callable[[Scene], None]:
    def alter(scene: Scene) -> None:
        row = _erasure(scene)
        setattr(row, name, value(row))

    return alter


def no_time(statement: str) -> Callable[[Scene], None]:
    return lambda scene: _sql(scene, statement, scene.victim.issue)


def _sql(scene: Scene, statement: str, *values: str) -> None:
    assert scene.session.connection().exec_driver_sql(statement, values).rowcount


# Pictures


def cites(subject: Subject) -> bool:
    """Whether a completion names a picture; here no other event tells of such."""
    return not subject.erased and any(cited(subject.folded).values())


def picture_gone(scene: Scene) -> Names:
    digest, file = scene.picture()
    file.unlink()
    return {"picture": digest[:12]}


def picture_exchanged(scene: Scene) -> Names:
    digest, file = scene.picture()
    other = some(each for each in scene.others if cites(each))
    put(file, scene.picture(other)[1].read_bytes())
    return {"picture": digest[:12]}


def picture_column(name: str, value: object) -> Callable[[Scene], Names]:
    def alter(scene: Scene) -> Names:
        digest, _ = scene.picture()
        row = scene.session.get(AttachmentRow, (scene.victim.issue, digest))
        assert row is not None
        setattr(row, name, value)
        return {"picture": digest[:12]}

    return alter


def picture_unlisted(scene: Scene) -> Names:
    digest, _ = scene.picture()
    _sql(scene, "DELETE FROM attachments WHERE issue = ? AND digest = ?", scene.victim.issue, digest)
    return {"picture": digest[:12]}


def other_uploader(scene: Scene) -> Names:
    """Another text that was sealed with the issue's key."""
    digest, _ = scene.picture()
    said = next(str(text) for _, text in sealed_texts(scene.victim.folded))
    _sql(scene, "UPDATE attachments SET added_by = ? WHERE issue = ? AND digest = ?", said, scene.victim.issue, digest)
    return {"picture": digest[:12]}


# What lies beside


def index_column(name: str, value: object) -> Callable[[Scene], None]:
    return lambda scene: setattr(scene.index()[0], name, value)


def index_thinned(scene: Scene) -> None:
    """Nobody finds these words any more."""
    _sql(scene, "DELETE FROM search_terms WHERE issue = ?", scene.victim.issue)


def words_emptied(scene: Scene) -> None:
    """As before the job that works them out: neither words nor pairs."""
    _issue(scene).words = ""
    scene.session.execute(delete(SearchTerm).where(SearchTerm.issue == scene.victim.issue))


def has_words(subject: Subject) -> bool:
    return not subject.erased


def stray_file(scene: Scene) -> None:
    (scene.seal_file().parent / "9-another.pb.zst").write_bytes(pack(b"more"))


def stray_elsewhere(scene: Scene) -> None:
    (scene.crowd.folder / "archive" / "notes.txt").write_text("x")


def trigger(scene: Scene) -> None:
    scene.session.connection().exec_driver_sql(f"CREATE TRIGGER spy AFTER UPDATE ON issues {_NOTHING}")


def view(scene: Scene) -> None:
    scene.session.connection().exec_driver_sql("CREATE VIEW spy AS SELECT * FROM events")


def follower_added(scene: Scene) -> None:
    scene.session.add(VoiceRow(issue=scene.victim.issue, person="a-stranger", reported=False))


# The log


def leaf_rewritten(scene: Scene) -> Names:
    row = scene.seal()
    row.leaf = "00" * 32
    return {"leaf": row.position}


def record_rewritten(scene: Scene, *, kept: bool) -> Names:
    row = scene.seal()
    assert row.record is not None
    row.record = {**row.record, "closed": {"kind": "solved", "satisfaction": "satisfied"}, "version": 1}
    if kept:
        scene.session.flush()
        scene.put_seal(leaf_from(row))
    return {"leaf": row.position}


def record_resealed(scene: Scene) -> None:
    scene.reseal(change=lambda record: record.update({"closed": {"kind": "partly", "satisfaction": "satisfied"}}))


def salt_changed(scene: Scene) -> Names:
    row = scene.seal()
    row.salt = "11" * 32
    return {"leaf": row.position}


def salt_changed_all_over(scene: Scene) -> None:
    row = scene.seal()
    row.salt = "11" * 32
    assert row.record is not None
    scene.put_leaf(row, row.record)


def seal_differs(scene: Scene) -> Names:
    leaf = leaf_from(scene.seal())
    scene.put_seal(Leaf(leaf.position, leaf.leaf, leaf.salt, {**(leaf.record or {}), "version": 1}))
    return {"leaf": leaf.position}


def seal_missing(scene: Scene) -> Names:
    scene.seal_file().unlink()
    return {"leaf": scene.seal().position}


def leaves_swapped(scene: Scene) -> Names:
    one, two = scene.seal(), scene.seal(scene.others[0].issue)
    positions = one.position, two.position
    for row, position in ((one, -1), (two, positions[0]), (one, positions[1])):
        row.position = position
        scene.session.flush()
    return {"leaf": positions[1]}


def leaf_dropped(scene: Scene) -> Names:
    row = scene.seal()
    scene.session.delete(row)
    return {"leaf": row.position}


def last_leaves_dropped(scene: Scene) -> Names:
    last = scene.session.scalar(select(func.max(SealRow.position))) or 0
    scene.session.execute(delete(SealRow).where(SealRow.position > last - 3))
    return {"size": last + 1}


def _newest(scene: Scene) -> HeadRow:
    return some(scene.session.scalars(select(HeadRow).order_by(HeadRow.at.desc())))


def _outside(scene: Scene, size: int) -> Path:
    return some(scene.crowd.heads.glob(f"{size}-*.txt"))


def log_rebuilt(scene: Scene, *, outside: bool) -> Names:
    """Every leaf under a new salt, and new heads by a key of his own; `outside` too, if he reaches that far."""
    for row in scene.session.scalars(select(SealRow).order_by(SealRow.position)):
        assert row.record is not None
        row.salt = "22" * 32
        row.leaf = leaf_hash(commitment(bytes.fromhex(row.salt), canonical(row.record))).hex()
        scene.put_seal(leaf_from(row), row.issue)
    leaves = [bytes.fromhex(leaf) for leaf in scene.session.scalars(select(SealRow.leaf).order_by(SealRow.position))]
    tree = Tree(leaves)
    forger = LogKeys.create(scene.crowd.folder / "forged", "crowd.example/jiesu")
    size = 0
    for row in scene.session.scalars(select(HeadRow).order_by(HeadRow.at)):
        size = row.size
        row.root = tree.root(size).hex()
        row.note = forger.sign(TreeHead(forger.name, size, tree.root(size), row.at))
        if outside:
            _outside(scene, size).write_text(row.note, "utf-8")
    return {"size": size}


def head_rolled_back(scene: Scene) -> Names:
    row = _newest(scene)
    scene.session.delete(row)
    return {"size": row.size}


def log_rolled_back(scene: Scene) -> Names:
    """Leaves and heads back to half-way, in the database only."""
    head, half = scene.session.scalars(select(HeadRow).order_by(HeadRow.at.desc())).all()
    scene.session.execute(delete(SealRow).where(SealRow.position >= half.size))
    scene.session.delete(head)
    return {"size": head.size}


def note_edited(scene: Scene) -> Names:
    row = _newest(scene)
    row.note = row.note.replace(f"\n{row.size}\n", f"\n{row.size - 1}\n")
    return {"size": row.size}


def published_note_edited(scene: Scene) -> Names:
    size = _newest(scene).size
    file = _outside(scene, size)
    file.write_text(file.read_text("utf-8").replace(f"\n{size}\n", f"\n{size - 1}\n"), "utf-8")
    return {"size": size}


def published_head_gone(scene: Scene) -> Names:
    size = _newest(scene).size
    _outside(scene, size).unlink()
    return {"size": size}


def having(*kinds: str) -> Callable[[Subject], bool]:
    """Whether such events happened."""
    return lambda subject: set(kinds) <= {event.kind for event in subject.folded.events}


def has_runs(subject: Subject) -> bool:
    return len(subject.histories) > 1


ISSUE = "the row of the issue: "


def event_column(name: str, value: object) -> Callable[[Scene], None]:
    def alter(scene: Scene) -> None:
        setattr(_event(scene, lambda row: row.kind == "overdue"), name, value)

    return alter


def issue_column(name: str, value: object) -> Callable[[Scene], None]:
    return lambda scene: setattr(_issue(scene), name, value)


def index_row(scene: Scene) -> None:
    scene.index()[0].sha256 = "00" * 32


def policy_text(scene: Scene) -> None:
    row = some(scene.session.scalars(select(PolicyRow)))
    row.body = {**row.body, "title": "另一个"}


def outbox_emptied(scene: Scene) -> None:
    scene.session.execute(delete(OutboxRow).where(OutboxRow.issue == scene.victim.issue))


def sealed_long_ago(scene: Scene) -> None:
    scene.seal().sealed_at = LONG_AGO


def ghost(scene: Scene) -> None:
    row = _issue(scene)
    copied = {each.name: getattr(row, each.name) for each in IssueRow.__table__.columns}
    scene.session.add(IssueRow(**{**copied, "id": "ghost", "closed_at": None, "closed_kind": None}))


def said_to_be_erased(scene: Scene) -> None:
    row = scene.seal()
    row.salt = row.record = None


def usual(subject: Subject) -> bool:
    return not in_clear(subject) and having("overdue")(subject)


def alarm_closed(scene: Scene) -> None:
    scene.session.add(AlarmRow(at=LONG_AGO, kind="replay-fails", detail={}, seen_at=LONG_AGO))


def access_altered(scene: Scene) -> None:
    scene.session.add(
        AccessRow(at=LONG_AGO, person="nobody", role="auditor", what="issue", issue=scene.victim.issue, result="shown")
    )


def picture_added(scene: Scene) -> None:
    digest, _ = scene.picture()
    row = scene.session.get(AttachmentRow, (scene.victim.issue, digest))
    assert row is not None
    copied = {each.name: getattr(row, each.name) for each in AttachmentRow.__table__.columns}
    scene.session.add(AttachmentRow(**{**copied, "digest": "00" * 32}))


def picture_left(scene: Scene) -> None:
    (scene.crowd.folder / "attachments" / "00").mkdir(exist_ok=True)
    (scene.crowd.folder / "attachments" / "00" / ("00" * 32)).write_bytes(b"x")


def erasure_asked(scene: Scene) -> None:
    scene.session.add(ErasureRow(issue=scene.victim.issue, why="request", asked_at=LONG_AGO))


def erasure_in_both(scene: Scene) -> None:
    key_destroyed(scene)
    erasure_forged(scene)
    words_emptied(scene)


def noted_later(scene: Scene) -> None:
    _erasure(scene).done_at = datetime.now(UTC)


def key_made_later(scene: Scene) -> None:
    scene.keys("UPDATE issue_keys SET created_at = ? WHERE issue = ?", format_time(LONG_AGO), scene.victim.issue)


def run_beside(scene: Scene) -> None:
    """As one that a reset cut off: its file, and the row that leads to it."""
    row = scene.index()[0]
    copied = {each.name: getattr(row, each.name) for each in ArchiveRow.__table__.columns}
    key = row.key.replace("/0-", "/-1-")
    (scene.crowd.folder / "archive" / key).write_bytes(pack(b"no history"))
    scene.session.add(ArchiveRow(**{**copied, "n": -1, "run": "another", "key": key}))


def own_table(scene: Scene) -> None:
    scene.session.connection().exec_driver_sql("CREATE TABLE spy AS SELECT * FROM events")


def index_dropped(scene: Scene) -> None:
    found = scene.session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE INDEX%'")
    scene.session.connection().exec_driver_sql(f'DROP INDEX "{some(found.scalars().all())}"')


def file_beside_heads(scene: Scene) -> None:
    (scene.crowd.heads / "letter.txt").write_text("x")


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TAMPERS = (
    Tamper("the compressed file cut short", truncated, "archive", "history"),
    Tamper("the file gone", missing, "archive", "history"),
    Tamper("another content, compressed as it should be", other_content, "archive", "run 0"),
    Tamper("something after the end of the compressed file", trailing, "archive", "history"),
    Tamper("bytes in a history that no reader knows", unknown_field, "archive", "run 0"),
    Tamper("the histories of two issues swapped", lambda scene: histories_swapped(scene, reseal=False), "archive",
           "run 0"),
    Tamper("the histories of two issues swapped, with every digest", lambda scene: histories_swapped(scene, reseal=True),
           "fold", "history"),
    Tamper("the archive's index without the issue", index_gone, "archive", "history"),
    Tamper("the archive's index leads to another issue", index_elsewhere, "archive", "run 0"),
    Tamper("the last run gone, with every digest", last_run_dropped, "archive", "run {n}, event {event}",
           has_runs),
    Tamper("an event's body", lambda scene: event_body(scene, digest=False), "rows", "event {seq}",
           having("completed")),
    Tamper("an event's body and its digest", lambda scene: event_body(scene, digest=True), "rows", "event {seq}",
           having("completed")),
    Tamper("an event's digest", event_digest_only, "rows", "event {seq}"),
    Tamper("an event's kind beside its body", event_column("kind", "commented"), "rows", r"event \d+", having("overdue")),
    Tamper("an event's time beside its body", event_column("at", LONG_AGO), "rows", r"event \d+", having("overdue")),
    Tamper("the words by which an issue is found", issue_column("words", "x"), "rows", "column words", in_clear),
    Tamper("with which policy its fold begins", issue_column("first_policy", "x"), "rows", "column first_policy"),
    Tamper("the text of a policy in its own table", policy_text, "rows", r"policy \w+"),
    Tamper("the digest in the archive's index", index_row, "archive", "history"),
    Tamper("salt and record taken away, as if the content had been erased", said_to_be_erased, "seal", r"leaf \d+"),
    Tamper("an event deleted", event_deleted, "rows", "event {seq}", having("overdue")),
    Tamper("the last event deleted", last_event_deleted, "rows", "event {seq}"),
    Tamper("an event added", event_inserted, "rows", "event {seq}"),
    Tamper(f"{ISSUE}level", column("level", lambda _: "district"), "rows", "column level"),
    Tamper(f"{ISSUE}overdue", column("overdue", lambda before: not before), "rows", "column overdue"),
    Tamper(f"{ISSUE}how it closed", column("closed_kind", lambda _: "partly"), "rows", "column closed_kind"),
    Tamper(f"{ISSUE}satisfaction", column("satisfaction", lambda _: "very"), "rows", "column satisfaction"),
    Tamper(f"{ISSUE}who handled it", column("handler", lambda _: "rival"), "rows", "column handler"),
    Tamper(f"{ISSUE}state", column("state", lambda state: {**state, "reopened": 9}), "rows", "column state"),
    Tamper("a receipt", receipt_edited, "rows", "receipt {command}", having("refused")),
    Tamper("a receipt deleted", receipt_deleted, "rows", "receipt {command}"),
    Tamper("the issue's row gone", row_deleted, "rows", ".*"),
    Tamper("the words by which a sealed issue is found", issue_column("words", "x"), "rows", "column words", usual),
    Tamper("words of an issue that was erased", issue_column("words", "x"), "rows", "column words", erased),
    Tamper("the index by which issues are found", index_thinned, "rows", "search", has_words),
    Tamper("who follows the issue", follower_added, "rows", "voices"),
    Tamper("when a run ended, in the archive's index", index_column("ended_at", LONG_AGO), "rows", r"archive, run \d+"),
    Tamper("how many events a run has, in the archive's index", index_column("events", 1), "rows", r"archive, run \d+"),
    Tamper("the id of a run in the archive's index", index_column("run", "another"), "rows", r"archive, run \d+"),
    Tamper("a time in the archive's index that is none",
           no_time("UPDATE archive SET ended_at = 'x' WHERE issue = ?"), "archive", "history"),
    Tamper("a file put beside an issue's in the archive", stray_file, "archive", r"file .+"),
    Tamper("a file put into the archive", stray_elsewhere, "archive", r"file .+"),
    Tamper("a trigger put into the database", trigger, "rows", "trigger spy"),
    Tamper("a view put into the database", view, "rows", "view spy"),
    Tamper("a trigger put into the key store", trigger_on_keys, "rows", "key store, trigger spy"),
    Tamper("the key of an issue gone", key_gone, "texts", "key", has_texts),
    Tamper("the key of another issue in its place", keys_exchanged, "texts", "key", has_texts),
    Tamper("another key in its place, with a stolen master key", key_made_anew, "texts", TEXT, has_texts),
    Tamper("the master key that an issue's key names", master_unknown, "texts", "key", has_texts),
    Tamper("a key destroyed without an erasure", key_destroyed, "texts", "erasure", has_texts),
    Tamper("an erasure that never was", erasure_forged, "texts", "erasure", has_texts),
    Tamper("an erasure of an issue that never was", erasure_of_none, "texts", "erasure"),
    Tamper("a destroyed key of an issue that never was", tombstone_of_none, "texts", "erasure"),
    Tamper("an erasure gone", erasure_gone, "texts", "erasure", erased),
    Tamper("why an issue was erased", erasure_column("why", lambda _: "retention"), "texts", "erasure", erased),
    Tamper("when an erasure was asked for", erasure_column("asked_at", lambda row: row.done_at + timedelta(hours=1)),
           "texts", "erasure", erased),
    Tamper("when an erasure was done, earlier", erasure_column("done_at", lambda row: row.asked_at - timedelta(hours=1)),
           "texts", "erasure", erased),
    Tamper("the time of an erasure that is none", no_time("UPDATE erasures SET done_at = 'x' WHERE issue = ?"), "texts",
           "data", erased),
    Tamper("the tombstone of an erased issue gone", tombstone_gone, "texts", "erasure", erased),
    Tamper("a key in the place of a tombstone", tombstone_made_a_key, "texts", "erasure", erased),
    Tamper("a picture gone", picture_gone, "pictures", "picture {picture}", cites),
    Tamper("a picture exchanged for another", picture_exchanged, "pictures", "picture {picture}", cites),
    Tamper("a picture taken from the list", picture_unlisted, "rows", "picture {picture}", cites),
    Tamper("which organisation uploaded a picture", picture_column("org", "another"), "rows", "picture {picture}", cites),
    Tamper("when a picture was uploaded", picture_column("added_at", LONG_AGO), "rows", "picture {picture}", cites),
    Tamper("who uploaded a picture", other_uploader, "rows", "picture {picture}", cites),
    Tamper("of what kind a picture is", picture_column("kind", "image/jpeg"), "rows", "picture {picture}", cites),
    Tamper("a picture in the list of which no history tells", picture_added, "rows", "picture 000000000000", cites),
    Tamper("how large a picture is", picture_column("size", 1), "rows", "picture {picture}", cites),
    Tamper("when SQL says that it was sealed", sealed_long_ago, "seal", r"leaf \d+"),
    Tamper("a leaf", leaf_rewritten, "seal", "leaf {leaf}"),
    Tamper("a record", lambda scene: record_rewritten(scene, kept=False), "seal", "leaf {leaf}"),
    Tamper("a record, in the archive too", lambda scene: record_rewritten(scene, kept=True), "seal", "leaf {leaf}"),
    Tamper("a record, with every digest", record_resealed, "head", HEAD),
    Tamper("a salt", salt_changed, "seal", "leaf {leaf}"),
    Tamper("a salt, with every digest", salt_changed_all_over, "head", HEAD),
    Tamper("the seal in the archive", seal_differs, "seal", "leaf {leaf}"),
    Tamper("the seal in the archive gone", seal_missing, "seal", "leaf {leaf}"),
    Tamper("two leaves swapped", leaves_swapped, "head", HEAD),
    Tamper("a leaf taken out", leaf_dropped, "seal", "leaf {leaf}"),
    Tamper("the last leaves taken off", last_leaves_dropped, "head", r"head {size}-.*"),
    Tamper("the whole log built anew, with heads by another key", lambda scene: log_rebuilt(scene, outside=False),
           "head", r"head {size}-.*", spares=False),
    Tamper("the same, and the heads outside exchanged", lambda scene: log_rebuilt(scene, outside=True), "head",
           r"head {size}-.*", spares=False),
    Tamper("the newest head deleted", head_rolled_back, "head", r"head {size}-.*"),
    Tamper("log and heads put back to an earlier day", log_rolled_back, "head", r"head {size}-.*"),
    Tamper("the note of a head", note_edited, "head", r"head {size}-.*"),
    Tamper("the note of a head outside", published_note_edited, "head", r"head {size}-.*"),
    Tamper("a head outside gone", published_head_gone, "head", r"head {size}|head .*"),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(crowd: Crowd) -> list[Subject]:
    return await subjects(crowd)


OF_ROWS = "`jiesu rebuild` works it out anew"
OF_CLOCK = "only the database's clock tells it"
UNSEEN: tuple[tuple[str, str, Callable[[Scene], object], Callable[[Subject], bool]], ...] = (
    ("how often an issue's record was rewritten", OF_ROWS, issue_column("fence", 7), usual),
    (
        "that an issue is not found by its words, since there are none",
        "the job `index` may still have to work them out",
        words_emptied,
        usual,
    ),
    ("notices that were, or were not, sent", "they are outside of any history", outbox_emptied, usual),
    ("alarms that were raised or closed", "they are outside of any history", alarm_closed, usual),
    (
        "who read what: a line of the access log altered, added or taken away",
        "no history tells of reads, and nothing signs the log",
        access_altered,
        usual,
    ),
    ("when SQL stored an event", OF_CLOCK, event_column("stored_at", LONG_AGO), usual),
    ("when a run was archived", OF_CLOCK, index_column("archived_at", LONG_AGO), usual),
    ("an open issue that never was", "without `--open`, which asks Temporal", ghost, usual),
    (
        "in which role a picture was uploaded, of which only a completion tells",
        "the upload's own event did not come to be, and a completion names the organisation only",
        picture_column("role", "street"),
        cites,
    ),
    (
        "a sealed picture in the store to which nothing refers",
        "an upload that broke off leaves one",
        picture_left,
        usual,
    ),
    (
        "a request to erase that waits to be carried out",
        "nothing signs it; it is carried out, and then it is on record",
        erasure_asked,
        usual,
    ),
    (
        "an erasure that nobody asked for, in key store and database alike",
        "nothing signs requests: it looks like any other",
        erasure_in_both,
        has_sealed_report,
    ),
    ("when an erasure was noted as done, later than it was", "it may have taken days", noted_later, erased),
    ("when a key was made", "only the key store's clock tells it", key_made_later, has_texts),
    (
        "a run beside the chain, with its row in the index",
        "as after a reset, of which only Temporal knows",
        run_beside,
        usual,
    ),
    ("a table that somebody else made", "nothing here reads it", own_table, usual),
    (
        "an index or a constraint of the database gone",
        "it lets rows in that are wrong, and these are found",
        index_dropped,
        usual,
    ),
    ("a file in the folder of heads that is no head", "other files may lie there", file_beside_heads, usual),
)
"""What nothing finds and why, so that nobody believes it would. Whoever closes a gap moves its row to the others."""


def stage(crowd: Crowd, folder: Path, known: Sequence[Subject], victim: Subject) -> Scene:
    return Scene(crowd, folder / "copy", victim, [each for each in known if each is not victim])


def forgeable(known: Sequence[Subject], forgery: Forgery) -> tuple[Subject, list[History], Names]:
    """The first issue in which it can be altered, and its histories afterwards."""
    for subject in filter(forgery.fits, known):
        with contextlib.suppress(UnfitError):
            runs = subject.runs
            return subject, runs, forgery.alter(subject, runs) or {}
    raise AssertionError("no issue of the crowd is fit for it")


async def found(
    scene: Scene, trust: TrustedKeys, after: timedelta = timedelta()
) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """What is found of the victim, of two neighbours that nobody touched, and of the log."""
    victim, neighbours = scene.victim, scene.others[1:3]
    source = scene.crowd.source
    roots, _ = read_roots(scene.crowd.heads, trust)
    async with open_holdings(source) as holdings, source.places.open(holdings.database) as contents:
        cases = await holdings.cases([each.issue for each in (victim, *neighbours)])
        verdicts = await verify(cases, contents=contents)
        mine, *theirs = [check_root(await check_orders(holdings, each), roots) for each in verdicts]
    report = AuditReport("the log", datetime.now(UTC) + after)
    await verify_log(source, scene.crowd.heads, trust, report)
    gc.collect()  # a replay that failed leaves a coroutine, which must not be found in another test
    return list(mine.findings), [each for verdict in theirs for each in verdict.findings], report.findings


def assert_caught(findings: Sequence[Finding], step: Step, place: str) -> None:
    shown = "\n".join(map(str, findings)) or "nothing"
    assert any(each.step == step and re.fullmatch(place, each.where) for each in findings), f"{step}: {place}\n{shown}"


def filled(place: str, names: Names) -> str:
    for name, value in names.items():
        place = place.replace(f"{{{name}}}", re.escape(str(value)))
    return place


@pytest.mark.parametrize("forgery", [*FORGERIES, *stranger.FORGERIES], ids=lambda forgery: forgery.name)
async def test_a_forged_history_is_found_though_every_digest_here_was_made_anew(
    crowd: Crowd, known: list[Subject], tmp_path: Path, forgery: Forgery
) -> None:
    victim, runs, names = forgeable(known, forgery)
    with stage(crowd, tmp_path, known, victim) as scene:
        forged(scene, runs, reseal=True)
    mine, theirs, log = await found(scene, TrustedKeys.beside(crowd.heads))
    assert theirs == []
    assert_caught([*mine, *log], forgery.step, filled(forgery.place, names))
    assert_caught(log, "head", HEAD)
    assert {each.step for each in mine}.isdisjoint({"seal"}), "the forger was not as thorough as he meant to be"


@pytest.mark.parametrize("alter", [text, runs_swapped, identity], ids=lambda alter: alter.__name__)
async def test_a_file_that_was_altered_does_not_have_its_digest(
    crowd: Crowd, known: list[Subject], tmp_path: Path, alter: Callable[[Subject, list[History]], Names | None]
) -> None:
    """Whatever is in it: one edit within a run, another order of runs, and one that nothing else would find."""
    (forgery,) = (each for each in FORGERIES if each.alter is alter)
    victim, runs, _ = forgeable(known, forgery)
    with stage(crowd, tmp_path, known, victim) as scene:
        n = forged(scene, runs, reseal=False)
    mine, theirs, log = await found(scene, TrustedKeys.beside(crowd.heads))
    assert theirs == []
    assert_caught(mine, "archive", f"run {n}")
    assert log == []


@pytest.mark.parametrize("tamper", [*TAMPERS, *stranger.TAMPERS], ids=lambda tamper: tamper.name)
async def test_each_tampering_is_found_by_its_step(
    crowd: Crowd, known: list[Subject], tmp_path: Path, tamper: Tamper
) -> None:
    with stage(crowd, tmp_path, known, some(filter(tamper.fits, known))) as scene:
        names = tamper.alter(scene) or {}
    mine, theirs, log = await found(scene, TrustedKeys.beside(crowd.heads), tamper.after)
    assert_caught([*mine, *log], tamper.step, filled(tamper.place, names))
    assert not tamper.spares or theirs == []


@pytest.mark.parametrize(
    ("name", "why", "alter", "fits"), UNSEEN + stranger.UNSEEN, ids=lambda each: each if isinstance(each, str) else ""
)
async def test_the_undetectable_tamperings_are_still_undetected(
    crowd: Crowd, known: list[Subject], tmp_path: Path, name: str, why: str, alter: Callable[[Scene], object],
    fits: Callable[[Subject], bool],
) -> None:  # fmt: skip
    with stage(crowd, tmp_path, known, some(filter(fits, known))) as scene:
        alter(scene)
    mine, theirs, log = await found(scene, TrustedKeys.beside(crowd.heads))
    assert [*mine, *theirs, *log] == [], "it is found by now: move the row"


def test_each_step_of_the_verification_finds_something() -> None:
    assert {each.step for each in (*FORGERIES, *TAMPERS)} == set(STEPS)


def table() -> str:
    """The list for the documents."""
    head = "| what is altered | who only alters it | who also makes every digest here anew |\n| --- | --- | --- |"
    forged = [f"| {each.name} | archive: run *n* | {_shown(each)} |" for each in (*FORGERIES, *stranger.FORGERIES)]
    rest = ["| what else is altered | is found by |\n| --- | --- |"]
    rest += [f"| {each.name} | {_shown(each)} |" for each in (*TAMPERS, *stranger.TAMPERS)]
    gaps = ["What nothing finds:", ""]
    gaps += [f"- {name}: {why}" for name, why, _, _ in UNSEEN + stranger.UNSEEN]
    return "\n".join((BEGIN, head, *forged, "", *rest, "", *gaps, END))


def _shown(row: Forgery | Tamper) -> str:
    """The step and, as far as it has one name only, the place."""
    place = {".*": "row", HEAD: "head", TEXT: "run *n*, event *m*"}.get(row.place, row.place.partition("|")[0])
    place = re.sub(r"\(, event.*|-\.\*", "", place).replace(r"\d+", "*m*")
    return f"{row.step}: " + re.sub(r"[{](\w+)[}]", lambda name: _WORDS.get(name[1], f"*{name[1]}*"), place)


_WORDS = {"command": "*id*", "picture": "*digest*", "event": "*m*", "leaf": "*n*", "seq": "*n*", "size": "*n*"}


def test_the_documented_list_of_tamperings_is_current() -> None:
    assert table() in DOCUMENT.read_text("utf-8"), "run: PYTHONPATH=.:tests python tests/audit/test_tampers.py"


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    DOCUMENT.write_text(before + table() + rest.partition(END)[2], "utf-8")
