"""Writes docs/commands.md and docs/commands.zh-CN.md from the rules: each command, who may give it, when, with what, and which events follow.

``PYTHONPATH=tests python -m support.commands_page`` writes the pages.
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
from domain.access import MAY, may_give
from domain.advance import advance
from domain.commands import Command
from domain.issue import Issue
from domain.personal import Personal
from domain.refusals import WHEN
from domain.vocabulary import STATUSES, Status
from domain.worktime import Limit, YearCalendar
from support.commands_words import WORDS
from support.grants import granted
from tests.domain.casting import ENDING, body, rightful, usual
from tests.domain.play import CALENDARS, CASTING, REPORTER, local, pack, place
from texts.catalogue import Language, named, say

_DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGES: Final[dict[Language, Path]] = {"en": _DOCS / "commands.md", "zh": _DOCS / "commands.zh-CN.md"}
GROUPS: Final = (
    ("supply", "urge", "object", "confirm", "reopen", "withdraw", "renew_code", "follow", "unfollow"),
    (
        "accept", "decline", "assign", "schedule", "attempt", "contact", "arrive", "assess", "mitigate", "plan",
        "step_done", "answer", "ask", "wait", "resume", "extend", "refer", "complete", "comment", "attach", "escalate", "correct",
    ),
    (
        "supervise", "instruct", "sit", "grant", "deny", "rule", "redispatch", "return", "reject", "adopt", "merge", "split", "shelve",
    ),
    ("change_policy", "calendar_published", "directory_changed"),
)  # fmt: skip
"""The commands of the resident, of the work, from above and of the administrator."""
_OPEN: Final = tuple(status for status in STATUSES if status not in ("completed", "closed"))
_PLAYS: Final = 1500
"""So many random plays show which events follow: twice as many show no further kind."""
_ACTS: Final = 30
_JUMPS: Final = (1, 1, 60, 60, 3600, 86_400, 300_000)
_PACKS: Final = ("52022", "3+3+5", "12345", "dispute", "demo")


def page(language: Language) -> str:
    return "\n".join(_Page(language).lines())


class _Page:
    """The page in one language."""

    def __init__(self, language: Language) -> None:
        self._language: Final[Language] = language
        self._words: Final = WORDS[language]

    def lines(self) -> Iterator[str]:
        words = self._words
        yield words.head
        for group, names in zip(words.groups, GROUPS, strict=True):
            yield f"## {group}\n"
            yield words.columns
            yield "|---|---|---|---|---|"
            yield from map(self._line, names)
            yield ""

    def _line(self, name: str) -> str:
        kind, words = c.SIGNALS[name], self._words
        # By the administrator the installation itself tells the older issue of a split; nobody else gives that.
        who = words.between.join(words.who[each] for each in MAY[name] if (name, each) != ("split", "admin"))
        events = words.between.join(map(self._event, followed()[name]))
        given = f"**`{name}`** {self._said(name, kind)}"
        return f"| {given} | {who} | {self._when(WHEN[name])} | {self._fields(kind)} | {events} |"

    def _said(self, name: str, kind: type[Any]) -> str:
        if self._language == "zh":
            return f"{named(name, 'zh')}:{say('commands', name, 'zh')}"
        return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")

    def _event(self, kind: str) -> str:
        return f"`{kind}`" if self._language == "en" else f"{say('events', kind, 'zh')} `{kind}`"

    def _value(self, word: object) -> str:
        name = named(str(word), "zh")
        return f"`{word}`" if self._language == "en" or name == word else f"`{word}` {name}"

    def _when(self, statuses: tuple[Status, ...]) -> str:
        given, words = set(statuses), self._words
        if given == {*_OPEN, "completed"}:
            return words.always
        if given == set(_OPEN):
            return words.open
        if len(given) > len(_OPEN) // 2:
            whole = words.always if given - set(_OPEN) else words.open
            left_out = (named(status, self._language) for status in _OPEN if status not in given)
            return words.but_not.format(whole, words.either.join(left_out))
        return words.between.join(named(status, self._language) for status in STATUSES if status in given)

    def _fields(self, kind: type[Any]) -> str:
        hints = get_type_hints(kind, vars(sys.modules[kind.__module__]))
        shown: list[str] = []
        for each in fields(kind):
            if each.metadata.get("resolved") is True:
                continue
            said = self._words.given.format(f"`{each.name}`", self._type(hints[each.name]))
            is_needed = each.default is MISSING and each.default_factory is MISSING
            shown.append(said if is_needed else f"[{said}]")
        return self._words.after.join(shown) or self._words.none

    def _type(self, hint: Any) -> str:
        words = self._words
        origin, given = get_origin(hint), [each for each in get_args(hint) if each is not type(None)]
        if hint is Personal:
            return words.text
        if origin is Literal:
            return words.either.join(map(self._value, given)) if len(given) <= 9 else words.one_of.format(len(given))
        if origin in (Union, types.UnionType):
            return words.either.join(map(self._type, given))
        if origin is tuple:
            return words.several.format(self._type(given[0]))
        if hint is YearCalendar:
            return words.year
        if isinstance(hint, type) and is_dataclass(hint) and hint is not Limit:
            return f"({self._fields(hint)})"
        plain: dict[Any, str] = {
            datetime: words.time, int: words.number, bool: words.boolean, str: words.code, Limit: words.limit,
        }  # fmt: skip
        return plain[hint]


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
        "JS-1",
        place(kind),
        chance.choice(("leak", "noise", "dispute")),
        "漏水",
        urgent=chance.random() < 0.2,
        common=True,
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
    elif issue.merged_into is not None:
        likely = chance.choice(("split", "object"))
    elif issue.status == "completed":
        likely = "reopen"
    elif issue.reopened:
        likely = "complete"
    name = likely if chance.random() < 0.5 else chance.choice(ENDING) if chance.random() < 0.05 else None
    if name is not None:
        return chance.choice([each for each in CASTING.values() if may_give(issue, each, name)] or [REPORTER]), name
    return (usual if chance.random() < 0.7 else rightful)(issue, chance.randrange(500))


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(page(language), "utf-8")
