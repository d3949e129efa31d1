"""What an issue offers to choose from in the form of a command: people, organisations, photos, steps, times."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from api.container import Services
from domain.access import assignable
from domain.directory import Directory
from domain.issue import Issue
from domain.worktime import Limit
from pages.command_forms import Choice, Offer
from pages.story import moment, org_name
from pages.trials import VARIED, working
from protocol.clock import today
from protocol.context import LANGUAGE
from protocol.reader import VisibleIssue
from texts.catalogue import Language, say

_MANY: Final = [1, 2, 3, 5, 10, 20, 50]


async def offer_of(command: str, seen: VisibleIssue, use: Services) -> Offer:
    """What this viewer can choose from in the form of this command now. Raises Unavailable."""
    now, language = use.now(), LANGUAGE.get()
    values: Sequence[Any] = ()
    tried = VARIED.get(command)
    if tried is not None:
        values = [getattr(body, tried) for body in working(seen, command, now)]
    choices: dict[str, Sequence[Choice]] = {}
    match command:
        case "assign":
            choices["person"] = people(await use.directory.get(), seen, today(now))
        case "redispatch" | "rule":
            choices["handler"] = _orgs(await use.directory.get(), seen.issue, today(now))
        case "plan":
            choices["owner"] = _owners(await use.directory.get(), seen.issue)
        case "step_done":
            choices["step"] = _steps(seen.issue, values, language)
        case "extend":
            choices["by"] = _limits(seen.issue.policy.extend.max, language)
        case "complete":
            choices["evidence"] = await photos(seen, use)
        case _:
            pass
    return Offer(choices, {} if tried is None else {tried: values})


def people(directory: Directory, seen: VisibleIssue, day: date) -> list[Choice]:
    """Those who act for the viewer's organisation today, as he does: by code, and as they are called."""
    actor = seen.actor
    found = [each for each in directory.appointments if (each.role, each.org) == (actor.role, actor.org)]
    return list(
        {each.person: (each.person, each.name or each.person) for each in found if each.period.covers(day)}.values()
    )


def _orgs(directory: Directory, issue: Issue, day: date) -> list[Choice]:
    """The organisations that the issue can be given to: they work in its street."""
    every = (*directory.operators, *directory.communities, *directory.streets, *directory.departments)
    return [
        (each.code, each.name or each.code)
        for each in every
        if each.code != issue.handler.code
        and (org := directory.org(each.code)) is not None
        and assignable(org.kind, directory.reach(each.code, day), issue.place)
    ]


def _owners(directory: Directory, issue: Issue) -> list[Choice]:
    place = issue.place
    codes = dict.fromkeys(filter(None, (issue.handler.code, place.operator, place.community, place.street)))
    return [(code, org_name(code, directory)) for code in codes]


def _steps(issue: Issue, numbers: Sequence[int], language: Language) -> list[Choice]:
    steps = issue.plan.steps if issue.plan else ()
    return [
        (str(n), say("fields", "step.of", language, {"n": n, "due": moment(steps[n - 1].due, language)}))
        for n in numbers
    ]


def _limits(longest: Limit, language: Language) -> list[Choice]:
    amounts = [each for each in _MANY if each < longest.amount] + [longest.amount]
    return [
        (f"{each}{longest.unit}", say("fields", f"unit.{longest.unit}", language, {"count": each})) for each in amounts
    ]


async def photos(seen: VisibleIssue, use: Services) -> list[Choice]:
    """The photos of the issue that the viewer may see, by digest, each with when it was added."""
    if use.attachments is None or not seen.sight.text:
        return []
    return [(each.digest, moment(each.added_at, LANGUAGE.get())) for each in await use.attachments.of_issue(seen)]
