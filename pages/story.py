"""Tells an issue in plain words: who must act by when, and what has happened, line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from domain.access import Sight
from domain.clocks import next_step
from domain.directory import Directory
from domain.events import Attached, Declined, Dispatched, Event, Planned, Redispatched, Waited
from domain.issue import Issue
from domain.light import Light, light_of
from pages.facts import facts, moment, steps_of
from protocol.masking import MASK, masked_event
from texts.catalogue import Language, named, say

_WORDS: Final = ("description", "text", "answer", "question", "reason", "note", "comment")
"""Fields of events in which people write, the most telling first."""
_NOT_FOR_RESIDENTS: Final = frozenset({"reminded", "directory_changed", "calendar_published"})
"""What says nothing to a resident."""


@dataclass(frozen=True)
class Turn:
    """Whose turn it is: who must do what by when. `due` is for people, `due_ms` milliseconds since 1970."""

    who: str
    what: str
    due: str
    due_ms: int
    left: str
    light: Light


@dataclass(frozen=True)
class Line:
    """One thing that happened: when, what, by whom, what was written, and what it promises."""

    at: str
    what: str
    who: str
    words: str
    facts: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    """Digests of the photos that were added, if the reader may see them."""


@dataclass(frozen=True)
class Step:
    """A step of the plan in force: by when, and whether it is done."""

    title: str
    due: str
    done: bool


def turn(issue: Issue, directory: Directory, now: datetime, language: Language, *, resident: str = "") -> Turn | None:
    """Whose turn it is; None if nobody's. `resident` is what the reader calls the resident: nothing if he is that himself."""
    step, light = next_step(issue), light_of(issue, now)
    if step is None or light is None:
        return None
    who = (resident or say("pages", "you", language)) if step.org is None else org_name(step.org, directory)
    due_ms = int(step.due.timestamp() * 1000)
    return Turn(
        who, named(step.milestone, language), moment(step.due, language), due_ms, left(step.due - now, language), light
    )


def lines(events: Sequence[Event], sight: Sight, directory: Directory, language: Language) -> list[Line]:
    """What has happened, the newest first. Equal lines of the clock in one minute are told once, since clauses of both levels
    may have run out; so are photos that one person added one after the other.
    """
    found: list[Line] = []
    for event in events:
        if event.kind in _NOT_FOR_RESIDENTS:
            continue
        line = _line(event, sight, directory, language)
        last = found[-1] if found else None
        if event.actor is None and line in found:
            continue
        if last is not None and line.photos and replace(last, photos=()) == replace(line, photos=()):
            found[-1] = replace(line, photos=last.photos + line.photos)
        else:
            found.append(line)
    return found[::-1]


def _line(event: Event, sight: Sight, directory: Directory, language: Language) -> Line:
    shown = masked_event(event, sight)
    photos = (event.body.digest,) if isinstance(event.body, Attached) and sight.text else ()
    return Line(
        moment(event.at, language), say("events", event.kind, language), _who(event, sight, directory, language),
        _written(event, shown), facts(event, shown, language), photos,
    )  # fmt: skip


def plan(issue: Issue, events: Sequence[Event], sight: Sight, language: Language) -> list[Step]:
    """The steps of the plan in force, by the dates that count today."""
    if issue.plan is None:
        return []
    plans = [steps_of(masked_event(each, sight)) for each in events if isinstance(each.body, Planned)]
    unknown: list[dict[str, Any]] = [{}] * len(issue.plan.steps)
    steps = next((each for each in reversed(plans) if len(each) == len(unknown)), unknown)
    titles = ["" if (title := str(each.get("title", ""))) == MASK else title for each in steps]
    return [
        Step(title, moment(step.due, language), step.done) for title, step in zip(titles, issue.plan.steps, strict=True)
    ]


def org_name(code: str, directory: Directory) -> str:
    """The name of an organisation; its code where the directory has none."""
    org = directory.org(code)
    return org.name if org is not None and org.name else code


def left(span: timedelta, language: Language) -> str:
    """How long until then, or since, in at most two units."""
    seconds = abs(int(span.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    parts = [(days, "days"), (hours, "hours"), (minutes, "minutes"), (seconds % 60, "seconds")]
    first = next((n for n, (count, _) in enumerate(parts) if count), 3)
    said = " ".join(say("pages", unit, language, {"count": count}) for count, unit in parts[first : first + 2] if count)
    said = said or say("pages", "seconds", language, {"count": 0})
    return say("pages", "late-by" if span < timedelta() else "left", language, {"span": said})


def staff_name(person: str, org: str, sight: Sight, directory: Directory) -> str:
    """An organisation and how the person who acts for it is called, to those who read what people wrote."""
    name = directory.called(person, org) if sight.text else ""
    return f"{org_name(org, directory)} · {name}" if name else org_name(org, directory)


def _who(event: Event, sight: Sight, directory: Directory, language: Language) -> str:
    """Who did it; of an issue that is given to somebody, to whom."""
    if isinstance(event.body, (Dispatched, Redispatched)):
        return org_name(event.body.handler.code, directory)
    if event.actor is None:
        return say("pages", "the-clock", language) if event.clause else ""
    if event.actor.org is not None:
        return staff_name(event.actor.person, event.actor.org, sight, directory)
    return named(event.actor.role, language)


def _written(event: Event, shown: Mapping[str, Any]) -> str:
    """What a person wrote; a reason that was chosen is among the facts."""
    words = [shown.get(name) for name in _WORDS if not (name == "reason" and isinstance(event.body, Declined | Waited))]
    return next((text for text in words if isinstance(text, str) and text and text != MASK), "")
