"""What an import of a directory leaves open: levels with nobody, categories without a policy, days without a contract.

And which open issues would lose the people who act on them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from domain.directory import Compound, Contract, Directory
from domain.vocabulary import CATEGORIES, Role

_LOOK_ON: Final[tuple[Role, ...]] = ("auditor", "admin")
"""Roles for a street that do no work on its issues."""


@dataclass(frozen=True)
class OpenIssue:
    """What of an open issue depends on the directory: its compound, and the organisations that do and lead the work."""

    id: str
    number: str
    compound: str
    handler: str
    lead: str


@dataclass(frozen=True)
class Loss:
    """An open issue that would lose people or pass to others; `abandoned` if nobody would be left who may act on it."""

    issue: OpenIssue
    said: str
    abandoned: bool = False


def remarks(directory: Directory, today: date) -> Iterator[str]:
    """What is missing in the directory from `today` on, one line each; nothing of it keeps an import from its place."""
    yield from _unstaffed(directory, today)
    for compound in directory.compounds:
        missing = [each for each in CATEGORIES if directory.policy_for(compound.code, each, today) is None]
        if missing:
            which = "any category" if len(missing) == len(CATEGORIES) else ", ".join(missing)
            yield f"compound {compound.code} has no policy for {which}"
        yield from _days_without(compound, directory, today)


def _unstaffed(directory: Directory, today: date) -> Iterator[str]:
    """The organisations of compounds for which nobody is appointed today."""
    compounds: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for compound in directory.compounds:
        place = directory.place(compound.code, today)
        assert place is not None
        for level, org in (("property", place.operator), ("community", place.community), ("street", place.street)):
            if org is not None and not is_staffed(directory, org, today):
                compounds[level, org].append(compound.code)
    for (level, org), codes in compounds.items():
        yield f"nobody is appointed for {org}, the {level} of {', '.join(codes)}"


def _days_without(compound: Compound, directory: Directory, today: date) -> Iterator[str]:
    """The days from today on on which nobody has a contract for a compound that has one before or after them."""
    mine = [each for each in directory.contracts if each.compound == compound.code]
    mine = sorted((each for each in mine if each.period.end is None or each.period.end > today), key=_start)
    for earlier, later in pairwise(mine):
        ended, begins = earlier.period.end, later.period.start
        if ended is not None and begins is not None and ended < begins:
            days = f"{ended} to {begins - timedelta(days=1)}" if begins - ended > timedelta(days=1) else f"{ended}"
            yield f"compound {compound.code} has no operator on {days}: {earlier.operator} ends, {later.operator} begins"
    if mine and (ends := mine[-1].period.end) is not None:
        yield f"compound {compound.code} has no operator from {ends} on: {mine[-1].operator} ends"


def _start(contract: Contract) -> date:
    return contract.period.start or date.min


def is_staffed(directory: Directory, org: str, today: date) -> bool:
    """Whether somebody is appointed today to act on issues for the organisation."""
    return any(
        each.org == org
        and each.role not in _LOOK_ON
        and each.period.covers(today)
        and directory.has_role(each.role, org)
        for each in directory.appointments
    )


def losses(before: Directory, after: Directory, issues: Iterable[OpenIssue], today: date) -> Sequence[Loss]:
    """The open issues that lose people, or pass to others, when `after` takes the place of `before`.

    An organisation for which nobody was appointed before has nobody to lose: with local tokens it acts all the same.
    """
    issues = tuple(issues)
    orgs = {org for issue in issues for org in (issue.handler, issue.lead)}
    had = {org for org in orgs if is_staffed(before, org, today)}
    compounds = {each.code for each in after.compounds}

    def stays(org: str, heir: str) -> bool:
        return after.org(heir) is not None and (org not in had or is_staffed(after, heir, today))

    found: list[Loss] = []
    for issue in issues:
        heirs = {org: _heir(org, issue, before, after, today) for org in (issue.handler, issue.lead)}
        gone = [org for org, heir in heirs.items() if not stays(org, heir)]
        passes = ", ".join(f"from {org} to {heir}" for org, heir in heirs.items() if heir != org and org not in gone)
        if passes:
            found.append(Loss(issue, f"{issue.number}: passes {passes}"))
        if gone:
            whose = ", ".join(gone)
            abandoned = len(gone) == len({issue.handler, issue.lead})
            rest = "and nobody is left" if abandoned else "who no longer act"
            found.append(Loss(issue, f"{issue.number}: loses the people of {whose}, {rest}", abandoned))
        elif issue.compound not in compounds:
            found.append(Loss(issue, f"{issue.number}: its compound {issue.compound} is no longer in the directory"))
    return found


def _heir(org: str, issue: OpenIssue, before: Directory, after: Directory, today: date) -> str:
    """To whom the issue passes from the organisation by `directory_changed`; the organisation itself if it stays."""
    old, new = before.place(issue.compound, today), after.place(issue.compound, today)
    if old is None or new is None:
        return org
    heirs = {old.street: new.street, old.community: new.community, old.operator: new.operator or new.community}
    return heirs.get(org, org)
