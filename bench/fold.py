"""`python -m bench.fold`: standard issues folded per second on one core, by the rules alone and with the reading,
writing and hashing of an audit that derives an issue again.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Final

from bench.drive import PLACE, RESIDENT, STEPS, grants
from bench.figures import Figure, Goal
from calendars import load_all
from domain.advance import advance
from domain.commands import Actor, Body, Command, Report, load_command
from domain.events import dump_event, event_digest
from domain.issue import Issue
from domain.wire import parse_time
from policies.loader import load_pack
from protocol.envelope import plain_of

PACK: Final = "52022"
"""A realistic pack, with service hours and working days."""
EVENTS: Final = 8
"""Of a standard issue under it: reported, dispatched, accepted, arrived, assessed, completed, confirmed, closed."""
GOAL: Final = Goal(">=", 5000)
_ROUNDS: Final = 15
_ISSUES: Final = 200
_REPORTED: Final = parse_time("2026-11-20T02:00:00Z")
"""On a working day, in service hours."""
_APART: Final = timedelta(seconds=150)
_DELIVERY: Final = timedelta(milliseconds=40)

Sent = tuple[str, dict[str, Any], datetime]
"""A command's name, its envelope as in a history, and the time of its fold."""


def standard(issue: int) -> list[Sent]:
    """The commands of one standard issue. Issues share no id or time, so that no cache helps."""
    report = Report(f"JS-{issue}", PLACE, "leak", "厨房漏水", location="3幢2单元501")
    given: list[tuple[Body, Actor]] = [(report, RESIDENT), *STEPS]
    sent: list[Sent] = []
    for step, (body, actor) in enumerate(given):
        key, at = f"{issue:08x}-6f3c-5d5e-9d5e-00000000000{step}", _moment(issue, step)
        command = Command(key, at, actor, body, grants=grants(actor))
        sent.append((command.name, plain_of(command), at + _DELIVERY))
    return sent


def _moment(issue: int, step: int) -> datetime:
    return _REPORTED + step * _APART + issue * timedelta(milliseconds=7)


def rates(issues: int = _ISSUES, rounds: int = _ROUNDS) -> tuple[Figure, Figure]:
    """Issues per second of processor time, one value for each round: for `advance` alone, and for the whole."""
    policy, calendars = load_pack(PACK), load_all()
    alone: list[float] = []
    whole: list[float] = []
    for _ in range(rounds):
        given = [(Issue.new(f"issue-{each}", policy, calendars), standard(each)) for each in range(issues)]
        loaded = [(new, [(load_command(name, plain), now) for name, plain, now in sent]) for new, sent in given]
        began = time.process_time()
        for new, commands in loaded:
            _fold(new, commands)
        folded = time.process_time()
        for new, sent in given:
            _derive(new, sent)
        alone.append(issues / (folded - began))
        whole.append(issues / (time.process_time() - folded))
    unit = "issues/s of one core"
    return Figure("advance alone", tuple(alone), unit), Figure("read, advance, write, hash", tuple(whole), unit, GOAL)


def _fold(issue: Issue, commands: list[tuple[Command, datetime]]) -> None:
    for command, now in commands:
        issue, _ = advance(issue, [command], now)
    assert issue.is_closed


def _derive(issue: Issue, sent: list[Sent]) -> None:
    digests: list[str] = []
    for name, plain, now in sent:
        issue, events = advance(issue, [load_command(name, plain)], now)
        digests += [event_digest(dump_event(event)) for event in events]
    assert len(digests) == EVENTS


def main() -> None:
    for figure in rates():
        goal = f" (goal {figure.goal}: {figure.verdict})" if figure.goal else ""
        print(f"{figure.name}: {figure.shown()}, {figure.spread()}{goal}")


if __name__ == "__main__":
    main()
