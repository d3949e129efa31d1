"""Milestones: which events reach them, for which levels, and which clocks they meet."""

from collections.abc import Mapping
from typing import Final

import domain.events as e
from domain.access import milestone_scopes
from domain.clocks import RULING
from domain.issue import Clock, Issue, Mark
from domain.values import copy_with
from domain.vocabulary import Goal, Milestone, Scope

MEETS: Final[dict[str, tuple[Milestone, ...]]] = {
    "led": ("accept",),
    "accepted": ("accept",),
    "contacted": ("contact",),
    "arrived": ("arrive",),
    "assessed": ("assess",),
    "sat": ("sit",),
    "planned": ("plan",),
    "answered": ("answer",),
    "completed": ("complete", "handle"),
}
"""Event kind -> the milestones it reaches."""


PASSIVE: Final = frozenset(
    {
        "commented", "attached", "refused", "rejected_signal", "urged", "objected", "reopened", "taken_back", "directory_changed",
    }
)  # fmt: skip
"""Event kinds that never reach the milestone ``act``, whoever gave the word of the resident."""


_FORWARD: Final = ("accept", "arrive", "sit", "answer", "handle", "complete")
"""Milestones that are a step forward when they are reached for the first time."""


def met_clock(before: Issue, event: e.Event, after: Issue) -> Clock | None:
    """The clock that the event met: the event reached its milestone, and its clause no longer runs afterwards.

    Of several, the one due first. None if there is none, if no actor caused the event (time did), or if the event gave
    the lead to another level, which starts other clocks anyway.
    """
    if event.actor is None or before.clocks is after.clocks or before.term.get("led") != after.term.get("led"):
        return None
    reached: tuple[str, ...] = _reached_by(event)
    if event.kind in ("planned", "mitigated", "granted"):  # making safe and a plan in force count as `handle`
        reached = (*reached, "handle")
    running = [clock.clause for clock in after.clocks]
    met = [clock for clock in before.clocks if clock.milestone in reached and clock.clause not in running]
    return min(met, key=lambda clock: clock.due, default=None)


def meets(event: e.Event, after: Issue, clock: Clock) -> bool:
    """Whether the event met this clock. The what-if counts by it which limits were kept, and when a delay ended.

    `met_clock` finds the one clock to record; `meets` judges any clock. So it also judges further clocks met by the
    same event, clocks that a climb has already removed, and clocks without a clause in the policy (appointment, plan
    step). Always False for `silence`, `ask`, `review`, `plan-update` and `progress`, and for events without an actor.
    """
    if event.actor is None:
        return False
    match clock.clause:
        case "silence" | "ask" | "review" | "plan-update" | "progress":  # met by the resident, or by any step forward
            return False
        case name if name in RULING:
            return after.wish(RULING[name]) is None
        case "appointment":
            return isinstance(event.body, (e.Arrived, e.Attempted))
        case "plan-step" if clock.milestone == "step_done":
            step = next((step for step in after.plan.steps if not step.done), None) if after.plan else None
            return isinstance(event.body, e.StepDone) and (step is None or step.due != clock.due)
        case _:
            met = after.met.get((clock.level, clock.milestone))
            named = event.clause == clock.clause and event.was_due is not None
            return named or met == Mark.of(event)


def counts_as(event: e.Event) -> str:
    """The kind as which the event starts clauses: a plan that needs a grant counts as `planned` once it is granted."""
    match event.body:
        case e.Planned(needs=needs) if needs is not None:
            return "proposed"
        case e.Granted(what="plan"):
            return "planned"
        case e.Answered(interim=True):
            return "interim"
        case _:
            return event.kind


def _reached_by(event: e.Event) -> tuple[Milestone, ...]:
    """The milestones that the event reaches."""
    if event.actor is None or event.actor.role == "resident":
        return ()
    reached = MEETS.get(counts_as(event), ())
    if isinstance(event.body, e.Completed) and event.body.answer:
        reached = (*reached, "answer")
    return reached if event.kind in PASSIVE else (*reached, "act")


def met_after(issue: Issue, event: e.Event, mark: Mark) -> Mapping[Goal, Mark]:
    """The new value of `Issue.met` after the event: the old marks, and this event's mark for each milestone that it reaches.

    A milestone is reached for the levels for which the actor's work counts, and for the issue as a whole.
    """
    reached = _reached_by(event)
    if event.actor is None or not reached:
        return issue.met
    met = {**issue.met}
    own: tuple[Scope, ...] = (*milestone_scopes(issue, event.actor), "issue")
    for milestone in reached:
        scopes = own
        if milestone == "plan" and isinstance(event.body, e.Granted) and issue.proposed is not None:
            scopes = (*issue.proposed.scopes, "issue")  # a granted plan counts for its author's levels
        for scope in scopes:
            met[scope, milestone] = mark
    if isinstance(event.body, e.Assessed):  # whoever says how serious it is, nobody need say it again
        met["property", "assess"] = mark
    return met


def with_progress(before: Issue, after: Issue, event: e.Event, mark: Mark) -> Issue:
    """The issue with the last step forward noted, if the event was one."""
    led, known = after.term.get("led"), before.term.get("led")
    if led is not None and led != known and (known is None or led.seq > known.seq):  # not where a return undid a climb
        return copy_with(after, progressed=led)
    new = (
        any(goal[1] in _FORWARD and goal not in before.met for goal in after.met)
        if after.met is not before.met
        else False
    )
    return copy_with(after, progressed=mark) if new or isinstance(event.body, e.StepDone) else after
