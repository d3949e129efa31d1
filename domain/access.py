"""Who may see an issue and who may give which command.

An actor acts in one role at a time, which he must hold; what he may do follows from his capacities in the issue in that
role. The roles of one person are never combined, and a person who acted on the property side of an issue may not take
decisions on that issue from above, in whichever role.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from domain.commands import Actor, Authority
from domain.issue import Issue, lead_org, lowest, rank
from domain.place import Place
from domain.vocabulary import LEVELS, HandlerKind, Level, Role
from domain.worktime import SHANGHAI

Capacity = Literal["reporter", "handler", "lead", "senior", "chain", "street", "admin"]
"""What an actor is to one issue. reporter: the resident who reported the issue. handler: staff of the organisation that
does the work. lead: staff of the organisation that answers for the issue now. senior: the community or the street of
the place, if its level is that of the lead or above. chain: the operator, the community or the street of the place.
street: the street of the place, whichever level leads. admin: an administrator of that street."""

HANDLER_ROLES: Final[Mapping[HandlerKind, tuple[Role, ...]]] = MappingProxyType(
    {
        "company": ("property",),
        "society": ("property",),
        "community": ("property", "community"),
        "volunteers": ("volunteer",),
        "street": ("street",),
        "department": ("department",),
    }
)

_WORK: Final[tuple[Capacity, ...]] = ("handler", "lead")
MAY: Final[Mapping[str, tuple[Capacity, ...]]] = MappingProxyType(
    {
        "comment": ("reporter", "handler", "lead", "chain"),
        "supply": ("reporter",), "urge": ("reporter",), "withdraw": ("reporter",),
        "confirm": ("reporter",), "object": ("reporter",), "reopen": ("reporter", *_WORK), "renew_code": ("reporter",),
        "accept": _WORK, "decline": ("handler",), "assign": _WORK, "schedule": _WORK, "attempt": _WORK,
        "contact": _WORK, "arrive": _WORK, "assess": (*_WORK, "senior"), "mitigate": _WORK, "plan": _WORK, "step_done": _WORK,
        "answer": _WORK, "ask": _WORK, "wait": _WORK, "resume": (*_WORK, "senior"), "extend": _WORK, "complete": _WORK,
        "refer": ("handler", "lead", "chain"),
        "escalate": ("handler", "lead", "senior"),
        "sit": ("lead", "senior"),
        "redispatch": ("senior",), "return": ("senior",), "supervise": ("senior",), "instruct": ("senior",),
        "grant": ("senior",), "deny": ("senior",), "rule": ("senior",), "adopt": ("senior",), "merge": ("senior",),
        "reject": ("senior",), "shelve": ("street",), "correct": ("handler", "lead", "chain"),
        "change_policy": ("admin",), "calendar_published": ("admin",),
        "attach": ("reporter", "handler", "lead", "chain"),
    }
)  # fmt: skip
"""Command (or `attach`, which adds a picture) -> the capacities in which an actor may give it."""


PROPERTY_SIDE: Final[tuple[Role, ...]] = ("property", "volunteer")
DECISIONS: Final = frozenset(
    {
        "return", "redispatch", "grant", "deny", "rule", "reject", "shelve", "supervise", "instruct", "adopt", "merge",
    }
)  # fmt: skip
"""Commands by which a higher level judges the work or takes it away from the handler."""


def holds(actor: Actor, grants: Iterable[Authority], place: Place, at: datetime) -> bool:
    """Whether one of the grants gave the actor his acting role at the time `at`.

    For property staff of the place's operator the grant must also name the compound, as proof of a contract there.
    """
    day = at.astimezone(SHANGHAI).date()
    return any(
        (grant.role, grant.org) == (actor.role, actor.org)
        and (grant.start is None or grant.start <= day)
        and (grant.end is None or day < grant.end)
        and (actor.role != "property" or actor.org != place.operator or grant.compound == place.compound)
        for grant in grants
    )


def may_report(actor: Actor, grants: Iterable[Authority], place: Place, at: datetime) -> bool:
    """Whether the actor may report an issue at this place: residents anywhere, staff where their organisation works."""
    if actor.role == "resident":
        return True
    grants = tuple(grants)
    return writes(actor.role) and holds(actor, grants, place, at) and _works_at(actor, grants, place)


def _works_at(actor: Actor, grants: Iterable[Authority], place: Place) -> bool:
    match actor.role:
        case "property":
            return actor.org == place.operator
        case "community":
            return actor.org == place.community
        case "department" | "volunteer":
            return any(grant.org == actor.org and grant.street == place.street for grant in grants)
        case _:
            return actor.org == place.street


def may_follow(place: Place, old: Issue) -> bool:
    """Whether a report here may say that the old issue recurs: it must be closed and of the same compound."""
    return old.is_closed and old.place.compound == place.compound


def assignable(kind: HandlerKind, streets: Collection[str] | None, place: Place) -> bool:
    """Whether an organisation may be given an issue of this place: it must work in the street.

    `streets` is None for an operator that never had a contract. Volunteers without a contract may work anywhere.
    """
    return kind == "volunteers" if streets is None else place.street in streets


def conflict(issue: Issue, actor: Actor, command: str) -> Role | None:
    """The role in which this person acted on the property side, if that forbids the command; else None."""
    if command not in DECISIONS or actor.role in PROPERTY_SIDE:
        return None
    return issue.acted.get(actor.person)


def capacities(issue: Issue, actor: Actor) -> frozenset[Capacity]:
    """The capacities of the actor in this issue, in his acting role; empty for a stranger."""
    if actor.role == "resident":
        return _REPORTER if actor.person == issue.reporter else _STRANGER
    found: list[Capacity] = []
    if _handles(issue, actor):
        found.append("handler")
    level = _level(issue, actor)
    if level is not None:
        found.append("chain")
        if level == issue.level and actor.org == lead_org(issue):
            found.append("lead")
        if level != "property" and rank(level) >= rank(issue.level):
            found.append("senior")
        if level == "street":
            found.append("street")
    if actor.role == "admin" and actor.org == issue.place.street:
        found.append("admin")
    return frozenset(found)


_REPORTER: Final[frozenset[Capacity]] = frozenset({"reporter"})
_STRANGER: Final[frozenset[Capacity]] = frozenset()


def _handles(issue: Issue, actor: Actor) -> bool:
    handler = issue.handler
    return actor.org == handler.code and actor.role in HANDLER_ROLES[handler.kind]


def _level(issue: Issue, actor: Actor) -> Level | None:
    """The level for which the actor speaks at this place, even if it is not on the issue's ladder; None for others."""
    place = issue.place
    match actor.role:
        case "property" if actor.org is not None and actor.org == place.operator and not issue.about_operator:
            return "property"
        case "community" if actor.org == place.community:
            return "community"
        case "street" if actor.org == place.street:
            return "street"
        case _:
            return None


def may_see(issue: Issue, actor: Actor) -> bool:
    """Whether this actor may know that the issue exists; auditors may know of every issue of their street."""
    return bool(capacities(issue, actor)) or (actor.role == "auditor" and actor.org == issue.place.street)


@dataclass(frozen=True)
class Sight:
    """How much of the personal data in one issue a viewer may see."""

    text: bool
    """What people wrote: visible to the reporter, the handler and the organisations of the place."""
    phone: bool
    """Whole phone numbers: visible to the reporter, the handler and the lead."""


def sight(issue: Issue, viewer: Actor) -> Sight:
    """How much the viewer sees; auditors and administrators see no personal data, since their work needs none."""
    found = capacities(issue, viewer)
    return Sight(
        text=not found.isdisjoint({"reporter", "handler", "lead", "chain"}),
        phone=not found.isdisjoint({"reporter", "handler", "lead"}),
    )


def writes(role: Role) -> bool:
    """Whether this role may change anything: auditors may not, since they judge the record."""
    return role != "auditor"


def audits(role: Role) -> bool:
    """Whether this role may verify the record and read the archive."""
    return role == "auditor"


def reads_access_log(role: Role) -> bool:
    """Whether this role may read the access log of its street."""
    return role in ("auditor", "admin")


DECODERS: Final[tuple[Role, ...]] = ("auditor", "admin")
"""Roles that may decode the encrypted payloads of Temporal. Temporal's UI cannot name the role in which a person asks,
so the first of these that the person holds is taken."""


def decodes(role: Role) -> bool:
    """Whether this role may read the decrypted payloads of Temporal."""
    return role in DECODERS


def searches_texts(role: Role) -> bool:
    """Whether this role may search personal texts. Roles that see them masked may not: hits would reveal the texts."""
    return role not in ("auditor", "admin")


def may_give(issue: Issue, actor: Actor, command: str) -> bool:
    """Whether the actor has a capacity in which this command may be given, leaving aside the status of the issue."""
    return not capacities(issue, actor).isdisjoint(MAY[command])


def level_of(actor: Actor) -> Level:
    """The level of an actor's role: community, street, or else the property side."""
    return actor.role if actor.role in ("community", "street") else LEVELS[0]


def above(issue: Issue, actor: Actor) -> Level | None:
    """The level that rules on the actor's wishes: the lowest above both the actor and the lead.

    Where the top of the ladder leads, it rules on the wishes of those below it, and nobody on its own (None).
    """
    own, lead = rank(level_of(actor)), rank(issue.level)
    return lowest(issue.ladder, max(own, lead) + 1) or lowest(issue.ladder, max(own + 1, lead))


def milestone_scopes(issue: Issue, actor: Actor) -> tuple[Level, ...]:
    """The levels whose clauses the actor can meet: the level for which he speaks, and `property` for the handler."""
    level = _level(issue, actor)
    if not _handles(issue, actor):
        return () if level is None else (level,)
    return ("property",) if level in (None, "property") else ("property", level)
