"""The directory: places, organisations, appointments, and which policy applies where.

`domain.directory_csv` checks a directory when it is read from files; here its references are assumed to be valid.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Final, Literal, TypeVar

from domain.commands import Actor, Authority
from domain.place import Place
from domain.vocabulary import Category, HandlerKind, OperatorKind, Role

K = TypeVar("K")
T = TypeVar("T")

ANY: Final = "*"
"""Stands for every place, or every category, in a binding."""


@dataclass(frozen=True)
class Period:
    """Days from `start`, inclusive, to `end`, exclusive; None is an open end or start."""

    start: date | None = None
    end: date | None = None

    def covers(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def overlaps(self, other: "Period") -> bool:
        return _starts_before_end(self, other) and _starts_before_end(other, self)


def _starts_before_end(one: Period, other: Period) -> bool:
    return one.start is None or other.end is None or one.start < other.end


@dataclass(frozen=True)
class Street:
    code: str
    name: str
    division_code: str = ""
    duty_phone: str = ""
    """The number of whoever is on duty, which anybody may call."""


@dataclass(frozen=True)
class Community:
    code: str
    name: str
    street: str
    division_code: str = ""
    duty_phone: str = ""


@dataclass(frozen=True)
class Grid:
    code: str
    name: str
    community: str


@dataclass(frozen=True)
class Compound:
    code: str
    name: str
    community: str
    grid: str = ""
    buildings: int | None = None


@dataclass(frozen=True)
class Building:
    """A building of a compound, with the name that stands on it."""

    compound: str
    code: str
    name: str


@dataclass(frozen=True)
class Operator:
    """A body that runs compounds, or a group of volunteers."""

    code: str
    name: str
    kind: OperatorKind
    duty_phone: str = ""


@dataclass(frozen=True)
class Department:
    code: str
    name: str
    street: str
    duty_phone: str = ""


@dataclass(frozen=True)
class Contract:
    """An operator runs a compound for a period; a compound has at most one at a time."""

    operator: str
    compound: str
    period: Period = Period()


@dataclass(frozen=True)
class Appointment:
    """A person may act in this role for this organisation.

    `phone` is the pseudonym of the resident who proves the person's own phone; in a file that is read, still the number.
    `name` is how the person is called. A `manager` may appoint others to this role in this organisation (`domain.managing`).
    """

    person: str
    role: Role
    org: str
    period: Period = Period()
    phone: str = ""
    name: str = ""
    manager: bool = False


@dataclass(frozen=True)
class Binding:
    """Issues of this place (any place code, or ``*``) and category (or ``*``) run under this policy."""

    place: str
    category: Category | Literal["*"]
    policy: str
    period: Period = Period()


@dataclass(frozen=True)
class Org:
    """An organisation that may lead or handle an issue, and for which people act."""

    code: str
    kind: HandlerKind
    name: str
    street: str | None
    """The street in which it works; None for an operator, whose streets depend on its contracts (`streets_of`)."""
    operator: bool = False
    """Distinguishes an operator of kind ``community`` from the community itself."""
    duty_phone: str = ""


@dataclass(frozen=True)
class Works:
    """Where an organisation works: the compounds whose issues are its own, and the streets."""

    compounds: frozenset[str] = frozenset()
    streets: frozenset[str] = frozenset()


def role_fits(role: Role, org: Org) -> bool:
    """Whether people can act in this role for this organisation; never for residents, who act for no organisation."""
    match role:
        case "resident":
            return False
        case "property":
            return org.operator and org.kind != "volunteers"
        case "volunteer":
            return org.operator and org.kind == "volunteers"
        case "community":
            return org.kind == "community" and not org.operator
        case "department":
            return org.kind == "department"
        case "street" | "auditor" | "admin":
            return org.kind == "street"


class NotAppointed(ValueError):
    """The person is not appointed to the role that a request names."""


class SeveralRoles(ValueError):
    """The request fits several roles, which are never combined: it must name one of `ways`, pairs of role and org."""

    def __init__(self, ways: Iterable[tuple[str, str]]) -> None:
        super().__init__("one role has to be chosen")
        self.ways: Final = tuple(ways)


def acting_by(
    held: Sequence[Appointment], role: str | None, org: str | None, prefer: Sequence[Role] = ()
) -> tuple[Appointment, ...]:
    """The appointments under which a request is made: those of `held` to one role in one organisation.

    `role` and `org` are those that the request names; among several ways the first role of `prefer` is chosen. Empty
    for a resident, who needs no appointment. Raises NotAppointed if none fits, SeveralRoles if several do.
    """
    if org is None and (role == "resident" or (role is None and not held)):
        return ()
    meant = [each for each in held if role in (None, each.role) and org in (None, each.org)]
    ways = sorted({(each.role, each.org) for each in meant})
    if not ways:
        raise NotAppointed
    chosen = ways if len(ways) == 1 else [way for preferred in prefer for way in ways if way[0] == preferred]
    if not chosen:
        raise SeveralRoles(ways)
    return tuple(each for each in meant if (each.role, each.org) == chosen[0])


@dataclass(frozen=True)
class Directory:
    """The whole directory: its rows, and queries over them. Contracts, appointments and bindings hold by the day."""

    streets: tuple[Street, ...] = ()
    communities: tuple[Community, ...] = ()
    grids: tuple[Grid, ...] = ()
    compounds: tuple[Compound, ...] = ()
    buildings: tuple[Building, ...] = ()
    operators: tuple[Operator, ...] = ()
    departments: tuple[Department, ...] = ()
    contracts: tuple[Contract, ...] = ()
    appointments: tuple[Appointment, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def place(self, compound: str, on: date) -> Place | None:
        """The compound with the organisations that answer for it on that day; None if there is no such compound."""
        found = self._compound.get(compound)
        if found is None:
            return None
        operator = self._operator_of(compound, on)
        return Place(
            compound=found.code,
            community=found.community,
            street=self._street_of_community[found.community],
            operator=operator.code if operator else None,
            operator_kind=operator.kind if operator else None,
            grid=found.grid,
            name=found.name,
        )

    def policy_for(self, compound: str, category: Category, on: date) -> str | None:
        """The id of the policy for issues of this category that begin at the compound on that day.

        None if no binding fits or there is no such compound. Bindings in order of precedence: place and category, ``*``
        and category, place and ``*``, ``*`` and ``*``. As place count the compound, its grid, community and street, in
        this order. So a community's binding for the category beats the compound's own for all categories.
        """
        found = self._compound.get(compound)
        if found is None:
            return None
        here = self._up_from(found)
        order = (
            *((place, category) for place in here),
            (ANY, category),
            *((place, ANY) for place in here),
            (ANY, ANY),
        )
        for key in order:
            for binding in self._bindings.get(key, ()):
                if binding.period.covers(on):
                    return binding.policy
        return None

    def compound(self, code: str) -> Compound | None:
        """The compound of this code."""
        return self._compound.get(code)

    def community(self, code: str) -> Community | None:
        """The community of this code."""
        return self._community.get(code)

    def buildings_of(self, compound: str) -> tuple[Building, ...]:
        """The buildings of the compound, in the order of their file; none if nobody entered any."""
        return self._buildings.get(compound, ())

    def org(self, code: str) -> Org | None:
        """The organisation of this code: an operator, a community, a street or a department."""
        return self._orgs.get(code)

    def streets_of(self, org: str, on: date | None = None) -> frozenset[str]:
        """The streets where the organisation works; for an operator by its contracts on that day (None: on any day)."""
        found = self._orgs.get(org)
        if found is None:
            return frozenset()
        if found.street is not None:
            return frozenset({found.street})
        compounds = (c.compound for c in self._contracts_of_operator.get(org, ()) if on is None or c.period.covers(on))
        return frozenset(self._street_of_community[self._compound[code].community] for code in compounds)

    def reach(self, org: str, on: date) -> tuple[str, ...] | None:
        """The streets in which the organisation works on that day; None for an operator that never had a contract."""
        return tuple(sorted(self.streets_of(org, on))) if self.streets_of(org) else None

    def oversees(self, viewer: Actor, org: str, on: date) -> bool:
        """Whether the organisation is the viewer's own, or works below it in the tree of places."""
        if viewer.role == "resident" or viewer.org is None:
            return False
        if org == viewer.org:
            return True
        match viewer.role:
            case "community":
                found = self.org(org)
                is_operator = found is not None and found.operator
                return is_operator and not self.subtree(org, on).isdisjoint(self.subtree(viewer.org, on))
            case "street" | "auditor" | "admin":
                return viewer.org in self.streets_of(org, on)
            case _:
                return False

    def subtree(self, org: str, on: date) -> frozenset[str]:
        """The compounds whose issues the organisation may all see on that day.

        Empty for departments, and for volunteers without a contract: they see only the issues that they handle.
        """
        found = self._orgs.get(org)
        if found is None or found.kind == "department":
            return frozenset()
        if found.operator:
            return frozenset(c.compound for c in self._contracts_of_operator.get(org, ()) if c.period.covers(on))
        if found.kind == "street":
            communities = self._communities_of_street.get(org, ())
            return frozenset(c.code for each in communities for c in self._compounds_of_community.get(each.code, ()))
        return frozenset(c.code for c in self._compounds_of_community.get(org, ()))

    def appointments_of(self, person: str, on: date) -> tuple[Appointment, ...]:
        """The person's appointments on that day, which may be to several roles."""
        mine = self._appointments.get(person, ())
        return tuple(each for each in mine if each.period.covers(on) and self.has_role(each.role, each.org))

    def called(self, person: str, org: str) -> str:
        """How this person of an organisation is called; empty if the directory does not say. Whoever left keeps his name."""
        return self._called.get((person, org), "")

    def sides(self, names: Collection[str], on: date) -> tuple[Authority, ...]:
        """The appointments on that day of whoever bears one of these names, or one of these pseudonyms by phone.

        They tell on whose side a resident is, and give the resident no right.
        """
        return tuple(
            Authority(each.role, each.org, start=each.period.start, end=each.period.end, person=each.person)
            for each in self.appointments
            if each.period.covers(on) and (each.person in names or each.phone in names)
        )

    def works(self, org: str | None, on: date) -> "Works":
        """Where the organisation works on that day."""
        return Works() if org is None else Works(self.subtree(org, on), self.streets_of(org, on))

    def contract_ended(self, org: str | None, compound: str, on: date) -> date | None:
        """When the last contract of the operator for the compound that is over on that day ended; None if none is."""
        ends = [each.period.end for each in self._contracts_of_operator.get(org or "", ()) if each.compound == compound]
        return max((end for end in ends if end is not None and end <= on), default=None)

    def is_appointed(self, person: str, org: str, on: date) -> bool:
        """Whether the person acts for the organisation on that day."""
        return any(each.org == org for each in self.appointments_of(person, on))

    def has_role(self, role: Role, org: str | None) -> bool:
        """Whether people can act in this role for the organisation of this code."""
        found = None if org is None else self.org(org)
        return found is not None and role_fits(role, found)

    def grants_in(self, place: Place, held: Iterable[Authority], on: date) -> tuple[Authority, ...]:
        """The authorities, with `compound` or `street` filled in where the organisation works here on that day."""
        return tuple(self._grant_in(place, grant, on) for grant in held)

    def _grant_in(self, place: Place, grant: Authority, on: date) -> Authority:
        org = grant.org or ""
        if grant.role == "property" and place.compound in self.subtree(org, on):
            return replace(grant, compound=place.compound)
        if grant.role in ("property", "department", "volunteer") and place.street in self.streets_of(org, on):
            return replace(grant, street=place.street)
        return grant

    def _operator_of(self, compound: str, on: date) -> Operator | None:
        for contract in self._contracts_of_compound.get(compound, ()):
            if contract.period.covers(on):
                return self._operator[contract.operator]
        return None

    def _up_from(self, compound: Compound) -> tuple[str, ...]:
        """The codes of the compound, its grid, community and street, in this order."""
        street = self._street_of_community[compound.community]
        return tuple(code for code in (compound.code, compound.grid, compound.community, street) if code)

    @cached_property
    def _called(self) -> Mapping[tuple[str, str], str]:
        return {(each.person, each.org): each.name for each in self.appointments if each.name}

    @cached_property
    def _compound(self) -> Mapping[str, Compound]:
        return {each.code: each for each in self.compounds}

    @cached_property
    def _community(self) -> Mapping[str, Community]:
        return {each.code: each for each in self.communities}

    @cached_property
    def _buildings(self) -> Mapping[str, tuple[Building, ...]]:
        return _grouped((each.compound, each) for each in self.buildings)

    @cached_property
    def _operator(self) -> Mapping[str, Operator]:
        return {each.code: each for each in self.operators}

    @cached_property
    def _street_of_community(self) -> Mapping[str, str]:
        return {each.code: each.street for each in self.communities}

    @cached_property
    def _orgs(self) -> Mapping[str, Org]:
        operators = (Org(each.code, each.kind, each.name, None, True, each.duty_phone) for each in self.operators)
        communities = (
            Org(each.code, "community", each.name, each.street, False, each.duty_phone) for each in self.communities
        )
        streets = (Org(each.code, "street", each.name, each.code, False, each.duty_phone) for each in self.streets)
        departments = (
            Org(each.code, "department", each.name, each.street, False, each.duty_phone) for each in self.departments
        )
        return {org.code: org for org in (*operators, *communities, *streets, *departments)}

    @cached_property
    def _communities_of_street(self) -> Mapping[str, tuple[Community, ...]]:
        return _grouped((each.street, each) for each in self.communities)

    @cached_property
    def _compounds_of_community(self) -> Mapping[str, tuple[Compound, ...]]:
        return _grouped((each.community, each) for each in self.compounds)

    @cached_property
    def _contracts_of_compound(self) -> Mapping[str, tuple[Contract, ...]]:
        return _grouped((each.compound, each) for each in self.contracts)

    @cached_property
    def _contracts_of_operator(self) -> Mapping[str, tuple[Contract, ...]]:
        return _grouped((each.operator, each) for each in self.contracts)

    @cached_property
    def _appointments(self) -> Mapping[str, tuple[Appointment, ...]]:
        return _grouped((each.person, each) for each in self.appointments)

    @cached_property
    def _bindings(self) -> Mapping[tuple[str, str], tuple[Binding, ...]]:
        return _grouped(((each.place, each.category), each) for each in self.bindings)


def _grouped(pairs: Iterable[tuple[K, T]]) -> Mapping[K, tuple[T, ...]]:
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return {key: tuple(items) for key, items in groups.items()}
