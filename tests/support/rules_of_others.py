"""What community, street, administrator, resident and operator can do: rows of docs/rules.md."""

from datetime import timedelta
from itertools import pairwise
from typing import Final

import domain.commands as c
import domain.events as e
from domain.limits import MOST_URGES
from domain.notices import notices
from domain.worktime import YearCalendar
from support.rules_alone import END, MONDAY, lasting, left_alone, when
from support.rules_play import BEFORE, DAY, EXPLAINED, ORGS, Play, Row, scene, working
from tests.domain.play import (
    ADMIN,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    REPORTER,
    STREET,
    kinds,
    local,
    pack,
    refused,
)

# --------------------------------------------------------------------------------------------------------- the community


RULER: Final = "The community (and the street alike, for what lies below it)"


@scene(RULER)
def takes_over() -> Row:
    stage = working()
    stage.let_pass(local("2026-06-06 09:00"))
    before = stage.climbs
    stage.do(COMMUNITY, c.Accept(), after=0)
    assert stage.climbs == before
    return Row(
        "`accept` the lead", f"Meets its own accept clause; the climbs stay: {before}.", "The community's from the climb on; the "
        f"climb stays on the account of: {stage.on_account()}.", f"told: {stage.told}", stage.trace,
    )  # fmt: skip


@scene(RULER)
def late_ruling() -> Row:
    stage = working()
    stage.do(COMPANY, c.Extend("要勘察"), after=0)
    stage.let_pass(local("2026-06-04 10:00"))
    red = next(each for each in stage.events if each.kind == "overdue" and each.clause == "rule-extend")
    told = ", ".join(dict.fromkeys(ORGS[each.org] for each in notices(red, stage.issue)))
    return Row(
        "does not rule on a request", f"Red for it on {when(red.at)}. Clocks and climbs run on.", f"Its own from then: {stage.spent()}.",
        f"told: {told}", "`overdue` (`rule-extend`)",
    )  # fmt: skip


@scene(RULER)
def returns() -> Row:
    stage = Play("12345", at=MONDAY, category="noise")
    stage.let_pass(local("2026-06-03 09:00"))
    stage.do(COMMUNITY, c.Return("再办"), after=0)
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    count = 1
    while stage.issue.level == "property":
        stage.give(COMPANY, c.Accept())
        stage.do(COMMUNITY, c.Return("再办"))
        count += 1
    assert (stage.issue.level, count) == ("community", stage.issue.policy.transfers.climbs_from)
    return Row(
        "`return`", "The lead moves down, the handler's clauses begin anew, climbs of the whole issue that have happened are not "
        f"repeated: {climbs}. Declines, redispatches and returns count together; from the {count}rd on each climbs at once.",
        "The handler's from then on.", f"told: {told}", trace,
    )  # fmt: skip


@scene(RULER)
def redispatches() -> Row:
    stage = working()
    there, back = (
        c.Redispatch("enforcement", "换人办", "department", ("north",)),
        c.Redispatch("company-a", "换人办", "company", ("north",)),
    )
    stage.do(COMMUNITY, there)
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    for body in (back, there):
        assert stage.issue.level == "property"
        stage.do(COMMUNITY, body)
    assert stage.issue.level == "community"
    return Row(
        "`redispatch`", f"Clauses of the level begin anew for the new handler, those of the whole issue do not: {climbs}. The "
        f"{stage.issue.policy.transfers.climbs_from}rd transfer climbs at once.", "The new handler's.", f"told: {told}", trace,
    )  # fmt: skip


@scene(RULER)
def sizes_from_above() -> Row:
    stage = Play("12345", at=MONDAY, category="noise")
    stage.let_pass(local("2026-06-03 09:00"))
    before = stage.climbs
    stage.do(COMMUNITY, c.Accept(), after=0)
    stage.do(COMMUNITY, c.Assess("complex", "涉及几家"))
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    stage.do(STREET, c.Assess("minor", "一家的事"))
    assert stage.climbs == before
    return Row(
        "`assess` what it leads itself", f"The limits of that size: from {before} to {climbs}. The street may set it back.",
        "Its own.", f"told: {told}", trace,
    )  # fmt: skip


@scene(RULER)
def pauses_as_lead() -> Row:
    stage = Play("12345", at=MONDAY, category="noise")
    stage.let_pass(local("2026-06-03 09:00"))
    stage.do(COMMUNITY, c.Accept(), after=0)
    before = stage.climbs
    stage.do(COMMUNITY, c.Wait("parts", local("2026-06-05 08:30")), after=0)
    told, trace, climbs = stage.told, stage.trace, stage.climbs
    stage.let_pass(local("2026-06-05 09:00"))
    stage.do(COMMUNITY, c.Wait("parts", local("2026-06-07 08:30")), after=0)
    stage.let_pass(local("2026-06-07 09:00"))
    assert kinds(stage.do(COMMUNITY, c.Wait("parts", local("2026-06-07 23:30")), after=0)) == ["waited"]
    assert stage.issue.own["elm"] <= stage.issue.policy.pause.own.span / timedelta(milliseconds=1)
    return Row(
        "`wait`, `ask`, `extend`, `plan` while it leads", f"As the handler, and within the same sums; the street rules. One day: from {before} "
        f"to {climbs}. What it paused itself and what the handler did add up.", "Its own.", f"told: {told}", trace,
    )  # fmt: skip


@scene(RULER)
def corrects_from_above() -> Row:
    stage = Play("12345", at=MONDAY, category="utilities")
    before = stage.climbs
    stage.do(COMMUNITY, c.Correct("不是水电", "noise"))
    after, told, trace = stage.climbs, stage.told, stage.trace
    own = Play("12345", at=MONDAY, category="utilities")
    own.let_pass(local("2026-06-01 16:01"))
    assert own.issue.level == "community"
    assert own.refuses(COMMUNITY, c.Correct("不是水电", "noise")) == "corrected-from-above"
    assert own.refuses(COMMUNITY, c.Correct("不急", urgent=False)) == "corrected-from-above"
    own.do(STREET, c.Correct("不是水电", "noise"))
    return Row(
        "`correct` category or urgency of what a lower level leads",
        f"Limits anew from their start: from {before} to {after}. What it leads itself it may only call urgent; the rest is for the "
        "level above.", "As before.", f"told: {told}", trace,
    )  # fmt: skip


@scene(RULER)
def closes() -> Row:
    stage = working()
    stage.do(COMMUNITY, c.Reject("不在本小区"))
    told, trace = stage.told, stage.trace
    other = working()
    other.do(COMMUNITY, c.Merge("older"))
    within = stage.issue.policy.objection
    for dropped in (stage, other):
        assert dropped.running() == {"silence"}
        dropped.do(REPORTER, c.Object("就在本小区"))
        judge = dropped.clock("rule-objection")
        dropped.let_pass(judge.due + timedelta(minutes=1))
        assert "taken_back" in [event.kind for event in dropped.events]
        assert refused(dropped.give(COMMUNITY, c.Reject("不在本小区"))) == "overruled"
    return Row(
        "`reject`, `merge`", "It closes by the resident's silence, and all clocks stand still. If the resident objects, the "
        f"{judge.level} upholds that within {within}, else it is undone, no clock has run, and only a level above (at the top another person) may do either again. "
        "`split` undoes a merge by hand. Nobody who acted for the company in it may do any of these.", "The resident's, then that of whoever must rule.", f"told: {told}",
        f"{trace}, or `merged`, and `closed`; `objected`, `taken_back`",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ the street


STREETS: Final = "The street, which leads at the top"


def at_the_top() -> Play:
    stage = working()
    stage.do(COMPANY, c.Assess("hard"))
    stage.do(STREET, c.Accept())
    return stage


@scene(STREETS)
def reminders() -> Row:
    stage = working()
    alone = left_alone(stage, local("2028-03-31 10:00"))
    moments = [each.at for each in alone.events if each.kind == "reminded"]
    early = [when(each) for each in moments[:5]]
    top = stage.issue.policy.top
    days = [(later - sooner).days for sooner, later in pairwise(moments)]
    assert (len(moments) > top.times, days[-1]) == (True, top.then.amount)
    return Row(
        "does nothing", f"Reminders: {', '.join(early)}, then every {lasting(top.doubling_to)}, after {top.times} of them every {lasting(top.then)}, for "
        "ever.", "The street's.", "told: the street, and the handler", "`reminded`",
    )  # fmt: skip


@scene(STREETS)
def street_waits() -> Row:
    stage = at_the_top()
    clock = stage.clock("answer-complex").due
    stage.do(STREET, c.Wait("funds", stage.now + 91 * DAY), after=0)
    assert stage.clock("answer-complex").due == clock
    alone = left_alone(stage, stage.now + 90 * DAY)
    first = next(each for each in alone.events if each.kind == "reminded")
    return Row(
        "`wait`", f"Of its own up to {lasting(stage.issue.policy.pause.own)}; a longer one stops no clock, since nobody is above to grant it: "
        f"red as before, first reminder {when(first.at)}.", "The street's.", f"told: {stage.told}", stage.trace,
    )  # fmt: skip


@scene(STREETS)
def shelves() -> Row:
    stage = working()
    stage.do(STREET, c.Shelve("等资金"))
    told, trace = stage.told, stage.trace
    assert stage.issue.level == "street"
    alone = left_alone(stage, END)
    moments = [when(each.at) for each in alone.events if each.kind == "reminded"]
    assert len(moments) >= 3
    return Row(
        "`shelve`", f"The clocks stand still, the lead is the street's at once; it is reminded on {', '.join(moments[:3])} and so on, "
        "for ever.", "The street's.", f"told: {told}", trace,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- administrator and resident


ADMINS: Final = "The administrator of the street"


@scene(ADMINS)
def changes_policy() -> Row:
    stage = working()
    stage.do(ADMIN, c.ChangePolicy("52022", "错绑", pack("52022")))
    return Row(
        "`change_policy`", f"Every limit anew under the other pack: {BEFORE} becomes {stage.climbs}.", "As before.",
        f"told: {stage.told}", f"{stage.trace}, with the whole pack and the reason",
    )  # fmt: skip


@scene(ADMINS)
def publishes() -> Row:
    stage = Play("12345", at=MONDAY, category="noise")
    before = stage.climbs
    stage.let_pass(local("2026-06-03 09:00"))
    known = next(each for each in CALENDARS if each.year == 2026)
    late = YearCalendar(2026, known.version + 1, (*known.off, local("2026-06-02 12:00").date()), known.on)
    stage.do(ADMIN, c.CalendarPublished(late))
    told, trace = stage.told, stage.trace
    assert isinstance(stage.last[0].body, e.CalendarPublished)
    assert stage.last[0].body.wrong == "accept"
    returned = stage.do(COMMUNITY, c.Return("假期"))[0].body
    assert isinstance(returned, e.Returned)
    assert returned.undoes == "accept"
    assert stage.issue.transfers == 0
    return Row(
        "publishes a calendar", f"Deadlines in working days anew. A climb that was not due by it (here the first of {before}) stays on "
        "record as wrong, and the lead undoes it with one `return`, which counts as no transfer.", "A wrong climb is on nobody's.",
        f"told: {told}", trace,
    )  # fmt: skip


RESIDENT: Final = "The resident"


@scene(RESIDENT)
def urges() -> Row:
    stage = working()
    stage.do(REPORTER, c.Urge())
    told = stage.told
    stage.do(COMPANY, c.Answer("已安排"))
    stage.do(REPORTER, c.Object("没人来"))
    judge = stage.clock("rule-objection")
    for _ in range(MOST_URGES - 1):
        stage.do(REPORTER, c.Urge())
        assert stage.told == told
    stage.do(REPORTER, c.Urge())
    assert stage.told == "nobody"
    assert stage.climbs == BEFORE
    return Row(
        "`urge`, `object`, `comment`", "No clock of the work moves; `object` ends a question as needless. To an interim answer or a "
        f"plan it is given once: the {judge.level} answers it within {stage.issue.policy.objection}.", "As before.",
        f"told: {told}; of an objection the level above as well; of more than {MOST_URGES} urges of one resident within an hour "
        "nobody, and the resident that they are only counted", "`urged`, `objected`",
    )  # fmt: skip


@scene(RESIDENT)
def reopens() -> Row:
    stage = working()
    stage.do(COMPANY, EXPLAINED)
    stage.do(REPORTER, c.Reopen("没办"))
    denied = working()
    denied.do(COMPANY, EXPLAINED)
    denied.do(REPORTER, c.Confirm("not", "dissatisfied"))
    assert denied.issue.status == "dispatched"
    return Row(
        "`reopen`, `confirm` as not solved", f"The work begins anew: {stage.climbs}. Beyond the policy's number of times a "
        "`confirm` climbs, and at the top it closes as not settled; under `dispute` it closes so at once.", "The handler's.",
        f"told: {stage.told}", stage.trace,
    )  # fmt: skip


@scene(RESIDENT)
def withdraws() -> Row:
    stage = working()
    stage.do(REPORTER, c.Withdraw())
    rated = working()
    rated.do(COMPANY, EXPLAINED)
    rated.do(REPORTER, c.Confirm("solved", "satisfied"))
    assert rated.issue.is_closed
    assert stage.issue.is_closed
    return Row("`withdraw`, `confirm`", "The issue is closed at once.", "Nobody's any more.", f"told: {stage.told}", f"{stage.trace}; `confirmed`, `closed`")  # fmt: skip


OPERATOR: Final = "Whoever runs the system"


@scene(OPERATOR)
def outage() -> Row:
    stage = working()
    stage.fold(now=local("2026-06-10 09:00"))
    escalated = [each for each in stage.events if each.kind == "escalated"]
    assert [each.level for each in escalated] == ["community"], "never two levels at once"
    first = escalated[0]
    spent = stage.spent()
    assert "nobody" in spent
    assert first.recorded_at is not None
    assert stage.on_account() == "company (answer)"
    return Row(
        "an outage", f"Until Wed 10 June 09:00: the climb stands at {when(first.at)}, as it was due, recorded {when(first.recorded_at)}; the next "
        "level's time counts from the record, and it keeps the lead for as long as it has to accept.", f"{spent}.", "told: when it is recorded",
        "`escalated`, with `recorded_at`",
    )  # fmt: skip
