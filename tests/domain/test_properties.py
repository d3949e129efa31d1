"""Random plays keep the invariants, whatever the order of commands and wake-ups."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import domain.commands as c
from domain.advance import advance
from domain.clocks import next_deadline, wake_after
from domain.commands import SIGNALS, Actor, Command, load_command
from domain.events import Event
from domain.issue import Issue
from domain.place import Handler
from domain.values import copy_with
from domain.wire import truncate
from protocol.envelope import plain_of
from support.grants import granted
from tests.domain.casting import body, rightful, usual
from tests.domain.invariants import Watcher, work_of
from tests.domain.play import CALENDARS, CASTING, REPORTER, local, pack, place, reloaded

PACKS = ("demo", "52022", "12345", "3+3+5", "dispute")
KINDS = ("company", "company", "society", "community", "volunteers", None)
MOMENTS = tuple(
    map(
        local,
        ("2026-11-20 10:00", "2026-11-20 19:55", "2026-11-22 02:00", "2026-12-29 15:00", "2026-09-30 23:59:30"),
    )
)
"""By day, shortly before closing, at night on a Sunday, before a year without calendar, before a long holiday."""
JUMPS = (0.001, 0.3, 0.999, 1, 2, 8, 9.999, 10, 30, 300, 1800, 7200, 30_000, 86_400, 300_000, 1_300_000, 4_000_000)
LIVENESS = timedelta(days=250)
"""The longest plan (70 days), the longest pause (92), and for two climbs 7 days of no progress each, with holidays."""
NAMES = tuple(SIGNALS)
ACTORS = tuple(CASTING.values())


def opened(pack_id: str, kind, at: datetime, *, urgent=False, about=False, follows=None) -> tuple[Issue, Command]:
    category = "dispute" if pack_id == "dispute" else "utilities" if urgent else "leak"
    report = c.Report(
        "JS-1",
        place(kind),
        category,
        "漏水",
        urgent,
        about,
        "3幢",
        "web",
        c.ContactDetails("住户", "138"),
        follows,
        news="又漏了" if follows else "",
        before=follows and c.Before("solved", "property", Handler("company-a", "company")),
        common=True,
    )
    return Issue.new("issue-1", pack(pack_id), CALENDARS), Command("report", at, REPORTER, report)


def through_the_wire(command: Command) -> Command:
    """The command as the workflow gets it."""
    assert load_command(command.name, plain_of(command)) == command
    return command


class Plays(RuleBasedStateMachine):
    """One issue, watched; `now` is the worker's clock and never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @initialize(
        pack_id=st.sampled_from(PACKS),
        kind=st.sampled_from(KINDS),
        at=st.sampled_from(MOMENTS),
        urgent=st.booleans(),
        about=st.sampled_from((False, False, False, True)),
        follows=st.sampled_from((None, None, None, "issue-0")),
    )
    def report(self, pack_id, kind, at, urgent, about, follows) -> None:
        self.now = at
        self.issue, command = opened(pack_id, kind, at, urgent=urgent, about=about, follows=follows)
        self.watcher = Watcher(self.issue)
        self.fold([command])

    def fold(self, inbox: list[Command]) -> list[Event]:
        before = self.issue
        self.issue, events = advance(before, inbox, self.now)
        self.watcher.saw(inbox, events, self.issue, self.now)
        return events

    def command(self, actor: Actor, name: str, variant: int, at: datetime | None = None) -> Command:
        self.count += 1
        at, grants = at or self.now, granted(actor, self.issue.place)
        return through_the_wire(Command(f"command-{self.count}", at, actor, body(name, variant, at), grants=grants))

    def drawn(self, choice: int, variant: int, at: datetime | None = None) -> Command:
        """A command that somebody may give now."""
        actor, name = rightful(self.issue, choice)
        return self.command(actor, name, variant, at)

    @rule(choices=st.lists(st.integers(0, 200), min_size=2, max_size=8), jump=st.sampled_from(JUMPS[:11]))
    def the_work_goes_on(self, choices, jump) -> None:
        for choice in choices:
            self.now += timedelta(seconds=jump)
            self.fold([self.command(*usual(self.issue, choice), choice // 6)])

    @rule(choice=st.integers(0, 500), variant=st.integers(0, 9), jump=st.sampled_from(JUMPS[:11]))
    def somebody_acts(self, choice, variant, jump) -> None:
        self.now += timedelta(seconds=jump)
        self.fold([self.drawn(choice, variant)])

    @rule(actor=st.sampled_from(ACTORS), name=st.sampled_from(NAMES), variant=st.integers(0, 9))
    def anybody_tries_anything(self, actor, name, variant) -> None:
        self.fold([self.command(actor, name, variant)])

    @rule(choice=st.integers(0, 20), variant=st.integers(0, 9))
    def somebody_completes_by_mistake(self, choice, variant) -> None:
        actor, _ = usual(copy_with(self.issue, status="answered"), choice * 3)
        before = work_of(self.issue)
        done = self.fold([self.command(actor, "complete", variant)])
        if [event.kind for event in done] == ["completed"]:
            self.fold([self.command(actor, "reopen", 0)])
            assert work_of(self.issue) == before

    @rule(jump=st.sampled_from(JUMPS))
    def nobody_wakes_for_a_while(self, jump) -> None:
        self.now += timedelta(seconds=jump)
        self.fold([])

    @rule(times=st.integers(1, 12))
    def the_clock_acts_on_time(self, times) -> None:
        for _ in range(times):
            deadline = next_deadline(self.issue, self.now)
            if deadline is None:
                return
            self.now = max(self.now, deadline.at + wake_after(self.issue, deadline))
            assert self.fold([]), "a wake-up for nothing"

    @rule(choice=st.integers(0, 500), variant=st.integers(0, 9), late=st.sampled_from(JUMPS))
    def a_command_arrives_late(self, choice, variant, late) -> None:
        given_at = self.now
        self.now += timedelta(seconds=late)
        self.fold([self.drawn(choice, variant, given_at)])

    @rule(choices=st.lists(st.integers(0, 500), min_size=2, max_size=5), spread=st.sampled_from(JUMPS))
    def a_backlog_arrives_at_once(self, choices, spread) -> None:
        """The stamps may lie in any order, even ahead of the worker's clock."""
        stamps = [truncate(self.now + timedelta(seconds=spread * (choice % 5 - 2))) for choice in choices]
        self.fold([self.drawn(choice, choice, at) for choice, at in zip(choices, stamps, strict=True)])

    @rule(number=st.integers(0, 200), other_body=st.booleans())
    def a_command_arrives_again(self, number, other_body) -> None:
        ids = list(self.watcher.given)
        again = self.watcher.given[ids[number % len(ids)]]
        if other_body and again.id != "report":
            again = replace(again, body=c.Urge("别的"))
        before = self.issue
        fired = self.fold([again, again])
        assert not any(event.command for event in fired)
        assert fired or self.issue == before

    @rule(choice=st.integers(0, 500), behind=st.integers(0, 3))
    def somebody_says_what_he_had_seen(self, choice, behind) -> None:
        seen = self.issue.version - behind
        fresh = replace(self.drawn(choice, 0), expected_version=seen)
        events = self.fold([fresh])
        mine = [event for event in events if event.command is not None]
        stale = mine[0].seq - 1 != seen
        assert (mine[0].kind == "refused" and mine[0].body.code == "stale") == stale  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]

    @rule()
    def something_unreadable_arrives(self) -> None:
        before = self.issue
        events = self.fold([Command("", self.now, None, c.Undecodable("teleport", "unknown"))])
        assert events[-1].kind == "rejected_signal" or not events[-1].actor
        assert self.issue.receipts == before.receipts

    @rule()
    def the_workflow_continues_as_new(self) -> None:
        before, self.issue = self.issue, reloaded(self.issue)
        assert self.issue == before, "the state does not survive the wire"

    @rule(
        stamps=st.lists(
            st.tuples(st.integers(0, 500), st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=4
        ),
        wakes=st.lists(st.integers(0, 1000), max_size=3),
    )
    def batched_or_stepwise_it_is_the_same(self, stamps, wakes) -> None:
        """Within one grace of a wake-up: commands given and delivered in any order, and wakes for nothing between."""
        self.fold([])
        start = self.now
        arrivals = sorted(first + second for first, second in ((s[1], s[2] % (1000 - s[1])) for s in stamps))
        inbox = [
            self.drawn(choice, choice, start + timedelta(milliseconds=min(given, arrival)))
            for (choice, given, _), arrival in zip(stamps, arrivals, strict=True)
        ]
        end = start + timedelta(seconds=1)
        stepwise, steps = self.issue, []
        deliveries = [(arrival, [command]) for arrival, command in zip(arrivals, inbox, strict=True)]
        for arrival, batch in sorted(
            [*deliveries, *((wake, []) for wake in wakes), (1000, [])], key=lambda item: item[0]
        ):
            stepwise, events = advance(stepwise, batch, start + timedelta(milliseconds=arrival))
            steps += events
        batched, at_once = advance(self.issue, inbox, end)
        assert [gist(event) for event in steps] == [gist(event) for event in at_once]
        assert outline(stepwise) == outline(batched)
        self.now = end
        self.fold(inbox)

    def teardown(self) -> None:
        """From whatever state: if nobody acts any more, the issue closes, or the lead reaches the top of its ladder."""
        if not hasattr(self, "issue"):
            return
        end = self.now + LIVENESS
        while not self.issue.is_closed and self.issue.level != self.issue.ladder[-1]:
            deadline = next_deadline(self.issue, self.now)
            assert deadline is not None
            self.now = max(self.now, deadline.at + wake_after(self.issue, deadline))
            assert self.now <= end, "the lead stays"
            self.fold([])


def gist(event: Event) -> tuple:
    """The event without what a wake-up may change: `recorded_at`, and the dues and minutes counted from it."""
    return (event.seq, event.at, event.actor, event.level, event.body, event.clause, event.command)


def outline(issue: Issue) -> Issue:
    """The state without the same."""
    return replace(
        issue,
        clocks=tuple(
            (clock.clause, clock.start.seq, clock.warned, clock.overdue, clock.climbed) for clock in issue.clocks
        ),
        resting=tuple((clock.clause, clock.start.seq) for clock in issue.resting),
        reminder=issue.reminder and issue.reminder.count,
        progressed=issue.progressed and issue.progressed.seq,
        keeps_until=issue.keeps_until is not None,
        floors=sorted(issue.floors),
        own=sorted(issue.own),
        paused=issue.paused and (issue.paused.stops, issue.paused.by, issue.paused.own),
        left=issue.left and (issue.left.level, sorted(issue.left.term)),
        holding=issue.holding and (issue.holding.holder, issue.holding.org),
        pauses=len(issue.pauses),
        plan=issue.plan and [step.done for step in issue.plan.steps],
        marks={kind: mark.seq for kind, mark in issue.marks.items()},
        term={kind: mark.seq for kind, mark in issue.term.items()},
        met={kind: mark.seq for kind, mark in issue.met.items()},
        work=issue.work
        and (issue.work.by, issue.work.person, issue.work.level, issue.work.status, sorted(issue.work.met)),
    )  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


TestPlays = Plays.TestCase
TestPlays.settings = settings(
    max_examples=500, stateful_step_count=40, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.mark.night
class TestNewPlays(Plays.TestCase):  # pyright: ignore[reportGeneralTypeIssues]
    """The search for plays that nobody has thought of; each failure prints how it is played again."""

    settings = settings(TestPlays.settings, max_examples=20_000, derandomize=False)
