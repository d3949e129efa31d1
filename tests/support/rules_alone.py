"""Where the lead of an issue is when nobody acts: section A of docs/rules.md, folded with the domain."""

from collections.abc import Iterator
from copy import copy
from datetime import datetime
from typing import Final

import domain.commands as c
from domain.commands import Actor
from domain.vocabulary import ASSESSMENTS, Assessment, Level
from domain.worktime import SHANGHAI, Limit
from policies.loader import shipped
from tests.domain.play import COMMUNITY, COMPANY, Stage, local, pack

MONDAY: Final = local("2026-06-01 10:00")
NAMES: Final[dict[str, str]] = {"property": "company", "community": "community", "street": "street"}


def when(moment: datetime, *, seconds: bool = False) -> str:
    """``Mon 1 June 10:00`` in Shanghai; the end of a day is written as 24:00."""
    there = moment.astimezone(SHANGHAI)
    if seconds:
        return f"{there:%H:%M:%S}"
    clock = "24:00" if (there.hour, there.minute) == (23, 59) else f"{there:%H:%M}"
    return f"{there:%a} {there.day} {there:%B} {clock}"


UNITS: Final = {
    "m": "minute", "h": "hour", "s": "second", "nd": "natural day", "wd": "working day", "sm": "minute of service", "sh": "hour of service",
}  # fmt: skip


def lasting(limit: Limit) -> str:
    """``2 natural days``."""
    first, *rest = UNITS[limit.unit].split(" of ")
    return " of ".join([f"{limit.amount} {first}{'' if limit.amount == 1 else 's'}", *rest])


def left_alone(stage: Stage, until: datetime) -> Stage:
    """A copy of the stage on which nobody acts until that moment."""
    alone = copy(stage)
    alone.events = list(stage.events)
    alone.let_pass(until)
    return alone


def lead(stage: Stage, until: datetime) -> dict[Level, datetime]:
    """From when on each level above the present one leads if nobody acts any more."""
    alone = left_alone(stage, until)
    return {each.level: each.at for each in alone.events[len(stage.events) :] if each.kind == "escalated"}


def begun(policy: str, state: str | Assessment, *, urgent: bool, category: str) -> Stage:
    """An issue reported on the Monday at 10:00, taken a minute later, visited two minutes later."""
    stage = Stage(policy, at=MONDAY, category=category, urgent=urgent)
    who: Actor = COMPANY if stage.issue.level == "property" else COMMUNITY
    step = 1 if policy == "demo" else 60
    if state != "nobody accepts":
        stage.give(who, c.Accept(), after=step)
    if state not in ("nobody accepts", "accepted and left"):
        stage.give(who, c.Arrive(None if state == "arrived, not assessed" else state), after=step)  # pyright: ignore[reportArgumentType]
    return stage


STATES: Final = ("nobody accepts", "accepted and left", "arrived, not assessed", *ASSESSMENTS)
END: Final = local("2026-09-30 10:00")


def tables() -> Iterator[str]:
    for policy in (each.id for each in shipped()):
        category = "dispute" if policy == "dispute" else "noise"
        yield f"### {policy}\n"
        yield from _table(policy, category, urgent=False)
        yield from _table(policy, category, urgent=True)
        if any("utilities" in clause.when for clause in pack(policy).clause):
            yield from _table(policy, "utilities", urgent=False)


def _table(policy: str, category: str, *, urgent: bool) -> Iterator[str]:
    kind = "Urgent" if urgent else "Ordinary" + (": water, power, gas, heating" if category == "utilities" else "")
    levels = pack(policy).ladder[1:]
    yield f"{kind}:\n"
    yield f"| last act | led by | red first | {' | '.join(f'{NAMES[each]} leads' for each in levels)} | first reminder |"
    yield f"|---|---|---|{'---|' * len(levels)}---|"
    for state in STATES:
        stage = begun(policy, state, urgent=urgent, category=category)
        yield f"| {' | '.join(_cells(stage, state, levels, seconds=policy == 'demo'))} |"
    yield ""


def _cells(stage: Stage, state: str, levels: tuple[Level, ...], *, seconds: bool) -> Iterator[str]:
    alone = left_alone(stage, END)
    assert alone.issue.level == alone.issue.ladder[-1], f"{state}: the lead never reaches the top"
    led: dict[str, datetime] = {}
    for event in alone.events:
        if event.kind == "escalated":
            led.setdefault(event.level, event.at)
    red = next(each for each in alone.events if each.kind == "overdue")
    reminded = next(each for each in alone.events if each.kind == "reminded")
    yield state
    yield NAMES[stage.issue.level]
    yield f"{when(red.at, seconds=seconds)} ({red.clause})"
    for level in levels:
        at_once = level in led and led[level] == stage.now
        yield "at once" if at_once else when(led[level], seconds=seconds) if level in led else "passed over"
    yield when(reminded.at, seconds=seconds)
