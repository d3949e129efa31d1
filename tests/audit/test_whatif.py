"""Real issues under other rules: what would have been late and by how much, computed by hand beside it."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import domain.commands as c
from audit.refold import Refolded, refold
from audit.whatif.engine import WhatIfError, ended, refold_under, same_course
from audit.whatif.measures import Facts, Late, follow, percentile
from audit.whatif.page import as_html
from audit.whatif.report import as_text
from audit.whatif.study import Study
from domain.events import load_event
from domain.issue import Issue
from domain.policy import Policy
from domain.worktime import Limit
from support.golden import HISTORIES, load_runs
from support.scenarios import OUTAGE, SCENARIOS
from tests.audit.whatif_cases import LATER, Recorded, accepted_at_seven, altered
from tests.domain.casting import body, rightful, usual
from tests.domain.play import (
    ADMIN,
    CALENDARS,
    COMMUNITY,
    COMPANY,
    DONE,
    FRIDAY,
    REPORTER,
    SETTLED_2027,
    kinds,
    local,
    pack,
    place,
)


def facts_of(case: Refolded, policy: Policy | None = None, calendars=None, as_of: datetime | None = None) -> Facts:
    replayed = refold_under(case, policy, calendars, ended(case, as_of))
    return follow(replayed.start, replayed.events, replayed.now)


def really(case: Refolded, as_of: datetime | None = None) -> Facts:
    start = Issue.new(case.issue, case.policy, case.calendars, case.rules_version)
    return follow(start, case.events, ended(case, as_of))


# What is late, and by how much


def test_under_a_shorter_limit_it_is_late_by_two_minutes() -> None:
    case = accepted_at_seven().case()
    assert really(case).late == []  # 10 minutes of service
    facts = facts_of(case, altered("accept", "5sm"))
    assert facts.late == [Late("property", "accept", 2.0, unmet=False)]
    assert facts.climbs == []
    assert facts.kept == {"property": 3}  # arrive, assess and minor
    assert facts.closed_after == 30.0


def test_under_a_longer_limit_nothing_is_late() -> None:
    stage = Recorded()
    stage.let_pass(FRIDAY + timedelta(minutes=15))
    stage.give(COMPANY, c.Accept(), after=0)
    case = stage.case()
    assert really(case).late == [Late("property", "accept", 5.0, unmet=False)]
    facts = facts_of(case, altered("accept", "20sm"))
    assert facts.late == []
    assert facts.kept == {"property": 1}


def test_a_climb_does_not_end_the_delay() -> None:
    case = accepted_at_seven().case()
    facts = facts_of(case, altered("accept", "5sm", climb="5sm"))
    assert facts.late == [Late("property", "accept", 2.0, unmet=False)]
    assert facts.climbs == [("property", "accept")]
    assert facts.led == ["property", "community"]
    assert facts.highest == "community"


def test_a_stamp_before_the_limit_counts_though_the_server_had_it_after() -> None:
    """Stamped at 9:59.9 of a ten minutes' limit, with the server at 10:00.4: within the grace."""
    stage = Recorded()
    stage.let_pass(FRIDAY + timedelta(minutes=10, seconds=0.4))
    stage.give(COMPANY, c.Accept(), after=0, at=FRIDAY + timedelta(minutes=9, seconds=59.9))
    assert facts_of(stage.case()).late == []


def test_what_is_never_made_good_is_late_to_the_end() -> None:
    stage = Recorded()
    stage.let_pass(FRIDAY + timedelta(minutes=10, seconds=1))
    case = stage.case()
    [late] = really(case, FRIDAY + timedelta(minutes=25)).late
    assert late == Late("property", "accept", 15.0, unmet=True)
    # Under the other policy that would have been red at 10:04, though nothing happened between then and 10:10:01.
    [late] = facts_of(case, altered("accept", "4sm"), as_of=FRIDAY + timedelta(minutes=25)).late
    assert late == Late("property", "accept", 21.0, unmet=True)


def test_an_open_issue_is_looked_at_until_its_history_was_read() -> None:
    """It was folded last at 10:00: only the moment of reading shows that the other limit has passed since."""
    case = Recorded().case()
    shorter = altered("accept", "5sm")
    assert facts_of(case, shorter).late == []
    assert [late.minutes for late in facts_of(case, shorter, as_of=FRIDAY + timedelta(minutes=8)).late] == [3.0]


def test_a_closed_issue_ends_with_its_close() -> None:
    case = accepted_at_seven().case()
    assert ended(case, LATER) == FRIDAY + timedelta(minutes=30)


def test_a_longer_silence_leaves_it_open_with_the_resident() -> None:
    stage = Recorded("demo")
    for command in (c.Accept(), c.Arrive("minor"), DONE):
        stage.give(COMPANY, command, after=1)
    stage.let_pass(100)
    assert stage.issue.is_closed
    facts = facts_of(stage.case(), replace(pack("demo"), silence=replace(pack("demo").silence, within=Limit(2, "h"))))
    assert facts.closed_after is None
    assert facts.awaiting


def test_a_delay_ends_when_the_work_is_given_to_somebody_else() -> None:
    stage = Recorded()
    stage.let_pass(FRIDAY + timedelta(minutes=14))
    stage.give(COMMUNITY, c.Redispatch("helpers", "志愿者快", "volunteers"), after=0)
    stage.let_pass(FRIDAY + timedelta(minutes=20))
    stage.give(REPORTER, c.Comment("等"), after=0)
    assert [(late.clause, late.minutes, late.unmet) for late in really(stage.case()).late] == [("accept", 4.0, False)]


# What is put in, and what is left out


def test_another_policy_takes_the_place_of_recorded_changes_of_policy() -> None:
    stage = Recorded()
    stage.give(ADMIN, c.ChangePolicy("12345", "错绑", pack("12345")))
    stage.give(COMPANY, c.Accept())
    case = stage.case()
    replayed = refold_under(case, altered("accept", "5sm"))
    assert kinds(replayed.events) == ["reported", "dispatched", "accepted"]
    assert replayed.left_out == {"change_policy": 1}
    assert "policy_changed" in kinds(refold_under(case).events)


def test_other_calendars_move_a_working_day_across_the_holiday() -> None:
    """Reported on Wednesday 30 September: without a calendar the next working day is Thursday, in truth 8 October."""
    policy = altered("accept", "1wd", climb="1wd")
    stage = Recorded(policy, at=local("2026-09-30 10:00"), calendars=())
    stage.let_pass(local("2026-10-05 10:00"))
    stage.give(ADMIN, c.CalendarPublished(SETTLED_2027), after=0)
    stage.give(COMPANY, c.Accept(), after=0)
    case = stage.case()
    assert really(case).late == [Late("property", "accept", 3 * 1440 + 600 + 1 / 60, unmet=False)]
    replayed = refold_under(case, calendars=CALENDARS)
    assert follow(replayed.start, replayed.events, replayed.now).late == []
    assert replayed.left_out == {"calendar_published": 1}
    assert "calendar_published" in kinds(refold_under(case, altered("accept", "2wd")).events)


def test_versions_are_not_asked_and_what_was_stale_is_not_given_again() -> None:
    stage = Recorded()
    stage.give(COMPANY, c.Accept("看的是旧的"), expected_version=1)
    stage.give(COMPANY, c.Accept("看过了"), expected_version=3)
    assert kinds(stage.events) == ["reported", "dispatched", "refused", "accepted"]
    replayed = refold_under(stage.case(), altered("accept", "50s"))  # a warning and a red light come between
    assert kinds(replayed.events) == ["reported", "dispatched", "warned", "overdue", "accepted"]
    assert replayed.left_out == {"stale": 1}
    assert same_course(stage.events, refold_under(stage.case()).events)


def test_a_command_delivered_twice_is_given_once() -> None:
    stage = Recorded()
    command = stage.command(COMPANY, c.Accept())
    stage.fold([command, command])
    stage.fold([command])
    assert refold_under(stage.case()).events == stage.events


def test_commands_that_do_not_fit_the_other_rules_are_counted_by_name_and_code() -> None:
    """A dispute begins at the community, which is then the handler: the company has no order to accept."""
    study = Study(pack("dispute"), None, LATER)
    study.add(accepted_at_seven().case())
    assert study.newly_refused == {
        ("accept", "not-yours"): 1, ("arrive", "not-yours"): 1, ("complete", "not-yours"): 1, ("confirm", "wrong-status"): 1,
    }  # fmt: skip
    assert study.newly_taken == {}
    assert study.total["whatif"].refused == {"not-yours": 3, "wrong-status": 1}
    assert study.total["whatif"].open == 1
    assert study.total["happened"].open == 0


def test_a_command_refused_then_may_be_taken_now() -> None:
    stage = Recorded()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Extend("太久", Limit(5, "nd")))
    study = Study(replace(pack("52022"), extend=replace(pack("52022").extend, max=Limit(9, "nd"))), None, stage.now)
    study.add(stage.case())
    assert study.newly_taken == {("extend", "extend-far"): 1}


# The control


def test_an_outage_shows_as_the_difference_to_the_control() -> None:
    """Nobody woke from 10:00 to 12:00.

    The community took over at 13:00, within two service hours of the record at noon, but 29 min 59 s late had the climb
    been recorded at 10:30:01.
    """
    stage = Recorded()
    stage.outage(FRIDAY + timedelta(hours=2))
    stage.let_pass(FRIDAY + timedelta(hours=3))
    stage.give(COMMUNITY, c.Accept("接管"), after=0)
    case = stage.case()
    assert [late.clause for late in really(case).late] == ["accept"]
    control = refold_under(case)
    assert not same_course(case.events, control.events)
    lates = {late.clause: late.minutes for late in facts_of(case).late}
    assert lates == {"accept": 170.0, "community-accept": pytest.approx(29 + 59 / 60)}
    study = Study(None, None, stage.now)
    study.add(case)
    assert (study.agreeing, study.differing.number) == (0, 1)
    assert study.total["happened"].held["nobody"] == 90 * 60_000
    assert study.total["control"].held["nobody"] == 1000  # the grace


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_control_says_what_happened_in_every_golden_history(name: str) -> None:
    """To the letter but for the moments of the clock, which lie apart by no more than the worker had woken late."""
    case = refold(f"golden-{name}", [run.events for run in load_runs(name)])
    recorded = json.loads((HISTORIES / f"{name}.json").read_text("utf-8"))["events"]
    assert case.events == list(map(load_event, recorded))
    control = refold_under(case)
    assert same_course(case.events, control.events)
    late = timedelta()
    for real, event in zip(case.events, control.events, strict=True):
        if real.actor is None and real.kind != "rejected_signal":
            assert timedelta() <= real.at - event.at <= late
            assert real.recorded_at is not None
            woke = real.at + timedelta(seconds=1)
            late += max(real.recorded_at - woke, timedelta())
        elif real.kind == "rejected_signal":  # it has no stamp: here the server's time counts, there the worker's
            assert timedelta() <= real.at - event.at < timedelta(seconds=1)
        else:
            assert event.at == real.at
    assert late < timedelta(seconds=20 if name in OUTAGE else 2)


WAITS = (0.001, 0.5, 1, 9.999, 30, 300, 1800, 7200, 86_400, 1_300_000)
PACKS = ("demo", "52022", "12345", "3+3+5", "dispute")


def played(pack_id: str, steps: list[tuple[int, int, float, bool]], *, calm: bool) -> Recorded:
    """A play of these steps (choice, variant, wait, whether the worker sleeps); `calm`: it never does."""
    stage = Recorded(pack_id, where=place("company"), category="dispute" if pack_id == "dispute" else "leak")
    for choice, variant, wait, sleeps in steps:
        if calm or not sleeps:
            stage.let_pass(wait)
        else:
            stage.outage(wait)
        actor, name = usual(stage.issue, choice) if choice % 3 else rightful(stage.issue, choice)
        stage.give(actor, body(name, variant, stage.now), after=0)
    return stage


PLAYS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 9), st.sampled_from(WAITS), st.booleans()), min_size=1, max_size=25
)
THOROUGH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@THOROUGH
@given(st.sampled_from(PACKS), PLAYS)
def test_without_outages_the_control_equals_the_recorded_events(pack_id, steps) -> None:
    stage = played(pack_id, steps, calm=True)
    replayed = refold_under(stage.case())
    assert replayed.events == stage.events
    assert replayed.state == stage.issue
    # So it is when the same policy is put in by name, unless it was changed on the way.
    if "policy_changed" not in kinds(stage.events) and not any(
        isinstance(taken.command.body, c.ChangePolicy) for taken in stage.case().commands
    ):
        assert refold_under(stage.case(), pack(pack_id)).events == stage.events


@THOROUGH
@given(st.sampled_from(PACKS), st.sampled_from((None, *PACKS)), PLAYS)
def test_whatever_is_put_in_the_figures_add_up(pack_id, other, steps) -> None:
    stage = played(pack_id, steps, calm=False)
    case, as_of = stage.case(), stage.now + timedelta(days=3)
    replayed = refold_under(case, other and pack(other), end=ended(case, as_of))
    for start, events, state in (
        (stage.began, stage.events, stage.issue), (replayed.start, replayed.events, replayed.state),
    ):  # fmt: skip
        facts = follow(start, events, ended(case, as_of))
        named = Counter(event.kind for event in events)
        assert len(facts.late) == named["overdue"]
        assert len(facts.climbs) == named["escalated"]
        assert facts.refused.total() == named["refused"]
        assert all(late.minutes >= 0 for late in facts.late)
        assert (facts.closed_after is not None) == state.is_closed
        closed = [event.at for event in events if event.kind == "closed"]
        until = closed[0] if closed else max(ended(case, as_of), state.holding.since)  # pyright: ignore[reportOptionalMemberAccess]
        assert facts.held.total() == (until - state.opened_at) // timedelta(milliseconds=1)  # each minute once
    # Everybody acted when they did.
    stamps = {taken.command.id: taken.command.at for taken in case.commands}
    assert all(event.at == stamps[event.command.id] for event in replayed.events if event.command is not None)


@THOROUGH
@given(PLAYS)
def test_the_groups_add_up_to_the_total(steps) -> None:
    study = Study(pack("12345"), None, LATER + timedelta(days=400))
    for pack_id in PACKS[:3]:
        study.add(played(pack_id, steps, calm=False).case())
    assert study.failed.number == 0
    assert study.agreeing + study.differing.number == study.issues == 3
    for side in ("happened", "control", "whatif"):
        total = study.total[side]
        for dimension in ("level", "category"):
            of = [sides[side] for _, sides in study.groups(dimension)]
            assert sum((tally.red for tally in of), Counter()) == total.red
            assert sum((tally.climbs for tally in of), Counter()) == total.climbs
            assert sum((tally.held for tally in of), Counter()) == total.held
            assert sum(tally.open for tally in of) == total.open
            assert sum(len(tally.closing) for tally in of) == len(total.closing)
        assert total.open + len(total.closing) == total.issues


# Adding up


def test_a_company_is_not_charged_with_what_the_levels_above_were_late_with() -> None:
    stage = Recorded("demo")
    stage.let_pass(60)
    study = Study(None, None, stage.now)
    study.add(stage.case())
    assert study.total["happened"].red == {
        "accept": 1, "community-accept": 1, "community-answer": 1, "street-accept": 1, "street-answer": 1,
    }  # fmt: skip
    [(name, company)] = study.groups("company")
    assert name == COMPANY.org
    assert company["happened"].red == {"accept": 1}
    assert company["happened"].climbs == {"accept": 1}
    assert company["happened"].highest == {"street": 1}
    levels = dict(study.groups("level"))
    assert list(levels) == ["property", "community", "street"]
    assert levels["street"]["happened"].reminders == study.total["happened"].reminders > 0
    assert (levels["property"]["happened"].open, levels["street"]["happened"].open) == (0, 1)


def test_a_case_without_a_fold_is_named_and_left_out() -> None:
    study = Study(None, None, LATER)
    study.add(Refolded("empty", pack("demo"), (), 1, Issue.new("empty", pack("demo"), ())))
    assert (study.issues, study.failed.first) == (0, ["issue empty: nothing of it was ever folded"])
    assert "issue empty" in as_text(study)
    assert "issue empty" in as_html(study)


def test_rules_that_cannot_be_folded_name_the_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("year 10000")

    monkeypatch.setattr("audit.whatif.engine.advance", broken)
    with pytest.raises(WhatIfError, match="issue issue-1: OverflowError: year 10000"):
        refold_under(Recorded().case())


@pytest.mark.parametrize(
    ("values", "median", "ninety"),
    [([], None, None), ([3], 3, 3), ([4, 1, 3, 2], 2, 4), (list(range(1, 11)), 5, 9), (list(range(1, 12)), 6, 10)],
)
def test_percentiles_are_values_that_occurred(values, median, ninety) -> None:
    assert percentile(values, 0.5) == median
    assert percentile(values, 0.9) == ninety
