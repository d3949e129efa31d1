"""What an event says beside the words that people wrote: promised dates, steps of a plan, and words of the vocabulary."""

from datetime import datetime
from typing import Any, Final, cast

import domain.events as e
from domain.events import Event
from domain.wire import parse_time
from domain.worktime import SHANGHAI
from protocol.masking import MASK
from texts.catalogue import Language, named, say

_WORDS: Final = ("assessment", "outcome", "satisfaction", "kind", "service", "waits_for", "what", "category")
"""Fields whose value is a word of the vocabulary, in the order in which they are told."""
_DATES: Final = {
    "time": "fact-time", "until": "fact-until", "review": "fact-review", "silent_until": "fact-silence",
}  # fmt: skip
"""Fields that promise a moment -> the text that tells it."""


def moment(at: datetime, language: Language) -> str:
    """A time in China, for people: without the year, which the page's heading has."""
    local = at.astimezone(SHANGHAI)
    if language == "zh":
        return f"{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local.day} {local:%b %H:%M}"


def facts(event: Event, shown: dict[str, Any], language: Language) -> tuple[str, ...]:
    """What the event says, line by line; `shown` are its fields as far as the reader may read them."""
    if isinstance(event.body, e.Reported):
        return (named(event.body.category, language),)
    found = [named(str(shown[name]), language) for name in _WORDS if shown.get(name)]
    if isinstance(event.body, e.Declined | e.Waited):
        found.insert(0, named(event.body.reason, language))
    if isinstance(event.body, e.Ruled):
        found.insert(0, say("pages", "fact-upheld" if event.body.upheld else "fact-not-upheld", language))
    if isinstance(event.body, e.Escalated):
        climb = {"below": event.body.from_level, "above": event.level, "why": event.body.by}
        found.append(say("pages", "fact-climb", language, climb))
    if isinstance(event.body, e.StepDone):
        found.append(say("pages", "fact-step-done", language, {"step": event.body.step}))
    if isinstance(event.body, e.Planned):
        found.extend(_step(n, each, language) for n, each in enumerate(steps_of(shown), 1))
    found.extend(
        say("pages", text, language, {"at": moment(at, language)})
        for name, text in _DATES.items()
        if isinstance(at := getattr(event.body, name, None), datetime)
    )
    return tuple(found)


def steps_of(shown: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a plan, of the event that made it."""
    return cast("list[dict[str, Any]]", shown.get("steps") or [])


def _step(number: int, step: dict[str, Any], language: Language) -> str:
    title, due = str(step.get("title", "")), parse_time(str(step["due"]))
    named_ = {"step": number, "title": "" if title == MASK else title, "due": moment(due, language)}
    return say("pages", "fact-step", language, named_)
