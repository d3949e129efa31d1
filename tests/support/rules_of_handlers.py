"""What the handler can do: rows of docs/rules.md."""

from datetime import timedelta
from typing import Final

import domain.commands as c
import domain.events as e
from domain.accounts import accounts
from support.rules_alone import END, MONDAY, lasting, lead, left_alone, when
from support.rules_play import BEFORE, DAY, EXPLAINED, Play, Row, plan, scene, working
from tests.domain.play import (
    CALENDARS,
    COMMUNITY,
    COMPANY,
    REPORTER,
    STREET,
    kinds,
    local,
    pack,
)

# --------------------------------------------------------------------------------------- the company, or other handler


HANDLER: Final = "The handler: company, community, department or volunteers who do the work"


@scene(HANDLER)
def waits() -> Row:
    stage = working()
    for begins, ends in ((1, 3), (3, 5)):
        stage.let_pass(max(stage.now, local(f"2026-06-0{begins} 10:10")))
        assert kinds(stage.do(COMPANY, c.Wait("parts", local(f"2026-06-0{ends} 09:00")), after=0)) == ["waited"]
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    stage.let_pass(local("2026-06-05 10:00"))
    spent = stage.spent()
    assert {org for _, org in stage.minutes()} - {None} == {"company-a"}
    assert kinds(stage.do(COMPANY, c.Wait("parts", local("2026-06-07 09:00")), after=0)) == ["requested"]
    assert stage.climbs == climbs
    own = stage.issue.policy.pause.own
    return Row(
        "`wait`, a pause of its own",
        f"Up to the paused clause's own limit, and {lasting(own)} in sum per organisation and issue, over all reopenings: two waits that "
        f"take off a day each move the climbs to {climbs}. A third is a request, and moves nothing. A day counts only if its "
        "whole service time was paused.",
        f"Its own: {spent}, whatever the reason it gave.", f"told: {told}", trace,
    )  # fmt: skip


@scene(HANDLER)
def flapping() -> Row:
    stage = working()
    for day in range(1, 6):
        stage.let_pass(local(f"2026-06-0{day} 12:00"))
        stage.do(COMPANY, c.Wait("parts", local(f"2026-06-0{day} 12:01")), after=0)
    assert stage.climbs == BEFORE
    return Row(
        "`wait` for a minute every day",
        "Nothing: no limit in days moves.",
        "Its own.",
        f"told: {stage.told}",
        stage.trace,
    )


@scene(HANDLER)
def waits_long() -> Row:
    stage = working()
    stage.do(COMPANY, c.Wait("funds", stage.now + 91 * DAY), after=0)
    told, trace, ruling, climbs = stage.told, stage.trace, stage.ruling("pause"), stage.climbs
    assert climbs == BEFORE
    stage.let_pass(local("2026-06-06 09:00"))
    open_ = stage.on_account()
    denied = left_alone(stage, stage.now)
    denied.give(STREET, c.Deny("pause"))
    account = accounts(denied.events, pack("12345"), CALENDARS)
    assert (open_, [each.org for each in account]) == ("nobody", ["company-a"])
    return Row(
        f"`wait` beyond that, up to {lasting(stage.issue.policy.wait.max)}, or in an urgent issue",
        f"Nothing until it is granted; then the clocks stood still from the moment of asking. The lead climbs as before: {climbs}.",
        "A climb meanwhile is marked `wish_open`: on nobody's account while nobody ruled, on the handler's once denied. "
        "Unanswered in time, the minutes are those of whoever must rule.",
        f"told: {told}; rules: {ruling}", trace,
    )  # fmt: skip


@scene(HANDLER)
def asks() -> Row:
    stage = working()
    stage.do(COMPANY, c.Ask("几楼?"), after=0)
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    rule = stage.issue.policy.ask
    objected = left_alone(stage, local("2026-06-05 10:00"))
    objected.give(REPORTER, c.Object("说过了"), after=0)
    assert Play.climbs.fget(objected) == BEFORE  # pyright: ignore[reportOptionalCall]
    assert "resident" not in {who for who, _ in objected.minutes()}
    early = Play("52022", at=MONDAY)
    early.do(COMPANY, c.Accept())
    before = lead(early, END)["community"]
    early.do(COMPANY, c.Ask("几楼?"), after=0)
    assert lead(early, END)["community"] == before
    for other in (working(urgent=True), working(reachable=False)):
        before = other.climbs
        other.do(COMPANY, c.Ask("几楼?"), after=0)
        assert other.climbs == before
    return Row(
        "`ask` the resident",
        f"At most {rule.times} times, for {lasting(rule.max)} each: one question that nobody answers moves the climbs to {climbs}. It stops no "
        "accept, contact or arrive, nothing urgent, and nothing where nobody can answer. One word (`object`) of the resident, or "
        f"`resume` from above, and it took nothing off: {BEFORE} again.",
        "The resident's, unless somebody must still accept, call or arrive; the asker's if it was needless.", f"told: {told}", trace,
    )  # fmt: skip


@scene(HANDLER)
def extends() -> Row:
    stage = working()
    stage.do(COMPANY, c.Extend("要勘察"), after=0)
    told, trace, ruling = stage.told, stage.trace, stage.ruling("extend")
    assert stage.climbs == BEFORE
    stage.give(COMMUNITY, c.Grant("extend"))
    rule = stage.issue.policy.extend
    assert stage.refuses(COMPANY, c.Extend("再要")) == "extended-enough"
    return Row(
        "`extend`", f"Nothing until it is granted, at most {rule.times} time, by {lasting(rule.max)}; then {stage.climbs}.",
        "As with a long `wait`.", f"told: {told}; rules: {ruling}", trace,
    )  # fmt: skip


@scene(HANDLER)
def plans_near() -> Row:
    stage = working()
    (planned,) = stage.do(COMPANY, plan(stage, 6, 13, 14.9), after=0)
    assert isinstance(planned.body, e.Planned)
    assert planned.body.needs is None
    told, trace = stage.told, stage.trace
    stage.do(COMPANY, c.Answer("分三步办,第一步六天内"))
    kept = stage.climbs
    for number in (1, 2, 3):
        assert stage.issue.plan is not None
        stage.let_pass(stage.issue.plan.steps[number - 1].due - timedelta(minutes=5))
        stage.do(COMPANY, c.StepDone(number), after=0)
    rule = stage.issue.policy.plan
    assert stage.issue.level == "property"
    return Row(
        "a near `plan`, and `answer`",
        f"It stands for an answer if its first step is due within the clause's limit and each further one within {lasting(rule.update)}; "
        f"what is urgent must be safe first. Missed steps climb: {kept}. With each step reported as done the longest such plan, "
        f"{lasting(rule.community_over)}, and completing after it: {stage.climbs}.",
        "A missed step is on the handler's account.", f"told: {told}", trace,
    )  # fmt: skip


@scene(HANDLER)
def plans_far() -> Row:
    stage = working()
    stage.do(COMPANY, plan(stage, 6, 20), after=0)
    told, trace, ruling = stage.told, stage.trace, stage.ruling("plan")
    assert stage.climbs == BEFORE
    rule = stage.issue.policy.plan
    stage.do(COMPANY, plan(stage, rule.street_over.span / DAY + 1), after=0)
    assert "street" in stage.ruling("plan")
    again = working()
    again.do(COMPANY, plan(again, 3), after=0)
    later = again.do(COMPANY, plan(again, 5), after=0)[0].body
    assert isinstance(later, e.Planned)
    assert later.needs is not None
    return Row(
        "a far `plan`, or a later one that moves an open step later",
        f"Nothing until it is granted; over {lasting(rule.community_over)} by the community, over {lasting(rule.street_over)} by the street, counted "
        "from the first plan.",
        "As with a long `wait`. A new plan takes the place of one that waits.", f"told: {told}; rules: {ruling}", trace,
    )  # fmt: skip


@scene(HANDLER)
def sizes() -> Row:
    stage = working()
    stage.do(COMPANY, c.Assess("complex"), after=0)
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    stage.do(COMMUNITY, c.Assess("minor", "小事"), after=3600)
    assert stage.climbs == BEFORE
    return Row(
        "`assess` as complex",
        f"The limits of complex issues: {climbs}. The levels above may set the size back, and the first limits hold again: {BEFORE}.",
        "Its own.", f"told: {told}; of a size that replaces another, lead and level above", trace,
    )  # fmt: skip


@scene(HANDLER)
def sheds() -> Row:
    stage = Play("52022", at=MONDAY)
    stage.do(COMPANY, c.Accept())
    arrive = stage.clock("arrive")
    stage.do(COMPANY, c.Assess("big"))
    told, trace = stage.told, stage.trace
    assert (stage.issue.level, stage.clock("arrive")) == ("community", arrive)
    stage.do(COMMUNITY, c.Return("不大"))
    assert (stage.issue.level, stage.issue.transfers, stage.clock("arrive")) == ("property", 1, arrive)
    bare = working()
    for _ in range(2):
        bare.do(COMPANY, c.Escalate("办不了"), after=0)
    assert (bare.issue.level, bare.issue.left is not None, bare.running()) == (
        "street", True, {"answer", "street-accept", "progress"}
    )  # fmt: skip
    assert bare.on_account() == "nobody"
    return Row(
        "`assess` as big or hard, `escalate` by hand",
        "The lead goes to the community (big), the street (hard), or one level up by hand, at once. The handler's own clauses run "
        "on until the new lead accepts. A `return` before that undoes it, no limit begins anew, and it counts as a transfer.",
        "The handler's clauses: its own; the minutes: the new lead's. Under `12345`, once it has accepted and called, no clause of its "
        "own is left: the trace alone stays, and the `return`.", f"told: {told}", trace,
    )  # fmt: skip


@scene(HANDLER)
def declines() -> Row:
    stage = working()
    stage.do(COMPANY, c.Decline("not_our_duty"), after=0)
    told, trace, ruling = stage.told, stage.trace, stage.ruling("decline")
    assert stage.climbs == BEFORE
    stage.do(COMPANY, c.Assign("张工"))
    assert (stage.issue.transfers, stage.issue.declined) == (0, False)
    third = working()
    for _ in range(3):
        third.do(COMPANY, c.Decline("not_our_duty"))
        if third.issue.level == "property":
            third.do(COMMUNITY, c.Rule(upheld=False))
    assert third.issue.level == "community"
    return Row(
        "`decline`",
        f"Nothing: the clocks run on. Denied twice, the {third.issue.policy.transfers.climbs_from}rd moves the lead up, and the "
        "handler's clauses run on until that level accepts. Going on with the work takes a decline back: no transfer.",
        "Its own until whoever must rule is late.", f"told: {told}; rules: {ruling}", trace,
    )  # fmt: skip


@scene(HANDLER)
def corrects() -> Row:
    stage = working()
    assert stage.refuses(COMPANY, c.Correct("不是噪声", "fees")) == "corrected-from-above"
    assert stage.refuses(COMPANY, c.Correct("不急", urgent=False)) == "corrected-from-above"
    stage.let_pass(local("2026-06-05 23:00"))
    stage.do(COMPANY, c.Correct("很急", urgent=True), after=0)
    assert lead(stage, END)["community"] > stage.now + timedelta(hours=2) - timedelta(seconds=1)
    return Row(
        "`correct`",
        "It may call the issue urgent, not its category, nor not urgent. Limits are worked out anew from their start, but no climb "
        f"lands sooner than one whole limit after it, or when it would have without: called urgent on {when(stage.now)}, "
        f"{stage.climbs}.",
        "Its own.", f"told: {stage.told}", stage.trace,
    )  # fmt: skip


@scene(HANDLER)
def completes() -> Row:
    stage = working()
    assert stage.refuses(COMPANY, c.Complete("explained", answer="办好了")) == "answer-short"
    stage.do(COMPANY, EXPLAINED, after=0)
    told, trace = stage.told, stage.trace
    closed = left_alone(stage, END)
    assert closed.issue.is_closed
    stage.let_pass(local("2026-06-08 12:00"))
    stage.do(COMPANY, c.Reopen("填错了"), after=0)
    assert stage.last[0].kind == "taken_back"
    stage.let_pass(stage.now + timedelta(seconds=30))
    assert stage.issue.level != "property", "the clocks had run on"
    return Row(
        "`complete`, and `reopen` to take it back",
        "It ends the clocks while the resident looks; silence closes on "
        f"{when(closed.events[-1].at)}. The answer has ten characters at least; solved and partly need an arrival where the pack "
        "has one, and a picture where it asks for one. Taken back, the clocks are where they would be without it.",
        "The resident's while the work is completed; once taken back, that of whoever had completed.", f"told: {told}", trace,
    )  # fmt: skip


@scene(HANDLER)
def completes_falsely() -> Row:
    stage = working()
    stage.do(COMPANY, EXPLAINED)
    stage.do(REPORTER, c.Reopen("没办"))
    again = stage.climbs
    stage.do(COMPANY, c.Accept())
    taken = stage.climbs
    rule = stage.issue.policy.reopen
    for _ in range(rule.climbs_from - 1):
        stage.do(COMPANY, EXPLAINED)
        stage.do(REPORTER, c.Reopen("没办"))
        told, trace = stage.told, stage.trace
        stage.do(COMPANY, c.Accept())
    assert stage.issue.level == "community"
    stage.do(COMPANY, EXPLAINED)
    assert stage.refuses(REPORTER, c.Reopen("没办")) == "reopened-enough"
    stage.do(REPORTER, c.Confirm("not", "dissatisfied"))
    assert stage.issue.level == "street"
    return Row(
        "`complete` what is not done",
        f"The resident reopens it: accept runs anew ({again}), once accepted the progress clock ({taken}). At most "
        f"{rule.times} times; the {rule.climbs_from}rd climbs at once. After that each word that it is not solved climbs, up to "
        "the street, where it closes as not settled.",
        "The resident's from completion to reopening, then the handler's.",
        f"told of the reopening: {told}",  # pyright: ignore[reportPossiblyUnboundVariable]
        trace,  # pyright: ignore[reportPossiblyUnboundVariable]
    )  # fmt: skip


@scene(HANDLER)
def talks() -> Row:
    stage = working()
    stage.do(COMPANY, c.Answer("我们在办"), after=0)
    told = stage.told
    appointment = c.Schedule(stage.now + 9 * DAY)
    for body in (c.Contact(), c.Attempt(), c.Assign("张工"), c.Comment("在办"), appointment):
        stage.do(COMPANY, body, after=0)
    assert stage.climbs == BEFORE
    return Row(
        "`answer` without plan or completion, `contact`, `attempt`, `assign`, `comment`, `schedule`",
        f"Nothing: {BEFORE} as before. Such an answer is recorded as `interim`; an appointment stops no clock.",
        "Its own.", f"told of an interim answer: {told}", "`answered` (interim), the others by their names",
    )  # fmt: skip


@scene(HANDLER)
def steps_forward() -> Row:
    stage = working()
    stage.do(COMPANY, EXPLAINED)
    stage.do(REPORTER, c.Reopen("没办"))
    stage.do(COMPANY, c.Accept())
    first = stage.clock("progress").due
    stage.do(COMPANY, c.Arrive())
    moved = stage.clock("progress").due
    stage.let_pass(stage.now + 3 * DAY)
    stage.do(COMPANY, c.Contact())
    stage.do(COMPANY, c.Assess("minor"))
    assert stage.clock("progress").due == moved >= first
    rule = stage.issue.policy.progressing
    return Row(
        "a step forward: accept, arrive, sit, answer, handle, complete, a step of the plan",
        f"Each, the first time in its scope, lets the progress clock count anew: {lasting(rule.within)}, urgent {lasting(rule.urgent)}. Talk, contacts, "
        "assessments and plans do not.",
        "Its own.", "told: the resident of an arrival", "`arrived`",
    )  # fmt: skip
