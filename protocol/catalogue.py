"""What a form offers to choose from: places, organisations, policies and the words of the vocabulary."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final, Generic, Protocol, TypeVar, get_args

from domain import vocabulary as v
from domain.commands import Actor
from domain.directory import ANY, Compound, Directory
from domain.events import Event
from domain.policy import Policy
from domain.vocabulary import HandlerKind
from policies.titles import title_of
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from texts.catalogue import Language, named
from texts.vocabulary import CHINESE


class _Coded(Protocol):
    @property
    def code(self) -> str: ...


T = TypeVar("T")
C = TypeVar("C", bound=_Coded)
SETS: Final[Mapping[str, object]] = {
    "categories": v.Category, "roles": v.Role, "levels": v.Level, "statuses": v.Status, "milestones": v.Milestone,
    "assessments": v.Assessment, "outcomes": v.Outcome, "ratings": v.Rating, "completions": v.CompletionKind,
    "closes": v.CloseKind, "kinds": v.HandlerKind, "holders": v.Holder, "declines": v.DeclineReason, "waits": v.WaitReason,
    "climbs": v.ClimbReason, "requests": v.Request, "stops": v.Stops, "services": v.Service, "channels": v.Channel,
    "legal_routes": v.LegalRoute,
}  # fmt: skip
"""The closed sets of values that commands and answers hold, by the name that a form knows them by."""


@dataclass(frozen=True)
class Named:
    code: str
    name: str


@dataclass(frozen=True)
class OfferedPlace(Named):
    """A compound. `grid` and `operator`, which runs it today, are told to those who work there only."""

    community: Named
    street: Named
    buildings: int | None
    grid: str | None = None
    operator: Named | None = None


@dataclass(frozen=True)
class OfferedOrg(Named):
    """An organisation, and in which streets it works today; None: no contract says where, so it may anywhere."""

    kind: HandlerKind
    streets: tuple[str, ...] | None


@dataclass(frozen=True)
class Word:
    """A value, and what it is called in both languages."""

    word: str
    zh: str
    en: str


@dataclass(frozen=True)
class Some(Generic[T]):
    """A page in order of codes; `next_cursor` is the last code of it, None on the last page."""

    items: list[T]
    next_cursor: str | None


class Catalogue:
    """Offers each caller what is in the scope of his organisation; compounds and words to everybody.

    Its methods raise Unavailable while no directory can be read.
    """

    def __init__(self, directory: DirectoryCache, policies: Mapping[str, Policy], now: Now) -> None:
        self._directory = directory
        self._policies = policies
        self._now = now

    async def places(self, viewer: Actor | None, after: str, most: int) -> Some[OfferedPlace]:
        """The compounds whose code comes after this one."""
        directory, on = await self._directory.get(), today(self._now())
        mine = _compounds(directory, viewer, on)
        streets, communities = _by_code(directory.streets), _by_code(directory.communities)
        found = _after(directory.compounds, after, most)

        def offered(compound: Compound) -> OfferedPlace:
            community = communities[compound.community]
            street = streets[community.street]
            names = (Named(community.code, community.name), Named(street.code, street.name))
            place = directory.place(compound.code, on) if compound.code in mine else None
            operator = place and place.operator and directory.org(place.operator)
            return OfferedPlace(
                compound.code, compound.name, *names, compound.buildings, place and (place.grid or None),
                Named(operator.code, operator.name) if operator else None,
            )  # fmt: skip

        return Some([offered(each) for each in found.items], found.next_cursor)

    async def organisations(self, viewer: Actor, after: str, most: int) -> Some[OfferedOrg]:
        """The viewer's own and those that may work in a street where his works today; none for residents."""
        directory, on = await self._directory.get(), today(self._now())
        here = frozenset[str]() if _is_resident(viewer) else directory.works(viewer.org, on).streets
        kinds = (directory.operators, directory.communities, directory.streets, directory.departments)
        reach = {each.code: directory.reach(each.code, on) for kind in kinds for each in kind}
        near = (code for code, streets in reach.items() if here and (streets is None or here.intersection(streets)))
        codes = {*near, *([viewer.org] if viewer.org in reach and not _is_resident(viewer) else [])}
        orgs = [org for code in codes if (org := directory.org(code))]
        found = _after(orgs, after, most)
        return Some([OfferedOrg(o.code, o.name, o.kind, reach[o.code]) for o in found.items], found.next_cursor)

    async def policies(self, viewer: Actor) -> Sequence[Policy]:
        """The packs to which a place in the viewer's scope is bound today; to an administrator, who changes them, all."""
        if viewer.role == "admin":
            return list(self._policies.values())
        directory, on = await self._directory.get(), today(self._now())
        mine = _compounds(directory, viewer, on)
        street = {each.code: each.street for each in directory.communities}
        here = {
            code
            for each in directory.compounds
            if each.code in mine
            for code in (ANY, each.code, each.grid, each.community, street[each.community])
        }
        bound = {each.policy for each in directory.bindings if each.period.covers(on) and each.place in here}
        return [policy for name, policy in self._policies.items() if name in bound]


@cache
def words() -> Mapping[str, Sequence[Word]]:
    """The words of each set of `SETS`."""
    return {name: [*_words(kind)] for name, kind in SETS.items()}


def clauses_of(policy: Policy) -> Sequence[Word]:
    """The clauses of a pack by id, with their names."""
    return [_titled(each.id, policy) for each in policy.clause]


def clause_named(clause: str, policy: Policy, language: Language) -> str:
    """What a clause of the policy, a clock of the rules or the reason of a climb is called."""
    return title_of(clause, policy, language)


def clauses_in(events: Sequence[Event], policy: Policy) -> Sequence[Word]:
    """Whatever these events bear as their clause, with its name under the policy."""
    return [_titled(clause, policy) for clause in dict.fromkeys(each.clause for each in events) if clause]


def _titled(clause: str, policy: Policy) -> Word:
    return Word(clause, title_of(clause, policy, "zh"), title_of(clause, policy, "en"))


def _words(kind: object) -> Iterator[Word]:
    for word in get_args(kind):
        yield Word(word, CHINESE[word], named(word, "en"))


def _is_resident(viewer: Actor | None) -> bool:
    return viewer is None or viewer.role == "resident" or viewer.org is None


def _compounds(directory: Directory, viewer: Actor | None, on: date) -> frozenset[str]:
    """The compounds in the viewer's scope: those of his organisation, or for a department those of its street."""
    if viewer is None or _is_resident(viewer):
        return frozenset()
    works = directory.works(viewer.org, on)
    if works.compounds:
        return works.compounds
    here = {each.code for each in directory.communities if each.street in works.streets}
    return frozenset(each.code for each in directory.compounds if each.community in here)


def _by_code(items: Sequence[C]) -> Mapping[str, C]:
    return {each.code: each for each in items}


def _after(items: Sequence[C], code: str, most: int) -> Some[C]:
    known = _by_code(items)
    codes = sorted(known)
    start = bisect_right(codes, code)
    page = codes[start : start + most]
    return Some([known[each] for each in page], page[-1] if start + most < len(codes) else None)
