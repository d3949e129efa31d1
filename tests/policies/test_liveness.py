"""No issue freezes (I10): an exhaustive search over what everybody may do, and the proofs that it leaves.

``make prove`` records the proofs of the shipped packs anew. The night run goes two commands deeper and adds the resident.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

import domain.commands as c
from domain.commands import SIGNALS
from domain.policy import PROGRESS, Policy
from domain.wire import dump, load
from policies.liveness import moves as m
from policies.liveness.alone import Alone
from policies.liveness.proofs import COMMANDS, file_of, keep, proof, rules_digest
from policies.liveness.prove import other, prove
from policies.liveness.report import Found, Report, lasting
from policies.liveness.search import START, Search
from policies.liveness.spread import spread
from policies.liveness.states import States
from policies.liveness.words import findings, refusals
from policies.loader import load_pack, load_text, shipped
from tests.domain.play import COMPANY, STREET, Stage

PACKS: Final = [policy.id for policy in shipped()]
HEAD: Final = """
id = "hollow"
version = 1
title = "空心"
source = "made up for tests"
ladder = ["property", "community", "street"]
service_hours = "08:00-20:00"
silence = { within = "5wd" }
reopen = { times = 3, climbs_from = 3 }
transfers = { climbs_from = 3 }
extend = { times = 1, max = "2nd" }
ask = { times = 2, max = "5wd" }
plan = { update = "7nd", community_over = "15nd", street_over = "60nd" }
top = { remind = "1wd", doubling_to = "8wd", times = 30 }
"""
ONE_CLIMB: Final = """
[[clause]]
id = "answer"
level = "issue"
milestone = "answer"
starts = "dispatched"
limit = "7nd"
climb = ["4nd", "6nd"]
source = "assumed"

[[clause]]
id = "idle"
level = "street"
milestone = "plan"
starts = "completed"
limit = "1nd"
source = "assumed"
"""
STALE: Final = """
The rules, the search or the pack changed since {name} was proved: `make prove` searches the shipped packs anew (minutes),
and records what holds. If it prints a sequence, an issue freezes by it: mend the rules or the pack, never the proof.
"""


def hollow(progress: str = "") -> Policy:
    """A pack whose only climb hangs on `answer`."""
    return load_text(HEAD + progress + ONE_CLIMB, "hollow.toml")


def test_every_command_has_a_move() -> None:
    everybody = {move.name for move in m.moves(load_pack("52022"), (), resident=True)}
    assert everybody == SIGNALS.keys()
    staff = {move.name for move in m.moves(load_pack("52022"), ())}
    assert everybody - staff == set(m.OF_RESIDENTS)


def test_a_command_without_a_move_is_an_error_of_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "SIGNALS", {**SIGNALS, "thank": c.Comment})
    with pytest.raises(LookupError, match="thank"):
        m.moves(load_pack("52022"), ())


@pytest.mark.parametrize("policy_id", PACKS)
def test_nothing_freezes_under_a_shipped_pack_in_one_command(policy_id: str) -> None:
    report = prove(load_pack(policy_id), 1)
    assert report.sound, report.frozen
    assert report.states > 20
    assert report.tried > 250


@pytest.mark.parametrize("policy_id", PACKS)
def test_each_shipped_pack_is_proved(policy_id: str) -> None:
    policy = load_pack(policy_id)
    report = proof(policy)
    assert report is not None, STALE.format(name=policy_id)
    assert report.commands >= COMMANDS
    assert report.sound
    assert list(refusals(policy, report)) == []
    assert report.never == ()


BOUNDS = {
    # Three commands deep. A question stops the clocks for 5 working days (7 natural ones over a weekend). What is left then is
    # at most the 12 days of a complex answer's second climb and the night before its opening; under 52022 the ladder's own
    # 2 + 2 days, or after a change to 12345 the 6 days of its general answer.
    3: {"12345": 20, "3+3+5": 20, "52022": 14, "demo": 20, "dispute": 20},
    # Four deep. Under 12345, once every climb of the answer is past (the street led, and returned it), only the progress clock
    # moves the lead: a question at midnight stops it for 5 working days that count from the next day (8 days), 7 + 7 days of
    # no progress follow, and each climb lands at the next opening, 8 hours into the day: 23 days and 8 hours. Under 52022,
    # 3+3+5 and demo the policy may be changed to 12345 once the question is asked: see above. Under dispute a granted plan of one
    # step, a day after 60 days, moves by the 92 days of a granted pause; 61 days (and a second of grace) after the pause nobody
    # did the step.
    4: {"12345": 24, "3+3+5": 20, "52022": 20, "demo": 20, "dispute": 62},
}  # fmt: skip
"""By depth of the search: days within which an issue left alone is closed or at the top, by hand for each pack."""


@pytest.mark.parametrize("policy_id", PACKS)
def test_an_issue_left_alone_reaches_the_top_within_the_bound(policy_id: str) -> None:
    report = proof(load_pack(policy_id))
    assert report is not None, STALE.format(name=policy_id)
    bound = BOUNDS[report.commands][policy_id]
    assert bound - 1 < report.seconds / 86400 <= bound


def test_a_pack_whose_only_climb_hangs_on_an_answer_is_refused_with_the_shortest_way() -> None:
    report = prove(hollow(), 2)
    assert report.frozen == (), "with the built-in clock nothing freezes"
    assert report.hole is not None
    assert report.hole.moves[0] == "an issue is reported"
    assert "returns it" in report.hole.moves[-1], report.hole
    (said,) = refusals(hollow(), report)
    assert said.startswith("without a progress clock an issue freezes: an issue is reported; ")
    assert "then nobody acts, and the issue stays with the " in said


def test_with_a_progress_clock_of_its_own_it_is_taken_and_the_way_is_told() -> None:
    policy = hollow('progress = { within = "9nd", climb = "9nd", urgent = "24h" }\n')
    report = prove(policy, 2)
    assert report.hole is not None
    assert list(refusals(policy, report)) == []
    told = "\n".join(findings(policy, report))
    assert "caught by the progress clock alone, after 10 days: an issue is reported; " in told
    assert "clause idle never runs" in told
    assert "clause answer climbs before its limit of 7nd: at 4nd, 6nd" in told


def test_what_freezes_even_with_a_progress_clock_is_told_with_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is taken out of the rules: then the search must find what it is there for."""
    from domain import derive

    without = tuple(step for step in derive.STEPS if step.__name__ != "_progress")
    assert len(without) == len(derive.STEPS) - 1
    monkeypatch.setattr(derive, "STEPS", without)
    report = Search(hollow(), [load_pack("12345")]).run(2)
    assert report.frozen
    (said,) = refusals(hollow(), report)
    assert said.startswith("an issue freezes: an issue is reported")
    assert said.endswith(" for ever")


def test_rules_that_fail_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from domain import decide

    def broken(fold: object, body: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setitem(decide.TAKE, c.Shelve, broken)
    report = Search(load_pack("52022")).run(1)
    assert not report.sound
    assert report.frozen[0].moves == ("an issue is reported", "the street shelves it")
    assert "ZeroDivisionError of all things" in report.frozen[0].said


def test_one_process_and_two_find_the_same() -> None:
    policy = load_pack("demo")
    one, two = (Search(policy, [other(policy)], processes=number).run(2) for number in (1, 2))
    assert one == two


def test_a_search_that_runs_out_of_time_proves_nothing() -> None:
    report = Search(load_pack("52022"), seconds=0).run(3)
    assert not report.complete
    assert not report.sound
    assert "came to no end" in next(refusals(load_pack("52022"), report))


def test_parts_come_back_in_their_order() -> None:
    work: Callable[[int], int] = lambda number: number * number  # noqa: E731
    assert list(spread(work, [3, 1, 2], 1)) == list(spread(work, [3, 1, 2], 2)) == [9, 1, 4]


def test_a_part_that_breaks_off_is_no_proof() -> None:
    with pytest.raises(ChildProcessError):
        list(spread(lambda number: 1 // number, [1, 0], 2))


# What tells two states apart


def _states(*stages: Stage) -> States:
    return States([stage.issue.policy for stage in stages])


def test_states_are_told_apart_by_what_the_rules_read_not_by_ids_and_texts() -> None:
    one, two = Stage("52022"), Stage("52022")
    one.give(COMPANY, c.Accept("马上到"), after=60)
    two.give(COMPANY, c.Comment("看一下"), after=30)
    two.give(COMPANY, c.Accept(), after=30)
    states = _states(one)
    assert one.issue != two.issue
    assert states.fate(one.issue, one.now) == states.fate(two.issue, two.now)
    assert states.shape(one.issue, one.now) == states.shape(two.issue, two.now)


def test_the_order_of_commands_does_not_matter_where_no_rule_reads_it() -> None:
    one, two = Stage("52022"), Stage("52022")
    for stage, bodies in ((one, (c.Accept(), c.Contact())), (two, (c.Accept(), c.Assign("张工"), c.Contact()))):
        for body in bodies:
            stage.give(COMPANY, body, after=0)
    assert _states(one).shape(one.issue, one.now) == _states(one).shape(two.issue, two.now)


def test_shape_leaves_distances_out_and_fate_does_not() -> None:
    early, late = Stage("52022"), Stage("52022")
    early.give(COMPANY, c.Accept(), after=10)
    late.give(COMPANY, c.Accept(), after=20)
    states = _states(early)
    assert states.shape(early.issue, early.now) == states.shape(late.issue, late.now)
    assert states.fate(early.issue, early.now) != states.fate(late.issue, late.now)


@pytest.mark.parametrize(
    "change",
    [
        lambda stage: stage.give(COMPANY, c.Accept()),
        lambda stage: stage.give(COMPANY, c.Decline("not_our_duty")),
        lambda stage: stage.give(STREET, c.Correct("很急", urgent=True)),
        lambda stage: stage.give(STREET, c.Shelve("等资金")),
        lambda stage: stage.give(STREET, c.Redispatch("helpers", "快", "volunteers")),
        lambda stage: stage.let_pass(timedelta(days=1).total_seconds()),
    ],
)
def test_what_the_rules_read_tells_states_apart(change: Callable[[Stage], object]) -> None:
    one, two = Stage("52022"), Stage("52022")
    change(two)
    states = _states(one)
    assert states.shape(one.issue, one.now) != states.shape(two.issue, two.now)
    assert states.fate(one.issue, one.now) != states.fate(two.issue, two.now)


def test_an_issue_that_nobody_touches_reaches_the_street_and_is_reminded_there() -> None:
    stage = Stage("52022")  # accept: 30 minutes, then 2 days at the community
    fate = Alone(_states(stage)).fate(stage.issue, stage.now)
    assert (fate.how, fate.caught) == ("top", None)
    assert fate.end is not None
    assert fate.end - stage.now < timedelta(days=4)


# Proofs and words


def test_a_proof_is_kept_by_pack_and_rules(tmp_path: Path) -> None:
    policy = load_pack("demo")
    report = Report(4, states=7, hole=Found(("an issue is reported",), "the issue stays", 60), longest=("a", "b"))
    assert load(Report, dump(report)) == report
    file = keep(policy, report, tmp_path)
    assert file == file_of(policy, tmp_path)
    assert proof(policy, (tmp_path,)) == report
    assert proof(replace(policy, title="另一个"), (tmp_path,)) is None
    file.write_text(file.read_text("utf-8").replace(rules_digest(), "0" * 64), encoding="utf-8")
    assert proof(policy, (tmp_path,)) is None
    file.write_text("{", encoding="utf-8")
    assert proof(policy, (tmp_path,)) is None


def test_lengths_of_time_are_rounded_up() -> None:
    assert [lasting(seconds) for seconds in (10, 119, 120, 7201, 172_800, 172_801)] == [
        "10 seconds", "119 seconds", "2 minutes", "3 hours", "2 days", "3 days",
    ]  # fmt: skip


def test_the_search_begins_on_a_working_day_in_service_hours() -> None:
    assert START.isoweekday() == 1
    assert PROGRESS.within.unit == "nd"


@pytest.mark.night
@pytest.mark.parametrize("policy_id", PACKS)
def test_nothing_freezes_two_commands_deeper_with_the_resident(policy_id: str) -> None:
    """As deep as twenty minutes allow: what was not searched in that time is not proved, but what was found is."""
    policy = load_pack(policy_id)
    report = prove(policy, COMMANDS + 2, resident=True, seconds=1200)
    assert report.frozen == ()
