"""What a visitor may do now, the likeliest first: each command is tried on the issue as it is, so there is no second table of rules."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from api.http.requests import COMMANDS
from domain.access import MAY
from domain.clocks import RULING, owner
from domain.issue import Clock, Issue
from domain.refusals import against
from pages.trials import working
from protocol.reader import VisibleIssue

OF_RESIDENTS: Final = ("confirm", "supply", "urge", "comment", "object", "reopen", "withdraw", "unfollow")
_STAFF: Final = frozenset({"handler", "lead", "senior", "chain", "street", "counter"})
OF_STAFF: Final = tuple(
    name for name in COMMANDS if not _STAFF.isdisjoint(MAY[name]) and name != "adopt"  # which a merge gives by itself
)  # fmt: skip
"""Every command that property, community and street may give, or who else does the work."""

_COMMAND_OF: Final = {"handle": "complete", "update": "answer"}
"""Milestone -> the command that reaches it, where it has not its name."""
_USUAL: Final = (
    "accept", "resume", "contact", "arrive", "assess", "step_done", "complete", "assign", "attempt", "schedule", "answer",
    "plan", "mitigate", "ask", "wait", "extend", "comment", "decline", "rule", "grant", "deny", "sit", "return", "redispatch",
    "instruct", "supervise", "escalate", "refer",
)  # fmt: skip
"""Commands in the order in which they are likely where no clock asks for one."""


def possible(seen: VisibleIssue, names: Iterable[str], now: datetime) -> list[str]:
    """Those of the commands that would take effect now, with the right content."""
    return [name for name in names if any(working(seen, name, now))]


def may_attach(seen: VisibleIssue, now: datetime) -> bool:
    """Whether the visitor may add a photo now."""
    return against(seen.issue, seen.actor, "attach", seen.grants, now) is None


def of_staff(seen: VisibleIssue, now: datetime) -> tuple[str | None, list[str]]:
    """The command that is next for this member of staff, if one is, and all others that are possible, the likeliest first."""
    asked = _asked_for(seen.issue, seen.actor.org)
    ranks = {name: rank for rank, name in reversed(list(enumerate((*asked, *_USUAL))))}
    names = sorted(possible(seen, OF_STAFF, now), key=lambda name: ranks.get(name, len(ranks) + len(_USUAL)))
    first = names[0] if names and (names[0] in asked or names[0] in ("accept", "resume")) else None
    return first, [name for name in names if name != first]


def _asked_for(issue: Issue, org: str | None) -> Sequence[str]:
    """The commands that the clocks of this organisation wait for, the one due first at the beginning."""
    mine = (clock for clock in sorted(issue.clocks, key=lambda clock: clock.due) if owner(issue, clock) == org)
    return [name for clock in mine for name in _met_by(clock)]


def _met_by(clock: Clock) -> tuple[str, ...]:
    match RULING.get(clock.clause):
        case None:
            return (_COMMAND_OF.get(clock.milestone, clock.milestone),)
        case "decline":
            return ("rule",)
        case "size":
            return ()
        case _:
            return ("grant", "deny")
