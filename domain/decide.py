"""What a command, or a deadline that passed, leads to: the events, never an exception for what people may ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

import domain.commands as c
import domain.events as e
from domain.clocks import REMIND, next_climb, next_clock, reminder_after
from domain.evolve import evolve, reached_by
from domain.issue import Clock, Issue, lead_org, lowest, next_rung, policy_ref, rank, rung
from domain.minutes import held
from domain.personal import Personal
from domain.place import Handler
from domain.refusals import extendable, level_of, refusal, resized, sized
from domain.values import replace
from domain.vocabulary import ClimbReason, CloseKind, HandlerKind, Level
from domain.worktime import Limit, Pause
from domain.worktime import due as due_after

_HANDLER_OF: Final[Mapping[Level, HandlerKind]] = MappingProxyType(
    {"property": "company", "community": "community", "street": "street"}
)


@dataclass
class Fold:
    """The state while one command is taken in, and the events so far."""

    issue: Issue
    at: datetime
    actor: c.Actor | None = None
    command: e.CommandRef | None = None
    recorded_at: datetime | None = None
    events: list[e.Event] = field(default_factory=list[e.Event])

    def add(
        self, body: e.EventBody, level: Level | None = None, clause: str | None = None, was_due: datetime | None = None
    ) -> None:
        """One more event; `clause` and `was_due` are found out where the event reaches a milestone."""
        before = self.issue
        event = e.Event(
            before.version + 1, self.at, self.actor, level or before.level, body, self.recorded_at, clause,
            was_due=was_due, command=self.command,
        )  # fmt: skip
        self.issue = after = evolve(before, event)
        if clause is None and (met := _met(before, after, event)) is not None:
            clause, was_due = met.clause, met.due
        step = next_clock(after)
        due = None if step is None else step.due
        self.events.append(replace(event, clause=clause, was_due=was_due, due=due, held=held(before, event)))


def _met(before: Issue, after: Issue, event: e.Event) -> Clock | None:
    """The clock of the milestone that the event reached: it ran before and, in the same term, runs no more."""
    if event.actor is None or before.level != after.level or before.clocks is after.clocks:
        return None
    running = [clock.clause for clock in after.clocks]
    gone = [clock for clock in before.clocks if clock.clause not in running]
    if not gone or before.term.get("led") != after.term.get("led"):
        return None
    reached: tuple[str, ...] = reached_by(event)
    if event.kind in ("planned", "mitigated", "granted"):  # together they see to `handle`
        reached += ("handle",)
    return min([clock for clock in gone if clock.milestone in reached], key=lambda clock: clock.due, default=None)


def decide(issue: Issue, command: c.Command) -> tuple[e.Event, ...]:
    """What the command leads to; a command that does not apply yields one `Refused`, with a reason in words."""
    return tuple(act(issue, command).events)


def act(issue: Issue, command: c.Command) -> Fold:
    """As `decide`, with the state after the events."""
    match command.body:
        case c.DeadlinePassed():
            return _passed(Fold(issue, command.at, recorded_at=command.body.recorded_at), command.body)
        case c.Undecodable(signal=signal, reason=reason):
            fold = Fold(issue, command.at)
            fold.add(e.RejectedSignal(signal, reason))
            return fold
        case _:
            pass
    fold = Fold(issue, command.at, command.actor, e.CommandRef(command.id, command.digest))
    if (against := refusal(issue, command)) is not None:
        fold.add(e.Refused(command.name, against.code, against.reason))
        return fold
    _take(fold, command)
    return fold


def _take(fold: Fold, command: c.Command) -> None:
    """The events of a command that applies."""
    assert command.actor is not None
    match command.body:
        case c.Report() as body:
            _report(fold, body)
        case c.Accept() | c.Arrive() | c.Assess() | c.Plan() | c.Complete() | c.Ask() | c.Wait() | c.Extend():
            _work(fold, command.body, command.actor)
        case (
            c.Redispatch() | c.Rule() | c.Return() | c.Grant() | c.Deny() | c.Decline() | c.Escalate() | c.Reopen()
            | c.Shelve()
        ):  # fmt: skip
            _steer(fold, command.body, command.actor)
        case c.Confirm(outcome=outcome, satisfaction=satisfaction, comment=comment):
            fold.add(e.Confirmed(outcome, satisfaction, comment))
            fold.add(e.Closed("not_settled" if outcome == "not" else outcome, satisfaction))
        case c.Withdraw(reason=reason):
            _close(fold, e.Withdrawn(reason), "withdrawn")
        case c.Reject(reason=reason):
            _close(fold, e.Rejected(reason), "rejected")
        case c.Merge(into=into):
            _close(fold, e.Merged(into), "merged")
        case _:
            fold.add(_noted(fold.issue, command.body))


def _noted(issue: Issue, body: c.Body) -> e.EventBody:
    """The event of a command that needs no more than being recorded."""
    match body:
        case c.Comment(text=text):
            return e.Commented(text)
        case c.Supply(text=text):
            return e.Supplied(text)
        case c.Urge(text=text):
            return e.Urged(text)
        case c.Assign(person=person, note=note):
            return e.Assigned(person, note)
        case c.Schedule(time=time, note=note):
            return e.Scheduled(time, note)
        case c.Attempt(note=note):
            return e.Attempted(issue.attempts + 1, note)
        case c.Contact(note=note):
            return e.Contacted(note)
        case c.Mitigate(note=note):
            return e.Mitigated(note)
        case c.StepDone(step=step, note=note):
            return e.StepDone(step, note)
        case c.Answer(text=text):
            return e.Answered(text)
        case c.Resume(note=note):
            return e.Resumed(note)
        case c.Refer(service=service, receipt=receipt, note=note):
            return e.Referred(service, receipt, note)
        case c.Sit(note=note, parties=parties):
            return e.Sat(note, parties)
        case c.Supervise(note=note):
            return e.Supervised(note)
        case c.Instruct(text=text):
            return e.Instructed(text)
        case c.RenewCode():
            return e.CodeRenewed(issue.generation + 1)
        case c.Adopt(issue=other):
            return e.Adopted(other)
        case c.Correct(note=note, category=category, urgent=urgent):
            return e.Corrected(note, category, urgent)
        case c.ChangePolicy(body=policy, reason=reason) if policy is not None:
            return e.PolicyChanged(policy, reason)
        case c.CalendarPublished(calendar=calendar):
            return e.CalendarPublished(calendar)
        case _:
            raise TypeError(f"no rule for {type(body).__name__}")


def _report(fold: Fold, body: c.Report) -> None:
    policy, place = fold.issue.policy, body.place
    ladder = starting_ladder(policy.ladder, body)
    reported = e.Reported(
        number=body.number, place=place, category=body.category, policy=policy_ref(policy), ladder=ladder,
        description=body.description, urgent=body.urgent, about_operator=body.about_operator, location=body.location,
        channel=body.channel, contact=body.contact, follows=body.follows, rules_version=fold.issue.rules_version, root=body.root,
    )  # fmt: skip
    fold.add(reported, level=ladder[0])
    if ladder[0] == "property" and place.operator and place.operator_kind:
        handler = Handler(place.operator, place.operator_kind)
    else:
        handler = Handler(lead_org(fold.issue), _HANDLER_OF[ladder[0]])
    fold.add(e.Dispatched(handler))
    if body.follows is not None:
        _climb(fold, "recurrence", next_rung(fold.issue))


def starting_ladder(ladder: tuple[Level, ...], report: c.Report) -> tuple[Level, ...]:
    """The levels an issue can have at its place.

    Without a contract, or for a complaint about the operator, it starts at the community; where the operator is
    the community itself, there is no climb from one to the other.
    """
    has_operator = report.place.operator is not None
    is_community = report.place.operator_kind in ("society", "community")
    left: list[Level] = [
        level
        for level in ladder
        if not (level == "property" and (not has_operator or report.about_operator))
        and not (level == "community" and is_community and ladder[0] == "property")
    ]
    return tuple(left) or (ladder[-1],)


def _work(fold: Fold, body: c.Body, actor: c.Actor) -> None:
    """The handler's and the lead's own steps."""
    issue = fold.issue
    match body:
        case c.Accept(note=note):
            takes_order = actor.org == issue.handler.code and issue.stands == "dispatched"
            fold.add(e.Accepted(note) if takes_order else e.Led(note))
        case c.Arrive(assessment=assessment, note=note):
            fold.add(e.Arrived(note))
            if assessment is not None and not sized(issue, assessment):
                _assess(fold, e.Assessed(assessment, note if resized(issue, assessment) else ""))
        case c.Assess(assessment=assessment, reason=reason):
            _assess(fold, e.Assessed(assessment, reason))
        case c.Plan(steps=steps, note=note):
            fold.add(e.Planned(steps, _plan_needs(fold, steps[-1].due, actor), note))
        case c.Complete(kind=kind, answer=answer, evidence=evidence, note=note):
            silent = _after(issue, fold.at, issue.policy.silence.within)
            fold.add(e.Completed(kind, silent[0], silent[1], answer, evidence, note))
        case c.Ask(question=question):
            until = _after(issue, fold.at, issue.policy.ask.max)
            fold.add(e.Suspended(until[0], until[1], question))
        case c.Wait(reason=reason, review=review, note=note):
            fold.add(e.Waited(reason, review, note))
        case c.Extend(reason=reason, by=by):
            clock = extendable(issue, actor)
            assert clock is not None
            fold.add(e.Requested(clock.clause, by or issue.policy.extend.max, reason))
        case _:
            raise TypeError(f"no rule for {type(body).__name__}")


def _after(issue: Issue, at: datetime, limit: Limit, pauses: Sequence[Pause] = ()) -> tuple[datetime, bool]:
    due = due_after(at, limit, issue.policy.service_hours, issue.calendars, pauses=pauses)
    return due.at, due.provisional


def _assess(fold: Fold, body: e.Assessed) -> None:
    """Size counts as well as time: big goes to the community, hard to the street, at once."""
    fold.add(body)
    if body.assessment in ("big", "hard"):
        target: Level = "community" if body.assessment == "big" else "street"
        if rank(fold.issue.level) < rank(target):
            _climb(fold, "size", rung(fold.issue, target))


def _plan_needs(fold: Fold, end: datetime, actor: c.Actor) -> Level | None:
    """Who above the planner must grant a plan that lasts until `end`, counted from the first one of this work."""
    issue, rule = fold.issue, fold.issue.policy.plan

    def lasts_over(limit: Limit) -> bool:
        return end > _after(issue, issue.planned_since or fold.at, limit, issue.pauses)[0]

    needs: Level | None = None
    if lasts_over(rule.street_over):
        needs = "street"
    elif lasts_over(rule.community_over):
        needs = rung_from(issue, "community")
    return needs if needs is not None and rank(level_of(actor)) < rank(needs) else None


def rung_from(issue: Issue, level: Level) -> Level:
    """The level itself where this issue has it, else the next one above."""
    return lowest(issue.ladder, rank(level)) or issue.ladder[-1]


def _steer(fold: Fold, body: c.Body, actor: c.Actor) -> None:
    """Decisions about the issue: who handles it, who leads it, how much time it has."""
    issue = fold.issue
    match body:
        case c.Decline(reason=reason, note=note):
            fold.add(e.Declined(reason, note))
            _third_transfer(fold, issue.level)
        case c.Redispatch(handler=handler, handler_kind=kind, reason=reason):
            fold.add(e.Redispatched(Handler(handler, kind), reason))
            _third_transfer(fold, issue.level)
        case c.Rule():
            _rule(fold, body, actor)
        case c.Return(reason=reason, to=to):
            fold.add(e.Returned(issue.level, reason), level=to or issue.ladder[0])
            _third_transfer(fold, issue.level)
        case c.Grant(what=what, note=note):
            if what == "extension" and issue.pending is not None:
                fold.add(e.Extended(issue.pending.clause, issue.pending.by, note), clause=issue.pending.clause)
            else:
                fold.add(e.Granted(what, note))
        case c.Deny(what=what, reason=reason):
            fold.add(e.Denied(what, reason))
        case c.Escalate(reason=reason):
            _climb(fold, "hand", next_rung(issue), reason)
        case c.Reopen(reason=reason):
            fold.add(e.Reopened(reason))
            if fold.issue.reopened >= issue.policy.reopen.climbs_from:
                _climb(fold, "reopening", next_rung(fold.issue))
        case c.Shelve(reason=reason):
            fold.add(e.Shelved(_after(issue, fold.at, issue.policy.shelve.review)[0], reason))
        case _:
            raise TypeError(f"no rule for {type(body).__name__}")


def _rule(fold: Fold, body: c.Rule, actor: c.Actor) -> None:
    """Upheld, the ruling level answers for it from now on: the first receiver leads until it has found the right one."""
    level = level_of(actor)
    handler = None
    if body.upheld:
        handler = (
            Handler(body.handler, body.handler_kind) if body.handler else Handler(actor.org or "", _HANDLER_OF[level])
        )
    fold.add(e.Ruled(body.upheld, handler, body.reason))
    if body.upheld and rank(level) > rank(fold.issue.level):
        _climb(fold, "ruling", rung(fold.issue, level))


def _third_transfer(fold: Fold, led_by: Level) -> None:
    """The third decline, redispatch or return goes up, from whoever led before it."""
    issue = fold.issue
    if issue.transfers < issue.policy.transfers.climbs_from:
        return
    above = lowest(issue.ladder, rank(led_by) + 1) or issue.ladder[-1]
    _climb(fold, "transfers", above if rank(above) > rank(issue.level) else None)


def _climb(fold: Fold, by: ClimbReason, target: Level | None, reason: Personal = "") -> None:
    if target is not None:
        fold.add(e.Escalated(fold.issue.level, by, reason), level=target, clause=by)


def _close(fold: Fold, body: e.EventBody, kind: CloseKind) -> None:
    fold.add(body)
    fold.add(e.Closed(kind))


def _passed(fold: Fold, passed: c.DeadlinePassed) -> Fold:
    """The clock acts."""
    issue = fold.issue
    if passed.what == "remind":
        _remind(fold, passed.until)
        return fold
    clock = next(clock for clock in issue.clocks if clock.clause == passed.clause)
    match passed.what, passed.clause:
        case "warn", _:
            fold.add(e.Warned(), clause=clock.clause, was_due=clock.due)
        case "climb", _:
            climb = next_climb(issue, clock)
            assert climb is not None
            fold.add(e.Escalated(issue.level, "deadline"), level=climb[1], clause=clock.clause, was_due=clock.due)
        case "limit", "silence":
            fold.add(e.Closed(issue.completion or "solved"), clause="silence", was_due=clock.due)
        case "limit", "review" if issue.shelved:
            review = _after(issue, clock.due, issue.policy.shelve.review)[0]
            fold.add(e.Reminded(1, review), clause="review", was_due=clock.due)
        case "limit", ("ask" | "review"):
            fold.add(e.Resumed(), clause=clock.clause, was_due=clock.due)
        case _:
            asks = next((clause.ask for clause in issue.policy.clause if clause.id == clock.clause), None)
            fold.add(e.Overdue(asks), clause=clock.clause, was_due=clock.due)
    return fold


def _remind(fold: Fold, until: datetime) -> None:
    """One reminder for all that fell due up to `until`: catching up never floods."""
    reminder = fold.issue.reminder
    assert reminder is not None
    assert reminder.at is not None
    left = fold.issue.policy.top.times - reminder.count
    count, moment = 1, reminder.at
    while count < left and (moment := reminder_after(fold.issue, moment, reminder.count + count)) <= until:
        count += 1
    fold.add(e.Reminded(count), clause=REMIND)
