"""Folds many real issues under other rules, and adds up what happened, the control and the what-if by group."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args

from audit.refold import Refolded
from audit.whatif.engine import Course, WhatIfError, ended, refold_under, same_course
from audit.whatif.measures import Facts, Tally, follow
from domain.events import Event, Refused
from domain.issue import Issue
from domain.policy import Policy
from domain.vocabulary import CATEGORIES, LEVELS
from domain.worktime import YearCalendar

Side = Literal["happened", "control", "whatif"]
"""A side of the comparison. ``happened``: what really happened; ``control``: the same rules without outages;
``whatif``: the other rules without outages.
"""
Dimension = Literal["total", "level", "company", "category"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
NOBODY: Final = ""
"""The name of one group by company: that of the issues without an operator under contract."""
NAMED: Final = 20
"""How many issues a sample names; it counts all of them."""

Sides = dict[Side, Tally]


@dataclass
class Sample:
    """A sample of texts: how many texts were added, and the first of them."""

    number: int = 0
    first: list[str] = field(default_factory=list[str])

    def add(self, text: str) -> None:
        self.number += 1
        if len(self.first) < NAMED:
            self.first.append(text)


@dataclass
class Study:
    """The comparison of many issues: takes the real issues one by one by `add`; afterwards `groups` and the counters
    hold the results.

    `as_of` is the time when the histories were read: an open issue is judged until then.
    """

    policy: Policy | None
    calendars: Sequence[YearCalendar] | None
    as_of: datetime
    issues: int = 0
    agreeing: int = 0
    """The number of issues whose control matches what happened."""
    differing: Sample = field(default_factory=Sample)
    failed: Sample = field(default_factory=Sample)
    pinned: Counter[str] = field(default_factory=Counter[str])
    """The number of issues by the policy under which they began, as ``id version``."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    newly_refused: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(command, code) -> how many commands took effect in the control, but are refused with this code under the other
    rules.
    """
    newly_taken: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(command, code) -> how many commands are refused with this code in the control, but take effect under the other
    rules.
    """
    _tallies: dict[Dimension, dict[str, Sides]] = field(default_factory=dict[Dimension, dict[str, Sides]])

    def add(self, case: Refolded) -> None:
        """Folds one issue again and adds it to the figures. An issue that cannot be folded is named in `failed` and
        counts on no side.
        """
        try:
            end = ended(case, self.as_of)
            control = refold_under(case, end=end)
            whatif = refold_under(case, self.policy, self.calendars, end)
        except WhatIfError as error:
            self.failed.add(str(error))
            return
        real = case.events
        self.issues += 1
        self.pinned[f"{case.policy.id} {case.policy.version}"] += 1
        if same_course(real, control.events):
            self.agreeing += 1
        else:
            self.differing.add(case.issue)
        self.left_out += whatif.left_out
        self._compare(control, whatif)
        began = Issue.new(case.issue, case.policy, case.calendars, case.rules_version)
        facts: Mapping[Side, Facts] = {
            "happened": follow(began, real, end),
            "control": follow(control.start, control.events, end),
            "whatif": follow(whatif.start, whatif.events, end),
        }
        self._tally(case, facts)

    def add_all(self, cases: Iterable[Refolded]) -> None:
        """Adds each of the issues in turn, keeping none of them in memory."""
        for case in cases:
            self.add(case)

    def groups(self, dimension: Dimension) -> Iterator[tuple[str, Sides]]:
        """The groups of the dimension with their tallies: levels and categories in the order of the vocabulary,
        companies by name.
        """
        found = self._tallies.get(dimension, {})
        order = {name: place for place, name in enumerate((*LEVELS, *CATEGORIES))}
        yield from sorted(found.items(), key=lambda item: (order.get(item[0], 0), item[0]))

    @property
    def total(self) -> Sides:
        return self._sides("total", "")

    def _tally(self, case: Refolded, facts: Mapping[Side, Facts]) -> None:
        company = self._sides("company", case.state.place.operator or NOBODY)
        category = self._sides("category", case.state.category)
        for side, each in facts.items():
            self.total[side].add(each)
            category[side].add(each)
            # A company is judged on what was due while it led, not on what the levels above were late with.
            company[side].add(each, "property")
            for level in each.led:
                self._sides("level", level)[side].add(each, level, whole=False)

    def _sides(self, dimension: Dimension, name: str) -> Sides:
        found = self._tallies.setdefault(dimension, {})
        if name not in found:
            found[name] = {side: Tally() for side in SIDES}
        return found[name]

    def _compare(self, control: Course, whatif: Course) -> None:
        """Counts the commands that take effect in the control but are refused in the what-if, and the opposite."""
        before, now = _fates(control.events), _fates(whatif.events)
        for command in before.keys() & now.keys():
            was, became = before[command], now[command]
            if was is None and became is not None:
                self.newly_refused[became.command, became.code] += 1
            elif was is not None and became is None:
                self.newly_taken[was.command, was.code] += 1


def _fates(events: Sequence[Event]) -> dict[str, Refused | None]:
    """The id of each command -> its refusal, None if the command took effect."""
    found: dict[str, Refused | None] = {}
    for event in events:
        if event.command is not None:
            found[event.command.id] = event.body if isinstance(event.body, Refused) else None
    return found
