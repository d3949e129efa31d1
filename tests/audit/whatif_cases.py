"""Cases for the what-if: issues of the tests' stage in the form of archived histories."""

from dataclasses import replace
from datetime import timedelta

import domain.commands as c
from audit.refold import DeliveredCommand, Refolded, Turn
from domain.events import Event
from domain.policy import Policy
from domain.worktime import Limit
from tests.domain.play import COMPANY, DONE, FRIDAY, REPORTER, Stage, local, pack

LATER = local("2026-12-20 10:00")


class Recorded(Stage):
    """A stage that keeps what a history would say: every fold with its inbox, and when the server had each command."""

    def __init__(self, policy: str | Policy = "52022", **details) -> None:
        self.turns: list[Turn] = []
        self.took = timedelta()
        super().__init__(policy, **details)

    def fold(self, inbox=(), now=None) -> list[Event]:
        before = self.issue
        if not self.turns:
            self.began = before
        events = super().fold(inbox, now)
        taken = tuple(DeliveredCommand(0, len(self.turns), self.now - self.took, command) for command in inbox)
        self.turns.append(Turn(0, len(self.turns), self.now, taken, tuple(events)))
        return events

    def case(self) -> Refolded:
        began = self.began
        return Refolded(began.id, began.policy, began.calendars, began.rules_version, self.issue, turns=self.turns)


def altered(clause: str, limit: str, climb: str | None = None, policy: str = "52022") -> Policy:
    """The pack with another limit (and climb) on one clause."""
    changes = {"limit": Limit.parse(limit)} | ({"climb": (Limit.parse(climb),)} if climb else {})
    clauses = tuple(replace(each, **changes) if each.id == clause else each for each in pack(policy).clause)  # pyright: ignore[reportArgumentType]
    assert clauses != pack(policy).clause
    return replace(pack(policy), clause=clauses)


def accepted_at_seven() -> Recorded:
    """Reported at 10:00, accepted at 10:07, on site at 10:10, a minor matter done at 10:20, confirmed at 10:30."""
    stage = Recorded()
    for minute, actor, command in (
        (7, COMPANY, c.Accept()),
        (10, COMPANY, c.Arrive("minor")),
        (20, COMPANY, DONE),
        (30, REPORTER, c.Confirm("solved", "satisfied")),
    ):
        stage.let_pass(FRIDAY + timedelta(minutes=minute))
        stage.give(actor, command, after=0)
    assert stage.issue.is_closed
    return stage
