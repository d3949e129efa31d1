"""What anybody may do to an issue in the search: every command of every organisation, with dates that fit the pack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, get_args

import domain.commands as c
from domain.commands import Actor, Authority, Body
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import ASSESSMENTS, CATEGORIES, Category, HandlerKind, Request
from domain.worktime import YearCalendar

PLACE: Final = Place("garden", "elm", "north", "company", "company")
COMPANY: Final = Actor("staff", "property", "company")
COMMUNITY: Final = Actor("officer", "community", "elm")
STREET: Final = Actor("head", "street", "north")
DEPARTMENT: Final = Actor("inspector", "department", "bureau")
ADMIN: Final = Actor("admin", "admin", "north")
RESIDENT: Final = Actor("resident", "resident")
WHO: Final[Mapping[Actor, str]] = MappingProxyType(
    {
        COMPANY: "the company", COMMUNITY: "the community", STREET: "the street", DEPARTMENT: "the department",
        ADMIN: "the administrator", RESIDENT: "the resident",
    }
)  # fmt: skip
OF_RESIDENTS: Final = ("supply", "urge", "object", "withdraw", "follow", "unfollow", "confirm", "reopen", "renew_code")
"""Commands that only residents give: the night run has them."""
SOON: Final = timedelta(seconds=5)
"""Within every limit of every shipped pack."""
ANSWER: Final = "周三上午换水管,当天恢复供水"


@dataclass(frozen=True)
class Move:
    """A command that somebody may try to give, whatever the state; `words` say it after the actor's name."""

    name: str
    words: str
    body: Callable[[datetime], Body]


def named(body: Body, now: datetime) -> datetime:
    """The latest date that the command names; `now` if it names none."""
    match body:
        case c.Schedule(time=moment) | c.Wait(review=moment):
            return moment
        case c.Plan(steps=steps):
            return steps[-1].due
        case _:
            return now


def moves(policy: Policy, others: tuple[Policy, ...], *, resident: bool = False) -> tuple[Move, ...]:
    """Every command with bodies that differ in what the rules read; dates count from the moment of the command.

    `others` are the packs to which an administrator may change: without any, to the same pack. Raises LookupError for a
    command without a move.
    """
    made = {**_work(policy), **_decisions(policy, others or (policy,)), **(_resident() if resident else {})}
    if missing := c.SIGNALS.keys() - made.keys() - (set() if resident else set(OF_RESIDENTS)):
        raise LookupError(f"no move for {', '.join(sorted(missing))}: the search would be blind to it")
    return tuple(Move(name, words, body) for name, bodies in made.items() for words, body in bodies.items())


Bodies = Mapping[str, Callable[[datetime], Body]]


def _work(policy: Policy) -> dict[str, Bodies]:
    own, longest = policy.pause.own.span, policy.wait.max.span
    far = policy.plan.street_over.span + timedelta(days=1)
    return {
        "comment": {"comments": lambda now: c.Comment()},
        "attach": {"adds a picture": lambda now: c.Attach("0" * 64)},
        "accept": {"accepts": lambda now: c.Accept()},
        "decline": {"declines": lambda now: c.Decline("not_our_duty")},
        "assign": {"names who will go": lambda now: c.Assign("张工")},
        "schedule": {"makes an appointment": lambda now: c.Schedule(now + own / 2)},
        "attempt": {"reaches nobody": lambda now: c.Attempt()},
        "contact": {"calls the resident": lambda now: c.Contact()},
        "arrive": {
            "arrives": lambda now: c.Arrive(),
            **{f"arrives and finds it {size}": lambda now, size=size: c.Arrive(size) for size in ASSESSMENTS},
        },
        "assess": {f"assesses it as {size}": lambda now, size=size: c.Assess(size, "看过现场") for size in ASSESSMENTS},
        "mitigate": {"makes it safe": lambda now: c.Mitigate()},
        "plan": {
            f"plans two steps, at once and after {policy.plan.update}": lambda now: c.Plan(
                (c.Step("一", now + SOON), c.Step("二", now + SOON + policy.plan.update.span))
            ),
            f"plans one step a day after {policy.plan.street_over}": lambda now: c.Plan((c.Step("一", now + far),)),
        },
        "step_done": {"does the first step": lambda now: c.StepDone(1), "does the second step": lambda now: c.StepDone(2)},
        "answer": {"answers": lambda now: c.Answer(ANSWER)},
        "ask": {"asks the resident": lambda now: c.Ask("几楼?")},
        "wait": {
            f"waits for half of {policy.pause.own}": lambda now: c.Wait("parts", now + own / 2),
            f"waits for {policy.wait.max}": lambda now: c.Wait("funds", now + longest),
        },
        "resume": {"goes on": lambda now: c.Resume()},
        "extend": {"asks for more time": lambda now: c.Extend("要勘察")},
        "complete": {
            "completes it as solved": lambda now: c.Complete("solved", ANSWER, ("0" * 64,)),
            "completes it as explained": lambda now: c.Complete("explained", ANSWER),
        },
        "refer": {"refers the danger to 119": lambda now: c.Refer("119")},
        "escalate": {"moves it up by hand": lambda now: c.Escalate("要上级管")},
        "sit": {"holds a meeting": lambda now: c.Sit()},
    }  # fmt: skip


_HANDLERS: Final[tuple[tuple[str, str, HandlerKind], ...]] = (
    ("the department", "bureau", "department"), ("the company", "company", "company"), ("the community", "elm", "community"),
)  # fmt: skip


def _decisions(policy: Policy, others: tuple[Policy, ...]) -> dict[str, Bodies]:
    return {
        "redispatch": {
            f"gives it to {who}": lambda now, org=org, kind=kind: c.Redispatch(org, "换人办", kind, ("north",))
            for who, org, kind in _HANDLERS
        },
        "return": {
            "returns it": lambda now: c.Return("没修好"),
            "returns it to the community": lambda now: c.Return("没修好", "community"),
            "returns it to the street": lambda now: c.Return("没修好", "street"),
        },
        "supervise": {"supervises": lambda now: c.Supervise()},
        "instruct": {"instructs": lambda now: c.Instruct("今天办完")},
        "grant": {f"grants the {what}": lambda now, what=what: c.Grant(what, "可以") for what in REQUESTS},
        "deny": {f"denies the {what}": lambda now, what=what: c.Deny(what, "不行") for what in REQUESTS},
        "rule": {
            "rejects the decline": lambda now: c.Rule(upheld=False),
            "upholds the decline": lambda now: c.Rule(upheld=True),
            "upholds the decline, for the department": lambda now: c.Rule(
                upheld=True, handler="bureau", handler_kind="department", handler_streets=("north",)
            ),
        },
        "adopt": {"takes in another issue": lambda now: c.Adopt("other")},
        "merge": {"merges it into another": lambda now: c.Merge("other")},
        "split": {"takes it out of the other again": lambda now: c.Split("不是一件事")},
        "reject": {"rejects it": lambda now: c.Reject("不在本小区")},
        "shelve": {"shelves it": lambda now: c.Shelve("等专项资金")},
        "correct": {
            **{f"calls it {name}": lambda now, name=name: c.Correct("更正", name) for name in categories(policy)},
            "calls it urgent": lambda now: c.Correct("更正", urgent=True),
            "calls it not urgent": lambda now: c.Correct("更正", urgent=False),
        },
        "change_policy": {
            f"changes the policy to {other.id}": lambda now, other=other: c.ChangePolicy(other.id, "错绑", other)
            for other in others
        },
        "calendar_published": {
            f"publishes the calendar of {calendar.year}": lambda now, calendar=calendar: c.CalendarPublished(calendar)
            for calendar in CALENDARS[:2]
        },
        "directory_changed": {
            f"says that {words}": lambda now, operator=operator: c.DirectoryChanged(
                replace(PLACE, operator=operator, operator_kind=operator and "company"), ("north",)
            )
            for words, operator in (("nobody has the contract", None), ("another company has the contract", "newcomer"))
        },
    }  # fmt: skip


def _resident() -> dict[str, Bodies]:
    return {
        "supply": {"supplies what was asked": lambda now: c.Supply("三楼")},
        "urge": {"urges": lambda now: c.Urge()},
        "object": {"objects": lambda now: c.Object("没人来")},
        "withdraw": {"withdraws": lambda now: c.Withdraw()},
        "follow": {"joins it": lambda now: c.Follow()},
        "unfollow": {"leaves it": lambda now: c.Unfollow()},
        "confirm": {
            "confirms": lambda now: c.Confirm("solved", "satisfied"),
            "says no": lambda now: c.Confirm("not", "dissatisfied"),
        },
        "reopen": {"reopens it": lambda now: c.Reopen("又漏了")},
        "renew_code": {"asks for a new code": lambda now: c.RenewCode()},
    }


REQUESTS: Final = get_args(Request)
CALENDARS: Final = tuple(
    YearCalendar(year, 1, off=(), on=(), source="made up for the search: every weekday works")
    for year in range(2026, 2046)
)


def categories(policy: Policy) -> tuple[Category, ...]:
    """One category of each kind that the clauses tell apart, and one that none names."""
    named = {word for clause in policy.clause for word in clause.when}
    return (
        *[each for each in CATEGORIES if each in named],
        next(each for each in reversed(CATEGORIES) if each not in named),
    )


def grants(actor: Actor) -> tuple[Authority, ...]:
    """What the actor needs to act at PLACE in his role."""
    return (Authority(actor.role, actor.org, compound=PLACE.compound),)
