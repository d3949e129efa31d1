"""Whatever the company, or the community that leads, does in a few commands and then leaves: the issue climbs on.

`policies.liveness` searches wider and deeper; this walk is plain, folds each sequence to its end, and shares no code with it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

import domain.commands as c
from domain.advance import advance
from domain.clocks import next_deadline, wake_after
from domain.commands import Actor, Body
from domain.issue import Issue
from support.grants import granted
from tests.domain.play import CALENDARS, COMMUNITY, COMPANY, REPORTER, STREET, Stage, local, pack, place

START = local("2026-03-02 10:00")
AFTER = timedelta(days=180)
MOVES: dict[str, Callable[[datetime], Body]] = {
    "accept": lambda at: c.Accept(),
    "arrive": lambda at: c.Arrive(),
    "arrive (minor)": lambda at: c.Arrive("minor"),
    "arrive (complex)": lambda at: c.Arrive("complex"),
    "contact": lambda at: c.Contact(),
    "answer": lambda at: c.Answer("在办"),
    "plan": lambda at: c.Plan((c.Step("修", at + timedelta(days=10)),)),
    "mitigate": lambda at: c.Mitigate(),
    "schedule": lambda at: c.Schedule(at + timedelta(days=2)),
    "ask": lambda at: c.Ask("?"),
    "wait": lambda at: c.Wait("parts", at + timedelta(days=3)),
}


def begun(policy: str, *, urgent: bool) -> Issue:
    report = c.Report("JS-1", place(), "parking", "厨房漏水", urgent=urgent)
    command = c.Command("report", START, REPORTER, report, grants=granted(REPORTER, place()))
    return advance(Issue.new("issue-1", pack(policy), CALENDARS), [command], START)[0]


def left_alone(issue: Issue, end: datetime) -> Iterator[Issue]:
    """The states after each deadline until `end`, while nobody acts."""
    while (deadline := next_deadline(issue)) and (wake := deadline.at + wake_after(issue, deadline)) <= end:
        issue, _ = advance(issue, [], wake)
        yield issue


def sequences(
    issue: Issue, actor: Actor, begin: datetime, most: int, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Issue]]:
    """Every sequence of up to `most` moves, a minute apart, that applies as a whole, and the state after it."""
    if len(path) == most:
        return
    at = begin + timedelta(minutes=len(path) + 1)
    for name, body in MOVES.items():
        command = c.Command(f"move-{len(path)}", at, actor, body(at), grants=granted(actor, issue.place))
        after, events = advance(issue, [command], at)
        if events and not any(event.kind == "refused" for event in events):
            yield (*path, name), after
            yield from sequences(after, actor, begin, most, (*path, name))


def walk(issue: Issue, actor: Actor, begin: datetime, most: int) -> tuple[int, list[tuple[str, ...]]]:
    """How many sequences apply, and those after which the lead stays where it is for half a year."""
    applied, frozen = 0, list[tuple[str, ...]]()
    for path, after in sequences(issue, actor, begin, most):
        applied += 1
        ends = left_alone(after, after.since + AFTER)
        if after.level == issue.level and not any(each.is_closed or each.level != issue.level for each in ends):
            frozen.append(path)
    return applied, frozen


@pytest.mark.parametrize(
    ("policy", "urgent", "least"),
    [("12345", False, 535), ("52022", False, 608), ("52022", True, 608), ("3+3+5", False, 699), ("demo", False, 813)],
)
def test_no_few_commands_of_the_company_keep_the_lead_for_ever(policy: str, urgent: bool, least: int) -> None:
    applied, frozen = walk(begun(policy, urgent=urgent), COMPANY, START, 4)
    assert frozen == []
    assert applied >= least, "fewer sequences apply than the rules took when they froze"


@pytest.mark.parametrize(("policy", "least"), [("12345", 883), ("52022", 883), ("3+3+5", 912), ("dispute", 959)])
def test_nor_those_of_the_community_once_it_leads(policy: str, least: int) -> None:
    issue = begun(policy, urgent=False)
    states = left_alone(issue, START + timedelta(days=30))
    while issue.level == "property":
        issue = next(states)
    applied, frozen = walk(issue, COMMUNITY, issue.since, 3)
    assert frozen == []
    assert applied >= least


def test_what_the_street_shelves_and_then_returns_is_off_the_long_list() -> None:
    """Found by the search: the level that had handed it up by its own act got it back shelved, and only the street could
    have taken it up again.
    """
    stage = Stage("demo")
    stage.let_pass(11)  # nobody accepts: the community leads
    stage.give(COMMUNITY, c.Escalate("要街道定"), after=0)
    stage.give(STREET, c.Shelve("等专项资金"), after=0)
    stage.give(STREET, c.Return("社区先办", "community"), after=0)
    assert (stage.issue.level, stage.issue.shelved, stage.issue.is_paused) == ("community", False, False)
    stage.let_pass(60)
    assert stage.issue.level == "street"
