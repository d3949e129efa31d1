"""What today's directory means for an issue: its levels, its first handler, and what passes on when people change.

No rule looks into the directory. What it says is resolved outside and comes with the report, and later with
`directory_changed`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import domain.commands as c
import domain.events as e
from domain import plans
from domain.access import assignable
from domain.clocks import RULING, rule_clock, with_clock, without
from domain.issue import Issue, Mark, Wish, lead_org, lowest, org_of, rank
from domain.pausing import unpause
from domain.place import Handler, Place
from domain.terms import new_term, with_status, without_work
from domain.values import copy_with
from domain.vocabulary import LEVELS, HandlerKind, Level

HANDLER_OF: Final[Mapping[Level, HandlerKind]] = MappingProxyType(
    {"property": "company", "community": "community", "street": "street"}
)


def starting_ladder(ladder: tuple[Level, ...], place: Place, *, about_operator: bool) -> tuple[Level, ...]:
    """The levels of `ladder` that an issue can reach at its place."""
    without = _lacking(ladder, place, about_operator)
    return tuple([level for level in ladder if level not in without]) or (ladder[-1],)


def first_handler(place: Place, level: Level) -> Handler:
    """Who does the work where `level` is the lowest of the ladder."""
    if level == "property" and place.operator and place.operator_kind:
        return Handler(place.operator, place.operator_kind)
    return Handler(place.street if level == "street" else place.community, HANDLER_OF[level])


def last_handler(place: Place, last: Handler, ladder: tuple[Level, ...]) -> Handler:
    """Who goes on with the work that `last` did: the same, unless the place has another operator, community or street."""
    stays = {"community": place.community, "street": place.street, "department": last.code, "volunteers": last.code}
    return last if last.code in (place.operator, stays.get(last.kind)) else first_handler(place, ladder[0])


def _lacking(ladder: tuple[Level, ...], place: Place, about_operator: bool) -> set[Level]:
    """The levels that the place lacks.

    The level of the property is left out where nobody has a contract, and for a complaint about the operator. The level
    of the community is left out where the operator is of the kind `society` or `community`, so that the
    community does not climb to itself.
    """
    lacking: set[Level] = set()
    if place.operator is None or about_operator:
        lacking.add("property")
    if place.operator_kind in ("society", "community") and ladder[0] == "property":
        lacking.add("community")
    return lacking


def change(issue: Issue, body: c.DirectoryChanged) -> e.DirectoryChanged | None:
    """What of the issue passes on by what the directory says today; None if nothing does."""
    place = body.place
    if place is None:
        return None
    ladder = _ladder(issue, place)
    handler = _handler(issue, place, body.handler_streets, ladder)
    left = None if handler is not None or body.left != issue.assigned else body.left
    if handler is None and left is None and _parties(place) == _parties(issue.place):
        return None
    after = copy_with(issue, place=place, ladder=ladder, level=_level(issue, ladder), handler=handler or issue.handler)
    rulers = handler is None  # a new handler has asked for nothing yet
    had, have = _concerned(issue, rulers=rulers), _concerned(after, rulers=rulers)
    lost, got = (tuple([org for org in one if org not in other]) for one, other in ((had, have), (have, had)))
    return e.DirectoryChanged(place, ladder, handler, lost, got, left)


def level_after(issue: Issue, changed: e.DirectoryChanged) -> Level:
    """The level that leads after the change."""
    return _level(issue, changed.ladder)


def _parties(place: Place) -> tuple[str | None, ...]:
    """The organisations that answer for a place; another name of the compound or another grid is nobody else's."""
    return place.operator, place.operator_kind, place.community, place.street


def _ladder(issue: Issue, place: Place) -> tuple[Level, ...]:
    """The issue's ladder with the levels that the place gained, without those that it lost.

    The level of the community is kept while it leads: an operator that is a community's own takes no lead from it.
    """
    whole = issue.policy.ladder
    before, now = (_lacking(whole, each, issue.about_operator) for each in (issue.place, place))
    gained = (before - now) & set(whole)
    lost = now - before
    if issue.level == "community":
        lost.discard("community")
    ladder: list[Level] = [
        level for level in LEVELS if level in gained or (level in issue.ladder and level not in lost)
    ]
    return tuple(ladder) or issue.ladder[-1:]


def _level(issue: Issue, ladder: tuple[Level, ...]) -> Level:
    return lowest(ladder, rank(issue.level)) or ladder[-1]


def _handler(issue: Issue, place: Place, streets: tuple[str, ...] | None, ladder: tuple[Level, ...]) -> Handler | None:
    """Who does the work from now on, if the present handler does not; None if he stays.

    The operator, the community and the street of the place do it as long as they are that. Another organisation was
    given the work, and keeps it as long as it works in the street.
    """
    handler, old = issue.handler, issue.place
    match handler.code:
        case old.operator:
            return None if place.operator == handler.code else first_handler(place, ladder[0])
        case old.community:
            return None if place.community == handler.code else Handler(place.community, "community")
        case old.street:
            return None if place.street == handler.code else Handler(place.street, "street")
        case _ if place.operator == handler.code or assignable(handler.kind, streets, place):
            return None
        case _:
            return first_handler(place, ladder[0])


def _concerned(issue: Issue, *, rulers: bool) -> tuple[str, ...]:
    """The organisations that have the issue: they handle it, lead it, run the compound; with `rulers` also whoever must rule.

    A complaint about the operator is none of the operator's.
    """
    operator = None if issue.about_operator else issue.place.operator
    ruling = [org_of(issue, wish.ruler) for wish in issue.wishes] if rulers else []
    return tuple(dict.fromkeys(org for org in (issue.handler.code, lead_org(issue), operator, *ruling) if org))


def passed_on(issue: Issue, event: e.Event, body: e.DirectoryChanged) -> Issue:
    """The issue after its people changed: on nobody's account, and with new time for those who are new to it."""
    before, mark = issue, Mark.of(event)
    former = {org: at for org, at in issue.former.items() if org not in body.got}
    issue = copy_with(
        issue, place=body.place, ladder=body.ladder, former={**former, **dict.fromkeys(body.lost, event.at)},
        resolved=issue.resolved + 1, assigned=None if body.handler or body.left else issue.assigned,
        wishes=_ruled_by(issue.wishes, body.ladder),
        work=issue.work and copy_with(issue.work, wishes=_ruled_by(issue.work.wishes, body.ladder), reminder=None),
    )  # fmt: skip
    left, climbed = issue.left, issue.last_climb
    if body.handler is not None:
        issue, left = _to_new_hands(issue, body.handler, event), None
    if body.handler is not None or (climbed is not None and climbed.from_level not in body.ladder):
        issue = copy_with(issue, last_climb=None)
    is_new = (event.level, lead_org(copy_with(issue, level=event.level))) != (before.level, lead_org(before))
    if is_new or (body.handler is not None and event.level == "property"):
        # What was to be done by whoever is gone, nobody is late for: the new ones get the whole time.
        issue = new_term(issue, mark, renewed=True, level=event.level, reminder=None, left=left)
    for clock in issue.clocks:
        level = clock.level
        if clock.clause in RULING and level != "issue" and org_of(issue, level) != org_of(before, level):
            issue = with_clock(issue, rule_clock(issue, clock.clause, level, "rule", mark))
    return issue


def _to_new_hands(issue: Issue, handler: Handler, event: e.Event) -> Issue:
    """The issue with a handler who begins the work; completed work stays completed, for the resident to answer.

    A resident's objection is still to be ruled on. A dropped issue is, if that is undone, work not begun.
    """
    marks = {kind: mark for kind, mark in issue.marks.items() if kind != "arrived"}  # nobody has come for this handler
    work = issue.work if issue.is_dropped else None
    if work is not None:
        work = copy_with(
            work, status="dispatched", interrupted=None, paused=None, waits_for=None, shelved=False, left=None, wishes=(),
            plan=None, proposed=None, planned_since=None, reminder=None,
            clocks=without(work.clocks, "ask", "review", "appointment", *plans.CLOCKS, *RULING), resting=(),
        )  # fmt: skip
    objection = tuple([wish for wish in issue.wishes if wish.what == "objection"])
    issue = copy_with(issue, handler=handler, marks=marks, wishes=objection, floors={}, left=None, work=work)
    if issue.status == "completed":
        return issue
    return unpause(with_status(without_work(issue), "dispatched", force=True), event.at)


def _ruled_by(wishes: Iterable[Wish], ladder: tuple[Level, ...]) -> tuple[Wish, ...]:
    """The wishes, each to be ruled on by a level of the ladder."""
    return tuple([replace(wish, ruler=lowest(ladder, rank(wish.ruler)) or ladder[-1]) for wish in wishes])
