"""The versions of the rules. An issue is folded throughout by the version under which it was reported."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import domain.evolve as first
import domain.milestones
from domain.commands import Command
from domain.decide import Fold, act
from domain.events import Event, Reported
from domain.issue import Clock, Issue


class UnknownRulesError(RuntimeError):
    """The issue began under a newer version of Jiesu, whose rules this version lacks."""


class Rules(NamedTuple):
    """`act` applies a command to the state; `evolve` applies an event; `meets` says whether an event met a clock."""

    act: Callable[[Issue, Command], Fold]
    evolve: Callable[[Issue, Event], Issue]
    meets: Callable[[Event, Issue, Clock], bool]


VERSIONS: Final[Mapping[int, Rules]] = MappingProxyType({1: Rules(act, first.evolve, domain.milestones.meets)})
"""Changed rules get the next number; the old ones stay as they are, for the issues that began under them."""


def rules(version: int) -> Rules:
    """The rules of this version. Raises UnknownRulesError."""
    if version not in VERSIONS:
        raise UnknownRulesError(f"this version has no rules {version}: a newer one began this issue")
    return VERSIONS[version]


def evolve(issue: Issue, event: Event) -> Issue:
    """The state after the event; events must come in order, without gaps (ValueError otherwise).

    The event `Reported` names the rules version of its issue. Raises UnknownRulesError.
    """
    body = event.body
    return rules(body.rules_version if isinstance(body, Reported) else issue.rules_version).evolve(issue, event)


def meets(event: Event, after: Issue, clock: Clock) -> bool:
    """Whether somebody kept with this event the limit of the clock; `after` is the issue after it.

    Raises UnknownRulesError.
    """
    return rules(after.rules_version).meets(event, after, clock)
