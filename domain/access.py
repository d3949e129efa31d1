"""Who may see an issue and who may give which command.

An actor acts in one role at a time, which he must hold; what he may do follows from his capacities in the issue in that
role. The roles of one person are never combined, and a person who acted on the property side of an issue may not take
decisions on that issue from above, in whichever role.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from domain.commands import Actor, Authority, Before
from domain.issue import Issue, lead_org, lowest, rank
from domain.place import Place
from domain.vocabulary import LEVELS, HandlerKind, Level, Role
from domain.worktime import SHANGHAI

Capacity = Literal[
    "reporter", "follower", "leaver", "neighbour", "counter", "handler", "lead", "senior", "chain", "street", "admin"
]
"""What an actor is to one issue. reporter: the resident who reported the issue, or decides after him. follower: a
resident who joined it; leaver: one who left it. neighbour: any other resident. counter: the community or the street of the
place, unless it does the work, for a resident who has neither code nor phone. handler: staff of the organisation that
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

_RESIDENTS: Final[tuple[Capacity, ...]] = ("reporter", "follower")
_WORK: Final[tuple[Capacity, ...]] = ("handler", "lead")
MAY: Final[Mapping[str, tuple[Capacity, ...]]] = MappingProxyType(
    {
        "comment": ("reporter", "handler", "lead", "chain"), "attach": ("reporter", "handler", "lead", "chain"),
        "supply": _RESIDENTS, "urge": (*_RESIDENTS, "counter"), "withdraw": _RESIDENTS, "confirm": _RESIDENTS,
        "object": (*_RESIDENTS, "counter"), "reopen": ("reporter", "counter", *_WORK, "senior"), "renew_code": _RESIDENTS,
        "follow": ("neighbour", "leaver"), "unfollow": ("follower",),
        "accept": _WORK, "decline": ("handler",), "assign": _WORK, "schedule": _WORK, "attempt": _WORK,
        "contact": _WORK, "arrive": _WORK, "assess": (*_WORK, "senior"), "mitigate": _WORK, "plan": _WORK, "step_done": _WORK,
        "answer": _WORK, "ask": _WORK, "wait": _WORK, "resume": (*_WORK, "senior"), "extend": _WORK, "complete": _WORK,
        "refer": ("handler", "lead", "chain"),
        "escalate": ("handler", "lead", "senior"),
        "sit": ("lead", "senior"),
        "redispatch": ("senior",), "return": ("senior",), "supervise": ("senior",), "instruct": ("senior",),
        "grant": ("senior",), "deny": ("senior",), "rule": ("senior",), "adopt": ("senior",), "merge": ("senior",),
        "split": ("senior", "admin"),
        "reject": ("senior",), "shelve": ("street",), "correct": ("handler", "lead", "chain"),
        "change_policy": ("admin",), "calendar_published": ("admin",), "directory_changed": ("admin",),
    }
)  # fmt: skip
"""Command -> the capacities in which an actor may give it."""


PROPERTY_SIDE: Final[tuple[Role, ...]] = ("property", "volunteer")
DECISIONS: Final = frozenset(
    {
        "return", "redispatch", "grant", "deny", "rule", "reject", "shelve", "supervise", "instruct", "adopt", "merge",
        "split",
    }
)  # fmt: skip
"""Commands by which a higher level judges the work or takes it away from the handler."""


def holds(actor: Actor, grants: Iterable[Authority], place: Place, at: datetime) -> bool:
    """Whether one of the grants gave the actor his acting role at the time `at`.

    For property staff of the place's operator the grant must also name the compound, as proof of a contract there.
    """
    return any(
        actor.role != "property" or actor.org != place.operator or grant.compound == place.compound
        for grant in _held(actor, grants, at)
    )


def _held(actor: Actor, grants: Iterable[Authority], at: datetime) -> Iterator[Authority]:
    """The grants by which the actor holds his acting role at the time `at`."""
    day = at.astimezone(SHANGHAI).date()
    for grant in grants:
        in_time = (grant.start is None or grant.start <= day) and (grant.end is None or day < grant.end)
        if in_time and (grant.role, grant.org) == (actor.role, actor.org):
            yield grant


def works_there(actor: Actor, grants: Iterable[Authority], place: Place, at: datetime) -> bool:
    """Whether the actor's organisation still has the contract that it needs to read issues of this place.

    Property staff need the one for the compound. Those of another company, which was given the work there, need one in
    the street. The other roles need none.
    """
    return actor.role != "property" or any(
        grant.compound == place.compound or (actor.org != place.operator and grant.street == place.street)
        for grant in _held(actor, grants, at)
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


def may_take_up(before: Before | None, at: datetime) -> bool:
    """Whether a report at `at` (UTC) may take up the issue that ended so: silence closed it not long ago."""
    return before is not None and before.until is not None and at <= before.until


def assignable(kind: HandlerKind, streets: Collection[str] | None, place: Place) -> bool:
    """Whether an organisation may be given an issue of this place: it must work in the street.

    `streets` is None for an operator that never had a contract. Volunteers without a contract may work anywhere.
    """
    return kind == "volunteers" if streets is None else place.street in streets


def conflict(issue: Issue, actor: Actor, command: str) -> Role | None:
    """The role in which this person acted on the property side, if that forbids the command; else None."""
    if command not in DECISIONS or actor.role in PROPERTY_SIDE:
        return None
    acted = issue.acted.get(actor.person)
    return None if acted is None else acted.side


def capacities(issue: Issue, actor: Actor) -> frozenset[Capacity]:
    """The capacities of the actor in this issue, in his acting role; empty for a stranger."""
    if actor.role == "resident":
        return _resident(issue, actor.person)
    found: list[Capacity] = []
    if handles(issue, actor):
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
        if (not issue.reporter or issue.unheard) and level != "property" and actor.org != issue.handler.code:
            found.append("counter")
    if actor.role == "admin" and actor.org == issue.place.street:
        found.append("admin")
    return frozenset(found)


_STRANGER: Final[frozenset[Capacity]] = frozenset()
_REPORTER: Final[frozenset[Capacity]] = frozenset({"reporter"})
_FOLLOWER: Final[frozenset[Capacity]] = frozenset({"follower"})
_LEAVER: Final[frozenset[Capacity]] = frozenset({"leaver"})
_NEIGHBOUR: Final[frozenset[Capacity]] = frozenset({"neighbour"})


def _resident(issue: Issue, person: str) -> frozenset[Capacity]:
    if not person:
        return _STRANGER
    if person == issue.reporter:
        return _REPORTER
    follower = issue.followers.get(person)
    if follower is None:
        return _NEIGHBOUR
    return _LEAVER if follower.left else _FOLLOWER


def handles(issue: Issue, actor: Actor) -> bool:
    """Whether the actor is of the organisation that does the work."""
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


def may_see(issue: Issue, actor: Actor, grants: Iterable[Authority], at: datetime) -> bool:
    """Whether this actor may know that the issue exists; auditors may know of every issue of their street.

    `grants` are his authorities in the place of the issue at the time `at`, by the directory of that day. An issue
    may name a company for ever; its staff read it as long as the company works there.
    """
    known = capacities(issue, actor) - _NEIGHBOUR
    is_known = bool(known) or (actor.role == "auditor" and actor.org == issue.place.street)
    return is_known and works_there(actor, grants, issue.place, at)


@dataclass(frozen=True)
class Sight:
    """How much of the personal data in one issue a viewer may see."""

    text: bool
    """What people wrote: visible to the reporter, the handler and the organisations of the place."""
    phone: bool
    """Whole phone numbers: visible to the reporter, the handler and the lead."""
    record_of: str | None = None
    """The organisation whose own record is all that is visible of the issue; None: the whole issue is."""
    own: str = ""
    """Of a resident: his name. He sees what he wrote himself, and nothing that another resident wrote."""


def sight(issue: Issue, viewer: Actor) -> Sight:
    """How much somebody who may see the issue sees of it.

    Auditors and administrators see no personal data, since their work needs none. A resident who decides after the
    reporter sees no more than any other who follows the issue.
    """
    found = capacities(issue, viewer)
    if viewer.role == "resident":
        is_whole = found == _REPORTER and viewer.person not in issue.followers
        return Sight(text=is_whole, phone=is_whole, own=viewer.person)
    return Sight(
        text=not found.isdisjoint({"handler", "lead", "chain"}),
        phone=not found.isdisjoint({"handler", "lead"}),
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
    if not handles(issue, actor):
        return () if level is None else (level,)
    return ("property",) if level in (None, "property") else ("property", level)
