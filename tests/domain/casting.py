"""Every command with a few sensible bodies, for tests that play at random; times are relative to the moment."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, get_args

import domain.commands as c
from domain.access import may_give
from domain.commands import Actor, Body
from domain.issue import Issue
from domain.refusals import WHEN
from domain.vocabulary import DeclineReason, Status, WaitReason
from domain.worktime import SHANGHAI, Limit, YearCalendar
from support.completions import completed
from tests.domain.play import CALENDARS, CASTING, NEIGHBOUR, SETTLED_2027, pack, place

Maker = Callable[[datetime], Body]


def _in(now: datetime, *days: float) -> c.Plan:
    return c.Plan(tuple(c.Step(f"第{n}步", now + timedelta(days=each)) for n, each in enumerate(days, 1)), "方案")


def _holidays(now: datetime, days: Iterable[int]) -> YearCalendar:
    """A late calendar of this year, in which so many days before or after today are off as well."""
    today = now.astimezone(SHANGHAI).date()
    known = next((each for each in CALENDARS if each.year == today.year), YearCalendar(today.year, 1, (), ()))
    late = {today + timedelta(days=each) for each in days}
    off = {day for day in late if day.year == today.year} - set(known.on)
    return replace(known, version=9, off=tuple(sorted({*known.off, *off})))


BODIES: Final[dict[str, tuple[Maker, ...]]] = {
    "attach": (lambda now: c.Attach("0" * 64),),
    "comment": (lambda now: c.Comment("说一句"), lambda now: c.Comment()),
    "supply": (lambda now: c.Supply("三楼东户"),),
    "urge": (lambda now: c.Urge("快点"),),
    "object": (lambda now: c.Object("没修好"),),
    "withdraw": (lambda now: c.Withdraw("不用了"),),
    "follow": (lambda now: c.Follow(rates=True), lambda now: c.Follow()),
    "unfollow": (lambda now: c.Unfollow(),),
    "confirm": (
        lambda now: c.Confirm("solved", "satisfied", "很快"),
        lambda now: c.Confirm("not", "dissatisfied", "没好"),
        lambda now: c.Confirm("explained", "basically"),
    ),
    "reopen": (lambda now: c.Reopen("又漏了"),),
    "renew_code": (lambda now: c.RenewCode(),),
    "accept": (lambda now: c.Accept("马上到"),),
    "decline": tuple(lambda now, reason=reason: c.Decline(reason, "说明") for reason in get_args(DeclineReason)[:2]),
    "assign": (lambda now: c.Assign("张工", "带泵"),),
    "schedule": (
        lambda now: c.Schedule(now + timedelta(hours=3), "下午"),
        lambda now: c.Schedule(now + timedelta(seconds=2)),
    ),
    "attempt": (lambda now: c.Attempt("没人"),),
    "contact": (lambda now: c.Contact("通了电话"),),
    "arrive": (
        lambda now: c.Arrive(None, "到了"),
        lambda now: c.Arrive("minor"),
        lambda now: c.Arrive("complex"),
        lambda now: c.Arrive("big"),
    ),
    "assess": (
        lambda now: c.Assess("minor", "小事"),
        lambda now: c.Assess("complex", "墙内漏"),
        lambda now: c.Assess("big", "整栋"),
        lambda now: c.Assess("hard", "动公共管网"),
        lambda now: c.Assess("minor"),
    ),
    "mitigate": (lambda now: c.Mitigate("关了阀"),),
    "plan": (
        lambda now: _in(now, 0.0001, 0.2),
        lambda now: _in(now, 2, 5),
        lambda now: _in(now, 20),
        lambda now: _in(now, 10, 70),
        lambda now: _in(now, 5, 2),
    ),
    "step_done": (lambda now: c.StepDone(1, "好了"), lambda now: c.StepDone(2), lambda now: c.StepDone(9)),
    "answer": (lambda now: c.Answer("周三换管"), lambda now: c.Answer(" ")),
    "ask": (lambda now: c.Ask("几楼?"),),
    "wait": (
        *(lambda now, reason=reason: c.Wait(reason, now + timedelta(days=4), "等") for reason in get_args(WaitReason)),
        lambda now: c.Wait("parts", now + timedelta(seconds=3)),
        lambda now: c.Wait("parts", now),
    ),
    "resume": (lambda now: c.Resume("接着办"),),
    "extend": (
        lambda now: c.Extend("要勘察"),
        lambda now: c.Extend("要勘察", Limit(1, "nd")),
        lambda now: c.Extend("要勘察", Limit(3, "s")),
    ),
    "complete": (
        lambda now: completed("company-a", now),
        lambda now: c.Complete(),
        lambda now: completed("company-a", now, "settled"),
        lambda now: completed("elm", now, "partly"),
        lambda now: completed("helpers", now),
    ),
    "refer": (lambda now: c.Refer("110", "回执1", "已报警"),),
    "escalate": (lambda now: c.Escalate("要上级管"),),
    "sit": (lambda now: c.Sit("开会", ("甲", "乙")),),
    "redispatch": (
        lambda now: c.Redispatch("helpers", "志愿者快", "volunteers"),
        lambda now: c.Redispatch("enforcement", "占道", "department", ("north",)),
        lambda now: c.Redispatch("company-a", "还是物业", "company", ("north",)),
        lambda now: c.Redispatch("elm", "社区自己办", "community", ("north",)),
        lambda now: c.Redispatch("north", "街道自己办", "street", ("north",)),
    ),
    "return": (
        lambda now: c.Return("没修好"),
        lambda now: c.Return("社区再办", "community"),
        lambda now: c.Return("街道再办", "street"),
    ),
    "supervise": (lambda now: c.Supervise("盯着"),),
    "instruct": (lambda now: c.Instruct("今天办完"),),
    "grant": (
        lambda now: c.Grant("extend", "行"),
        lambda now: c.Grant("plan"),
        lambda now: c.Grant("pause"),
        lambda now: c.Grant("objection", "有理"),
    ),
    "deny": (
        lambda now: c.Deny("extend", "不行"),
        lambda now: c.Deny("plan", "太久"),
        lambda now: c.Deny("pause"),
        lambda now: c.Deny("objection", "周四到"),
    ),
    "rule": (
        lambda now: c.Rule(upheld=False, reason="合同里写了"),
        lambda now: c.Rule(upheld=True, reason="确实不归"),
        lambda now: c.Rule(upheld=True, handler="enforcement", handler_kind="department", handler_streets=("north",)),
    ),
    "adopt": (
        lambda now: c.Adopt("issue-2"),
        lambda now: c.Adopt(
            "issue-3", voices=(c.Voice(NEIGHBOUR.person, now - timedelta(hours=1), "issue-3", reported=True),)
        ),
    ),
    "merge": (lambda now: c.Merge("issue-2"),),
    "split": (lambda now: c.Split("不是一件事"), lambda now: c.Split(issue="issue-3")),
    "reject": (lambda now: c.Reject("不在本小区"),),
    "shelve": (lambda now: c.Shelve("等专项资金"),),
    "correct": (
        lambda now: c.Correct("是下水道", "drain"),
        lambda now: c.Correct("其实很急", urgent=True),
        lambda now: c.Correct("不急", "utilities", urgent=False),
    ),
    "change_policy": tuple(
        lambda now, policy=policy: c.ChangePolicy(policy, "错绑", pack(policy))
        for policy in ("12345", "52022", "demo", "dispute")
    ),
    "calendar_published": (
        lambda now: c.CalendarPublished(SETTLED_2027),
        lambda now: c.CalendarPublished(_holidays(now, range(-4, 2))),
        lambda now: c.CalendarPublished(_holidays(now, range(2, 6))),
        lambda now: c.CalendarPublished(_holidays(now, ())),
    ),
    "directory_changed": (
        lambda now: c.DirectoryChanged(replace(place(), operator="company-b"), ("north",)),
        lambda now: c.DirectoryChanged(place(), ()),
        lambda now: c.DirectoryChanged(place(None), ("north",)),
        lambda now: c.DirectoryChanged(replace(place("society"), community="oak")),
    ),
}
"""Command -> bodies, some of which are never allowed."""
ENDING: Final = ("withdraw", "merge", "reject")
"""Commands that end the play; they are drawn seldom, or nothing would ever be long."""


FORWARD: Final = (
    "accept", "arrive", "plan", "answer", "complete", "supply", "grant", "rule", "reopen", "step_done", "extend",
    "assess", "ask", "wait", "resume", "complete", "return",
)  # fmt: skip
"""Commands that lead on; they are drawn more often, or a random play would never get far."""
ORDER: Final = (*FORWARD, *FORWARD, *sorted(name for name in BODIES if name not in ENDING))


NEXT: Final[dict[Status, tuple[str, ...]]] = {
    "dispatched": ("accept",),
    "accepted": ("arrive", "assess", "contact"),
    "arrived": ("plan", "answer", "mitigate", "ask", "complete", "extend"),
    "planned": ("step_done", "answer", "wait", "extend", "grant", "deny"),
    "answered": ("complete", "step_done", "plan"),
    "suspended": ("supply",),
    "waiting": ("resume",),
    "completed": ("reopen", "return", "confirm"),
    "closed": ("comment",),
}
"""How the work usually goes on."""


def usual(issue: Issue, choice: int) -> tuple[Actor, str]:
    """A command by which the work goes on, and somebody who may give it."""
    names = NEXT[issue.status]
    name = names[choice % len(names)]
    actors = [actor for actor in CASTING.values() if may_give(issue, actor, name)] or list(CASTING.values())
    return actors[choice // len(names) % len(actors)], name


def rightful(issue: Issue, choice: int) -> tuple[Actor, str]:
    """A command that applies in the status as it is, and somebody who may give it; anything once nothing applies."""
    names = [name for name in ORDER if issue.status in WHEN[name]] or list(BODIES)
    name = names[choice % len(names)]
    actors = [actor for actor in CASTING.values() if may_give(issue, actor, name)] or list(CASTING.values())
    return actors[choice // len(names) % len(actors)], name


def body(name: str, variant: int, now: datetime) -> Body:
    makers = BODIES[name]
    return makers[variant % len(makers)](now)
