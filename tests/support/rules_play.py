"""The plays behind section B of docs/rules.md: what each party can do to a clock, or to be rid of the lead.

A row's figures come from its scene; what a row says in words is asserted there, so that the page cannot lie.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import domain.commands as c
from domain.accounts import accounts
from domain.clocks import RULING
from domain.commands import Actor, Body
from domain.events import Event
from domain.notices import notices
from support.rules_alone import END, MONDAY, NAMES, lead, when
from tests.domain.play import (
    CALENDARS,
    COMPANY,
    REPORTER,
    Stage,
    pack,
    refused,
)

ORGS: Final = {
    "company-a": "company",
    "elm": "community",
    "north": "street",
    "enforcement": "department",
    None: "resident",
}
EXPLAINED: Final = c.Complete("explained", answer="已经说明怎么办,请您看看")
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Row:
    """What somebody does, what that does to clock and lead and up to how much, on whose account the time is then, who is
    told or must rule, and the kinds of the events that it leaves."""

    act: str
    does: str
    account: str
    told: str
    trace: str


Scene = Callable[[], Row]
SCENES: Final[defaultdict[str, list[Scene]]] = defaultdict(list)


def scene(party: str) -> Callable[[Scene], Scene]:
    def register(play: Scene) -> Scene:
        SCENES[party].append(play)
        return play

    return register


class Play(Stage):
    """A stage that remembers what its last commands left."""

    def do(self, actor: Actor, body: Body, after: float = 60) -> list[Event]:
        self.last = self.give(actor, body, after=after)
        assert not refused(self.last), self.last
        return self.last

    def refuses(self, actor: Actor, body: Body) -> str:
        code = refused(self.give(actor, body, after=0))
        assert code, f"{body} was taken"
        return code

    @property
    def told(self) -> str:
        found = [ORGS[each.org] for event in self.last for each in notices(event, self.issue)]
        return ", ".join(dict.fromkeys(found)) or "nobody"

    @property
    def trace(self) -> str:
        return ", ".join(dict.fromkeys(f"`{each.kind}`" for each in self.last))

    @property
    def climbs(self) -> str:
        found = lead(self, END)
        return " and ".join(f"{NAMES[level]} {when(at)}" for level, at in found.items()) or "no further climb"

    def ruling(self, what: str) -> str:
        clock = self.clock(f"rule-{what}")
        assert clock.clause in RULING
        return f"{NAMES[clock.level]}, by {when(clock.due)}"

    def spent(self) -> str:
        """Whole minutes of each party that has any."""
        self.give(REPORTER, c.Urge(), after=0)
        found = {org or who: round(minutes) for (who, org), minutes in self.minutes().items() if round(minutes)}
        return ", ".join(f"{ORGS.get(org, org)} {minutes:,} min" for org, minutes in found.items())

    def on_account(self) -> str:
        found = accounts(self.events, pack(self.issue.policy.id), CALENDARS)
        return ", ".join(f"{ORGS[each.org]} ({each.clause})" for each in found) or "nobody"


def working(policy: str = "12345", **details: object) -> Play:
    """A noise, reported on Monday at 10:00, accepted at 10:01, the resident called at 10:02."""
    stage = Play(policy, at=MONDAY, **{"category": "noise", **details})  # pyright: ignore[reportArgumentType]
    stage.do(COMPANY, c.Accept())
    stage.do(COMPANY, c.Contact())
    return stage


def plan(stage: Play, *days: float) -> c.Plan:
    return c.Plan(tuple(c.Step(f"第{n}步", stage.now + each * DAY) for n, each in enumerate(days, 1)))


BEFORE: Final = working().climbs
"""When the lead moves up in the plain case if nobody acts after the call."""
