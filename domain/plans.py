"""Plans for long work: dated steps, of which the next open one is the next deadline, and plans that need a grant."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import domain.events as e
from domain.clocks import with_clock
from domain.issue import Clock, Issue, Level, Mark, PlanState, PlanStep, Proposal
from domain.pauses import stopped
from domain.promise import landing, latest
from domain.values import copy_with
from domain.vocabulary import Scope, Status
from domain.worktime import due as due_after

STEP: Final = "plan-step"
UPDATE: Final = "plan-update"
CLOCKS: Final = (STEP, UPDATE)
MET: Final = ("plan", "answer", "handle", "complete")
"""Milestones for which a plan may stand."""


def proposed(issue: Issue, body: e.Planned, needs: Level, scopes: tuple[Scope, ...], before: Status) -> Issue:
    """Stores a plan that needs a grant. Until it is granted the clocks run as before, also those of a plan in force."""
    if issue.proposed is not None and before == "planned":  # an earlier proposal had set that status
        before = issue.proposed.before
    return copy_with(issue, proposed=Proposal(_steps(body), needs, scopes, before))


def planned(issue: Issue, body: e.Planned, mark: Mark) -> Issue:
    """Puts a plan in force that needs no grant."""
    return _in_force(issue, _steps(body), mark)


def granted(issue: Issue, mark: Mark) -> Issue:
    """Puts the proposed plan in force."""
    assert issue.proposed is not None
    return _in_force(issue, issue.proposed.steps, mark)


def step_done(issue: Issue, number: int, mark: Mark) -> Issue:
    """Marks step `number`, counted from 1, as done; the next open one becomes the next deadline."""
    assert issue.plan is not None
    steps = tuple(copy_with(step, done=True) if n == number else step for n, step in enumerate(issue.plan.steps, 1))
    return restart_update_clock(_with_step_clock(copy_with(issue, plan=PlanState(steps)), mark), mark)


def shift_after_pause(issue: Issue, stopped: datetime, stood: timedelta) -> Issue:
    """Shifts open steps and update clocks after a pause that began at `stopped` and lasted `stood`."""

    def moved(steps: tuple[PlanStep, ...]) -> tuple[PlanStep, ...]:
        return tuple(step if step.done else copy_with(step, due=later(step.due)) for step in steps)

    def later(moment: datetime) -> datetime:
        return moment + stood if moment > stopped else moment

    if issue.proposed is not None:
        issue = copy_with(issue, proposed=copy_with(issue.proposed, steps=moved(issue.proposed.steps)))
    if issue.plan is None:
        return issue
    issue = copy_with(issue, plan=PlanState(moved(issue.plan.steps)))
    for clock in issue.clocks:
        if clock.milestone == "step_done":
            due = later(clock.due)
            climbs = (_lands(issue, due),) if clock.climbs else ()
            issue = with_clock(issue, copy_with(clock, due=due, climbs=climbs))
        elif clock.clause in (STEP, UPDATE) and not clock.overdue:
            issue = with_clock(issue, update_due(issue, clock))
    return issue


def landed_anew(issue: Issue) -> Issue:
    """The issue with the climbs of its plan landing as they do now: what is urgent waits for no opening."""
    for clock in issue.clocks:
        if clock.clause == STEP and clock.climbs:
            lands = copy_with(clock, climbs=(_lands(issue, clock.due),))
            issue = with_clock(issue, lands if clock.milestone == "step_done" else update_due(issue, clock))
    return issue


def stands(issue: Issue, dues: Sequence[datetime], at: datetime) -> bool:
    """Whether a plan with these dates of steps, made at `at`, stands for an answer without a grant.

    Its first step must be due within the limit that the plan meets, each further one within the interval of updates
    after the one before. No open step of a plan in force moves later. What is urgent must be safe first.
    """
    policy = issue.policy
    if issue.urgent and "mitigated" not in issue.marks:
        return False
    known = [step.due for step in issue.plan.steps if not step.done] if issue.plan else []
    if any(new > old for new, old in zip(dues, known, strict=False)):
        return False
    if not known and dues[0] > _must_begin_by(issue, at):
        return False
    return all(
        later <= due_after(earlier, policy.plan.update, policy.service_hours, issue.calendars).at
        for earlier, later in pairwise(dues)
    )


def _must_begin_by(issue: Issue, at: datetime) -> datetime:
    """By when (UTC) a plan's first step must be due: within the limit of completing, whose place the plan takes, or else
    within the latest limit of those that a plan meets or that start with it; the progress clock's where there is none.
    """
    policy = issue.policy
    if completing := [clock.due for clock in issue.clocks if clock.milestone == "complete"]:
        return min(completing)
    limits = [clock.due for clock in issue.clocks if clock.milestone in MET]
    limits += [
        due_after(at, clause.limit, policy.service_hours, issue.calendars, wall=issue.urgent).at
        for clause in policy.applying(issue.level, issue.assessment, issue.urgent, issue.category)
        if clause.starts == "planned" and clause.milestone in MET and "planned" not in issue.term
    ]
    if not limits:
        within = policy.progressing.urgent if issue.urgent else policy.progressing.within
        limits.append(due_after(at, within, policy.service_hours, issue.calendars).at)
    return max(limits)


def restart_update_clock(issue: Issue, mark: Mark) -> Issue:
    """Starts the clock of status updates again at `mark`."""
    return with_clock(issue, update_due(issue, Clock(UPDATE, "issue", "update", mark, mark.at)))


def update_due(issue: Issue, clock: Clock) -> Clock:
    """The clock with its due time one update interval after its start, by the present pauses and calendars."""
    policy = issue.policy
    pauses = stopped(issue, UPDATE)
    start = clock.start.counts(policy.plan.update)
    due = due_after(start, policy.plan.update, policy.service_hours, issue.calendars, pauses=pauses)
    acts = latest(due, policy, issue.calendars, pauses=pauses)
    climbs = (_lands(issue, acts),) if clock.clause == STEP else ()
    return copy_with(clock, due=due.at, climbs=climbs, provisional=due.provisional)


def _steps(body: e.Planned) -> tuple[PlanStep, ...]:
    return tuple(PlanStep(step.due, step.owner) for step in body.steps)


def _in_force(issue: Issue, steps: tuple[PlanStep, ...], mark: Mark) -> Issue:
    issue = copy_with(issue, plan=PlanState(steps), proposed=None, planned_since=issue.planned_since or mark.at)
    return restart_update_clock(_with_step_clock(issue, mark), mark)


def _with_step_clock(issue: Issue, mark: Mark) -> Issue:
    """Starts the clock of the next open step; after the last step, a clock for completing the work (assumed).

    If the next open step is the same as before, its clock stays, so that the step is missed only once. A step that is
    late already when its turn comes shows a red light but does not climb, since the step before it did.
    """
    assert issue.plan is not None
    step = next((step for step in issue.plan.steps if not step.done), None)
    if step is None:
        return with_clock(issue, update_due(issue, Clock(STEP, "issue", "complete", mark, mark.at)))
    known = next((clock for clock in issue.clocks if clock.clause == STEP), None)
    if known is not None and known.milestone == "step_done" and known.due == step.due:
        return issue
    # During a pause dates are not shifted yet, so they compare with its beginning.
    climbs = (_lands(issue, step.due),) if step.due > (issue.paused.begin if issue.paused else mark.at) else ()
    return with_clock(issue, Clock(STEP, "issue", "step_done", mark, step.due, climbs=climbs))


def _lands(issue: Issue, due: datetime) -> datetime:
    return landing(due, issue.policy, urgent=issue.urgent, pauses=stopped(issue, STEP))
