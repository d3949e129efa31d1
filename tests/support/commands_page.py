"""Writes docs/commands.md from the rules: each command, who may give it, when, with what, and which events follow.

``PYTHONPATH=tests python -m support.commands_page`` writes the page.
"""

import inspect
import random
import sys
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import domain.commands as c
from domain.access import MAY, Capacity, may_give
from domain.advance import advance
from domain.commands import Command
from domain.issue import Issue
from domain.personal import Personal
from domain.refusals import WHEN
from domain.vocabulary import STATUSES, Status
from domain.worktime import Limit, YearCalendar
from support.grants import granted
from tests.domain.casting import ENDING, body, rightful, usual
from tests.domain.play import CALENDARS, CASTING, REPORTER, local, pack, place

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
GROUPS: Final = {
    "The resident": ("supply", "urge", "object", "confirm", "reopen", "withdraw", "renew_code"),
    "The work": (
        "accept", "decline", "assign", "schedule", "attempt", "contact", "arrive", "assess", "mitigate", "plan",
        "step_done", "answer", "ask", "wait", "resume", "extend", "refer", "complete", "comment", "escalate", "correct",
    ),
    "From above": (
        "supervise", "instruct", "sit", "grant", "deny", "rule", "redispatch", "return", "reject", "adopt", "merge", "shelve",
    ),
    "The administrator": ("change_policy", "calendar_published"),
}  # fmt: skip
WHO: Final[dict[Capacity, str]] = {
    "reporter": "reporter", "handler": "handler", "lead": "lead", "senior": "senior", "chain": "chain",
    "street": "street", "admin": "administrator",
}  # fmt: skip
_OPEN: Final = tuple(status for status in STATUSES if status not in ("completed", "closed"))
_PLAYS: Final = 1500
"""So many random plays show which events follow: twice as many show no further kind."""
_ACTS: Final = 30
_JUMPS: Final = (1, 1, 60, 60, 3600, 86_400, 300_000)
_PACKS: Final = ("52022", "3+3+5", "12345", "dispute", "demo")

HEAD: Final = """\
# Commands

For those who write programs against the API, and for whoever asks what may be done with an issue. A command is sent as
`POST /v1/issues/{id}/commands/NAME` with the fields as JSON and an `Idempotency-Key`; or as `jiesu do NAME ISSUE`. A command that
does not apply is refused in words (409), and leaves nothing behind.

- **Who.** *reporter*: the resident who reported it, by tracking code or phone. *handler*: the organisation that does the work.
  *lead*: the one that answers for the issue now. *senior*: the community or street of the place, if its level is that of the lead
  or above. *chain*: operator, community and street of the place. Whoever acted on the property side decides nothing from above.
- **When.** The statuses in which the command applies; *open* is every status before `completed`, *always* includes it. A lead above
  the property need not wait until the handler has accepted. A closed issue takes no command.
- **Fields.** Those in brackets may be left out. *text* is kept encrypted, and read by no rule.
- **What follows.** The kinds of events to which the command can lead, by the rules; several may follow one another. What they do
  to the clocks: [rules](rules.md).

`PYTHONPATH=tests python -m support.commands_page` writes this page, and a test holds it to the rules.
"""


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    follows = followed()
    for group, names in GROUPS.items():
        yield f"## {group}\n"
        yield "| command | who | when | fields | what follows |"
        yield "|---|---|---|---|---|"
        for name in names:
            kind = c.SIGNALS[name]
            who = ", ".join(WHO[capacity] for capacity in MAY[name])
            said = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")
            events = ", ".join(f"`{event}`" for event in follows[name])
            yield f"| **`{name}`** {said} | {who} | {_when(WHEN[name])} | {_fields(kind)} | {events} |"
        yield ""


def _when(statuses: tuple[Status, ...]) -> str:
    given = set(statuses)
    if given == {*_OPEN, "completed"}:
        return "always"
    if given == set(_OPEN):
        return "open"
    if len(given) > len(_OPEN) // 2 and not given - set(_OPEN):
        return f"open, but not {_or(status for status in _OPEN if status not in given)}"
    if len(given) > len(_OPEN) // 2:
        return f"always, but not {_or(status for status in _OPEN if status not in given)}"
    return ", ".join(status for status in STATUSES if status in given)


def _or(words: Iterator[str]) -> str:
    return " or ".join(words)


def _fields(kind: type[Any]) -> str:
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]))
    shown: list[str] = []
    for each in fields(kind):
        if each.metadata.get("resolved") is True:
            continue
        said = f"`{each.name}`: {_type(hints[each.name])}"
        is_needed = each.default is MISSING and each.default_factory is MISSING
        shown.append(said if is_needed else f"[{said}]")
    return "; ".join(shown) or "none"


def _type(hint: Any) -> str:
    origin, given = get_origin(hint), [each for each in get_args(hint) if each is not type(None)]
    if hint is Personal:
        return "text"
    if origin is Literal:
        return _or(f"`{each}`" for each in given) if len(given) <= 9 else f"one of {len(given)} words"
    if origin in (Union, types.UnionType):
        return _or(_type(each) for each in given)
    if origin is tuple:
        return f"list of {_type(given[0])}"
    if hint is YearCalendar:
        return "a year's working days, as `jiesu calendar publish` reads them"
    if isinstance(hint, type) and is_dataclass(hint) and hint is not Limit:
        return f"({_fields(hint)})"
    words: dict[Any, str] = {
        datetime: "time", int: "number", bool: "`true` or `false`", str: "code or id", Limit: "length of time, such as `2nd`",
    }  # fmt: skip
    return words[hint]


@cache
def followed() -> dict[str, list[str]]:
    """By command, the kinds of events that followed it at once in random plays, in the order in which they come."""
    seen: dict[str, dict[str, int]] = {name: {} for name in c.SIGNALS}
    for number in range(_PLAYS):
        for name, kinds in _play(random.Random(number)):
            for place_of, kind in enumerate(kinds):
                seen[name][kind] = max(seen[name].get(kind, 0), place_of)
    return {name: sorted(kinds, key=lambda kind: (kinds[kind], kind)) for name, kinds in seen.items()}


def _play(chance: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Commands that were taken in one random play, each with the kinds of its events."""
    policy, kind = pack(chance.choice(_PACKS)), chance.choice(("company", "company", "society", "community", None))
    now = local("2026-06-01 10:00")
    report = c.Report(
        "JS-1", place(kind), chance.choice(("leak", "noise", "dispute")), "漏水", urgent=chance.random() < 0.2
    )
    issue, _ = advance(Issue.new("issue-1", policy, CALENDARS), [Command("report", now, REPORTER, report)], now)
    for number in range(_ACTS):
        now += timedelta(seconds=chance.choice(_JUMPS))
        actor, name = _drawn(issue, chance)
        given = Command(
            f"c{number}", now, actor, body(name, chance.randrange(10), now), grants=granted(actor, issue.place)
        )
        issue, events = advance(issue, [given], now)
        kinds = [each.kind for each in events if each.command is not None and each.command.id == given.id]
        if kinds != ["refused"]:
            yield name, kinds
        if issue.is_closed:
            return


def _drawn(issue: Issue, chance: random.Random) -> tuple[c.Actor, str]:
    """Somebody and a command that may apply now; rulings, reopenings and ends more often than they come by themselves."""
    likely = None
    if issue.declined:
        likely = "rule"
    elif issue.status == "completed":
        likely = "reopen"
    elif issue.reopened:
        likely = "complete"
    name = likely if chance.random() < 0.5 else chance.choice(ENDING) if chance.random() < 0.05 else None
    if name is not None:
        return chance.choice([each for each in CASTING.values() if may_give(issue, each, name)] or [REPORTER]), name
    return (usual if chance.random() < 0.7 else rightful)(issue, chance.randrange(500))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
