"""Tries commands on an issue as it is: which would take effect now, and with which choices."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import domain.commands as c
from api.http.examples import COMMANDS as EXAMPLES
from api.http.requests import COMMANDS
from domain.advance import advance
from domain.issue import Issue
from domain.vocabulary import ASSESSMENTS, CompletionKind, Request
from protocol.reader import VisibleIssue

_TRIED: Final = "tried"
_TEXT: Final = "这里是一段足够长的话"
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

VARIED: Final = {
    "assess": "assessment", "complete": "kind", "return": "to", "grant": "what", "deny": "what", "rule": "upheld",
    "step_done": "step",
}  # fmt: skip
"""Command -> the field whose choices are tried one by one."""


def working(seen: VisibleIssue, name: str, now: datetime) -> Iterator[c.Body]:
    """Those of the trials of a command that would take effect now; none if this viewer may not give it, or it does not apply."""
    return (body for body in _trials(seen, name, now) if _takes_effect(seen, body, now))


def _takes_effect(seen: VisibleIssue, body: c.Body, now: datetime) -> bool:
    command = c.Command(_TRIED, now, seen.actor, body, grants=seen.grants)
    after, _ = advance(seen.issue, [command], now)
    receipt = after.receipts.get(_TRIED)
    return receipt is not None and receipt.outcome == "applied"


def _trials(seen: VisibleIssue, name: str, now: datetime) -> Sequence[c.Body]:
    """Bodies with which the command can take effect in the best case: what only the directory knows is as it should be."""
    issue = seen.issue
    match name:
        case "arrive":
            return [c.Arrive()]
        case "assess":
            return [c.Assess(each, _TEXT) for each in ASSESSMENTS]
        case "schedule":
            return [c.Schedule(now + timedelta(hours=1))]
        case "plan":
            return [c.Plan((c.Step(_TEXT, now + timedelta(hours=1)),))]
        case "step_done":
            return [c.StepDone(n + 1) for n in range(len(issue.plan.steps) if issue.plan else 0)]
        case "wait":
            return [c.Wait("parts", now + issue.policy.wait.max.span / 2)]
        case "extend":
            return [c.Extend(_TEXT)]
        case "complete":
            shown = (c.Upload("", seen.actor.person, seen.actor.org, now),)
            return [c.Complete(kind, _TEXT, answers=True, pictures=shown) for kind in get_args(CompletionKind)]
        case "grant":
            return [c.Grant(what, _TEXT) for what in get_args(Request)]
        case "deny":
            return [c.Deny(what, _TEXT) for what in get_args(Request)]
        case _:
            return _of_above(issue, name)


def _of_above(issue: Issue, name: str) -> Sequence[c.Body]:
    match name:
        case "redispatch":
            return [c.Redispatch("?", _TEXT, handler_streets=(issue.place.street,))]
        case "rule":
            return [c.Rule(upheld=each, reason=_TEXT) for each in (True, False)]
        case "return":
            return [c.Return(_TEXT, to) for to in (None, *issue.ladder)]
        case "merge":
            return [c.Merge("?", _LONG_AGO)]
        case "correct":
            return [c.Correct(_TEXT)]
        case _:
            shape = COMMANDS[name]
            return [shape.read(shape.model.model_validate_json(json.dumps(EXAMPLES[name])))]
