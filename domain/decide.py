"""Turns a command, or a deadline that passed, into events; a refusal is an event too, not an exception."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

import domain.commands as c
import domain.events as e
from domain import plans, resolving
from domain.access import above, capacities, level_of
from domain.asking import extendable
from domain.clocks import (
    REMIND,
    climbed_too_early,
    next_climb,
    next_clock,
    reminders_until,
    silence_from,
    with_year,
)
from domain.evolve import evolve
from domain.followers import awaited, denial_closes, generation_of, heir, present, speaking
from domain.hearing import takes_back
from domain.issue import Issue, lowest, next_rung, policy_ref, rank, rung, urges
from domain.judging import uncounted
from domain.limits import MOST_URGES
from domain.milestones import met_clock
from domain.minutes import held
from domain.pauses import may_stop, stopped
from domain.personal import Personal
from domain.place import Handler
from domain.refusals import is_interim, refusal, resized, returns_to, sized
from domain.resolving import HANDLER_OF, first_handler, last_handler, starting_ladder
from domain.values import copy_with
from domain.vocabulary import DROPS, LEGAL_ROUTES, ClimbReason, Level, Satisfaction, Stops
from domain.worktime import Limit, Pause
from domain.worktime import due as due_after


@dataclass
class Fold:
    """The state while one command is applied, and its events so far."""

    issue: Issue
    at: datetime
    actor: c.Actor | None = None
    command: e.CommandRef | None = None
    recorded_at: datetime | None = None
    events: list[e.Event] = field(default_factory=list[e.Event])
    grants: tuple[c.Authority, ...] = ()

    @property
    def giver(self) -> c.Actor:
        """The actor of a command; internal commands have none (AssertionError)."""
        assert self.actor is not None
        return self.actor

    def add(
        self, body: e.EventBody, level: Level | None = None, clause: str | None = None, was_due: datetime | None = None
    ) -> None:
        """Adds one event; `clause` and `was_due` are filled in where the event meets a clock."""
        before = self.issue
        event = e.Event(
            before.version + 1, self.at, self.actor, level or before.level, body, self.recorded_at, clause,
            was_due=was_due, command=self.command,
        )  # fmt: skip
        self.issue = after = evolve(before, event)
        if clause is None and (met := met_clock(before, event, after)) is not None:
            clause, was_due = met.clause, met.due
        step = next_clock(after)
        due = None if step is None else step.due
        self.events.append(copy_with(event, clause=clause, was_due=was_due, due=due, held=held(before, event, after)))


def decide(issue: Issue, command: c.Command) -> tuple[e.Event, ...]:
    """The events to which the command leads; if it does not apply, a single `Refused` with the reason in words."""
    return tuple(act(issue, command).events)


def act(issue: Issue, command: c.Command) -> Fold:
    """Applies the command to the issue. The result holds the new events and the state after them.

    A command that does not apply leads to a single `Refused`.
    """
    match command.body:
        case c.DeadlinePassed():
            return _passed(Fold(issue, command.at, recorded_at=command.body.recorded_at), command.body)
        case c.Undecodable(signal=signal, reason=reason):
            fold = Fold(issue, command.at)
            fold.add(e.RejectedSignal(signal, reason))
            return fold
        case _:
            pass
    fold = Fold(issue, command.at, command.actor, e.CommandRef(command.id, command.digest), grants=command.grants)
    if (against := refusal(issue, command)) is not None:
        fold.add(e.Refused(command.name, against.code, against.params))
        return fold
    take = TAKE.get(type(command.body))
    if take is not None:
        take(fold, command.body)
    else:
        fold.add(RECORDED[type(command.body)](**vars(command.body)))
    return fold


RECORDED: Final[Mapping[type[c.Body], type[e.EventBody]]] = MappingProxyType(
    {
        c.Comment: e.Commented, c.Attach: e.Attached, c.Supply: e.Supplied, c.Object: e.Objected, c.Assign: e.Assigned, c.Schedule: e.Scheduled,
        c.Contact: e.Contacted, c.Mitigate: e.Mitigated, c.StepDone: e.StepDone, c.Refer: e.Referred, c.Sit: e.Sat, c.Supervise: e.Supervised, c.Instruct: e.Instructed,
        c.Correct: e.Corrected, c.Follow: e.Followed,
    }
)  # fmt: skip
"""Class of command -> class of the one event to which it leads, which has the same fields."""

# One function for each of the other commands

Take = Callable[[Fold, Any], None]
B = TypeVar("B", bound=c.Body)
TAKE: Final[dict[type[c.Body], Take]] = {}


def on(kind: type[B]) -> Callable[[Callable[[Fold, B], None]], Callable[[Fold, B], None]]:
    """Registers a function as the one that applies this kind of command."""

    def register(take: Callable[[Fold, B], None]) -> Callable[[Fold, B], None]:
        TAKE[kind] = take
        return take

    return register


@on(c.Report)
def report(fold: Fold, body: c.Report) -> None:
    policy, place = fold.issue.policy, body.place
    ladder, before = starting_ladder(policy.ladder, place, about_operator=body.about_operator), body.before
    taken = before if body.takes_up else None  # it goes on where that one stood
    level = taken.level if taken is not None and taken.level in ladder else ladder[0]
    reported = e.Reported(
        number=body.number, place=place, category=body.category, policy=policy_ref(policy), ladder=ladder,
        description=body.description, urgent=body.urgent, about_operator=body.about_operator, location=body.location,
        channel=body.channel, contact=body.contact, follows=body.follows, news=body.news, rules_version=fold.issue.rules_version, root=body.root,
        reachable=body.reachable, reporter=body.reporter, taken_by=None if fold.giver.role == "resident" else fold.giver,
        reopened=0 if taken is None else taken.reopened + 1, building=body.building, common=body.common,
    )  # fmt: skip
    fold.add(reported, level=level)
    fold.add(e.Dispatched(last_handler(place, taken.handler, ladder) if taken else first_handler(place, ladder[0])))
    if taken is None and before is not None and body.news and before.kind not in _NO_RECURRENCE:
        _climb(fold, "recurrence", next_rung(fold.issue))


_NO_RECURRENCE: Final = ("withdrawn", *DROPS)
"""How an issue ended whose matter does not come back with a report that follows it."""


@on(c.Urge)
def urge(fold: Fold, body: c.Urge) -> None:
    heard = urges(fold.issue, fold.at).get(fold.giver.person, ())
    fold.add(e.Urged(body.text, counted_only=len(heard) >= MOST_URGES))


# The work


@on(c.Accept)
def accept(fold: Fold, body: c.Accept) -> None:
    issue = fold.issue
    takes_order = fold.giver.org == issue.handler.code and issue.stands == "dispatched"
    fold.add(e.Accepted(body.note) if takes_order else e.Led(body.note))


@on(c.Attempt)
def attempt(fold: Fold, body: c.Attempt) -> None:
    fold.add(e.Attempted(fold.issue.attempts + 1, body.note))


@on(c.Arrive)
def arrive(fold: Fold, body: c.Arrive) -> None:
    issue, size = fold.issue, body.assessment
    fold.add(e.Arrived(body.note))
    if size is not None and not sized(issue, size):
        _assess(fold, e.Assessed(size, body.note if resized(issue, size) else ""))


@on(c.Assess)
def assess(fold: Fold, body: c.Assess) -> None:
    _assess(fold, e.Assessed(body.assessment, body.reason))


@on(c.Plan)
def plan(fold: Fold, body: c.Plan) -> None:
    fold.add(e.Planned(body.steps, _plan_needs(fold, body.steps), body.note))


@on(c.Answer)
def answer(fold: Fold, body: c.Answer) -> None:
    """An answer while the work is neither completed nor planned is an interim one."""
    fold.add(e.Answered(body.text, interim=is_interim(fold.issue)))


@on(c.Complete)
def complete(fold: Fold, body: c.Complete) -> None:
    silence = silence_from(fold.issue, fold.at)
    fold.add(e.Completed(body.kind, silence.at, silence.provisional, body.answer, body.evidence, body.note))


@on(c.Ask)
def ask(fold: Fold, body: c.Ask) -> None:
    issue = fold.issue
    until, provisional = _after(issue, fold.at, issue.policy.ask.max)
    stops: Stops = "nothing" if issue.urgent or not issue.reachable else "work"
    fold.add(e.Suspended(until, provisional, stops, body.question))


@on(c.Wait)
def wait(fold: Fold, body: c.Wait) -> None:
    """Pauses by itself what the party may pause by itself; more is a request, or where nobody is above stops no clock."""
    issue, giver = fold.issue, fold.giver
    stop = issue.paused
    begin = stop.begin if stop is not None and stop.own and stop.by == giver.org else fold.at
    if may_stop(issue, giver.org or "", begin, body.review):
        fold.add(e.Waited(body.reason, body.review, note=body.note))
    elif above(issue, giver) is None:
        fold.add(e.Waited(body.reason, body.review, "nothing", body.note))
    else:
        fold.add(e.Requested("pause", waits_for=body.reason, review=body.review, reason=body.note))


@on(c.Resume)
def resume(fold: Fold, body: c.Resume) -> None:
    """Ends a pause. Somebody above who ends a question of another organisation calls it needless."""
    issue, giver = fold.issue, fold.giver
    asker = issue.paused.by if issue.paused is not None else None
    needless = issue.status == "suspended" and giver.org != asker and "senior" in capacities(issue, giver)
    fold.add(e.Resumed(needless, body.note))


@on(c.Extend)
def extend(fold: Fold, body: c.Extend) -> None:
    clock = extendable(fold.issue, fold.giver)
    assert clock is not None
    fold.add(e.Requested("extend", clock.clause, body.by or fold.issue.policy.extend.max, reason=body.reason))


def _after(issue: Issue, at: datetime, limit: Limit, pauses: Sequence[Pause] = ()) -> tuple[datetime, bool]:
    due = due_after(at, limit, issue.policy.service_hours, issue.calendars, pauses=pauses)
    return due.at, due.provisional


def _assess(fold: Fold, body: e.Assessed) -> None:
    """Adds the assessment; a big issue climbs to the community at once, a hard one to the street."""
    fold.add(body)
    if body.assessment in ("big", "hard"):
        target: Level = "community" if body.assessment == "big" else "street"
        if rank(fold.issue.level) < rank(target):
            _climb(fold, "size", rung(fold.issue, target))


def _plan_needs(fold: Fold, steps: tuple[c.Step, ...]) -> Level | None:
    """The level that must grant a plan; None if no level above the planner must.

    A long plan needs a grant, and so does one that does not stand for an answer. The length of a plan counts from the
    first plan of the present work.
    """
    issue, rule, end = fold.issue, fold.issue.policy.plan, steps[-1].due

    def lasts_over(limit: Limit) -> bool:
        return end > _after(issue, issue.planned_since or fold.at, limit, stopped(issue, plans.STEP))[0]

    needs: Level | None = None
    if lasts_over(rule.street_over):
        needs = "street"
    elif lasts_over(rule.community_over):
        needs = rung_from(issue, "community")
    if not plans.stands(issue, [step.due for step in steps], fold.at):
        higher = above(issue, fold.giver)
        needs = higher if needs is None or (higher is not None and rank(higher) > rank(needs)) else needs
    if needs is None or rank(level_of(fold.giver)) >= rank(needs):
        return None
    waits = issue.wish("plan")  # once a level was asked, no other plan goes to one below it
    return waits.ruler if waits is not None and rank(waits.ruler) > rank(needs) else needs


def rung_from(issue: Issue, level: Level) -> Level:
    """The level itself if it is on the issue's ladder, else the next higher level of the ladder."""
    return lowest(issue.ladder, rank(level)) or issue.ladder[-1]


# Who handles it, who leads it, how much time it has


@on(c.Decline)
def decline(fold: Fold, body: c.Decline) -> None:
    led_by = fold.issue.level
    fold.add(e.Declined(body.reason, body.note))
    _climb_by_transfers(fold, led_by)


@on(c.Redispatch)
def redispatch(fold: Fold, body: c.Redispatch) -> None:
    led_by = fold.issue.level
    fold.add(e.Redispatched(Handler(body.handler, body.handler_kind), body.reason))
    _climb_by_transfers(fold, led_by)


@on(c.Return)
def give_back(fold: Fold, body: c.Return) -> None:
    issue, last = fold.issue, fold.issue.last_climb
    to = returns_to(issue, body.to)
    undoes = last.clause if last is not None and last.wrong and to == last.from_level else None
    fold.add(e.Returned(issue.level, body.reason, undoes), level=to)
    if undoes is None:
        _climb_by_transfers(fold, issue.level)


@on(c.Rule)
def rule(fold: Fold, body: c.Rule) -> None:
    """Rules on a decline; if it is upheld, the ruling level leads from now on, until it has found the right handler."""
    level, handler = level_of(fold.giver), None
    if body.upheld:
        handler = (
            Handler(body.handler, body.handler_kind)
            if body.handler
            else Handler(fold.giver.org or "", HANDLER_OF[level])
        )
    fold.add(e.Ruled(body.upheld, handler, body.reason))
    if body.upheld and rank(level) > rank(fold.issue.level):
        _climb(fold, "ruling", rung(fold.issue, level))


@on(c.Escalate)
def escalate(fold: Fold, body: c.Escalate) -> None:
    _climb(fold, "hand", next_rung(fold.issue), body.reason)


@on(c.Grant)
def grant(fold: Fold, body: c.Grant) -> None:
    wish = fold.issue.wish(body.what)
    if wish is not None and wish.clause is not None and wish.by is not None:
        fold.add(e.Extended(wish.clause, wish.by, body.note), clause=wish.clause)
        return
    fold.add(e.Granted(body.what, body.note))
    if fold.issue.is_dropped:  # the resident was right
        fold.add(_undoing(fold.issue))


@on(c.Deny)
def deny(fold: Fold, body: c.Deny) -> None:
    closes = fold.issue.is_dropped and denial_closes(fold.issue, fold.at)
    fold.add(e.Denied(body.what, body.reason))
    if closes and fold.issue.completion in DROPS:
        fold.add(e.Closed(fold.issue.completion))


@on(c.Reopen)
def reopen(fold: Fold, body: c.Reopen) -> None:
    if takes_back(fold.issue, fold.giver):
        fold.add(e.TakenBack(body.reason))
    else:
        _begin_again(fold, body.reason)


def _begin_again(fold: Fold, reason: Personal = "") -> None:
    """Reopens the issue. From the policy's number of reopenings on, and beyond as many as it allows, it climbs as well."""
    fold.add(e.Reopened(reason))
    rule, count = fold.issue.policy.reopen, fold.issue.reopened
    if count >= rule.climbs_from or count > rule.times:
        _climb(fold, "reopening", next_rung(fold.issue))


@on(c.Shelve)
def shelve(fold: Fold, body: c.Shelve) -> None:
    review, _ = _after(fold.issue, fold.at, fold.issue.policy.shelve.review)
    fold.add(e.Shelved(review, body.reason))
    top = fold.issue.ladder[-1]
    _climb(fold, "shelving", top if rank(top) > rank(fold.issue.level) else None)


@on(c.ChangePolicy)
def change_policy(fold: Fold, body: c.ChangePolicy) -> None:
    assert body.body is not None
    fold.add(e.PolicyChanged(body.body, body.reason))


@on(c.CalendarPublished)
def publish_calendar(fold: Fold, body: c.CalendarPublished) -> None:
    issue, year = fold.issue, body.calendar
    early = climbed_too_early(issue, with_year(issue.calendars, year))
    fold.add(e.CalendarPublished(year, issue.last_climb.clause if early and issue.last_climb is not None else None))


@on(c.DirectoryChanged)
def change_directory(fold: Fold, body: c.DirectoryChanged) -> None:
    changed = resolving.change(fold.issue, body)
    assert changed is not None
    fold.add(changed, level=resolving.level_after(fold.issue, changed))


@on(c.RenewCode)
def renew_code(fold: Fold, body: c.RenewCode) -> None:
    fold.add(e.CodeRenewed(generation_of(fold.issue, fold.giver.person) + 1))


@on(c.Adopt)
def adopt(fold: Fold, body: c.Adopt) -> None:
    fold.add(e.Adopted(body.issue, body.voices, body.unheard))


# How it ends


@on(c.Confirm)
def confirm(fold: Fold, body: c.Confirm) -> None:
    """Closes the issue, unless it is not solved: a word against one's own side is heard, one for it does not count.

    A follower's word closes nothing by itself. The first follower who says `not` has the work begin anew, once for all of
    them; so the issue closes once each of them has been heard, or by silence.
    """
    issue, decides = fold.issue, fold.giver.person == fold.issue.reporter
    because = None if body.outcome == "not" else uncounted(issue, fold.giver, fold.grants)
    fold.add(e.Confirmed(body.outcome, body.satisfaction, body.comment, because is None, because))
    if body.outcome == "not":
        own_side = uncounted(issue, fold.giver, fold.grants) == "own_side"
        if decides:
            _not_solved(fold, body.satisfaction)
        elif not (issue.asked_by_side if own_side else issue.asked_again):
            fold.add(e.Reopened(body.comment, own_side))
    elif _close_if_heard(fold) or awaited(fold.issue):
        pass
    elif decides and not present(issue):  # a word that does not count silences nobody
        fold.add(e.Closed(issue.completion or "solved"))


def _close_if_heard(fold: Fold) -> bool:
    """Closes the issue by the word of whoever decides, if those who follow it have been heard; tells whether it did."""
    judged = fold.issue.judged
    if judged is None or awaited(fold.issue):
        return False
    fold.add(e.Closed(judged.kind, judged.satisfaction))
    return True


def _not_solved(fold: Fold, satisfaction: Satisfaction) -> None:
    """Begins the work again, a level higher once that was done as often as the policy allows.

    At the top the matter is not settled then; under a policy that takes a refusal for an end it is so at once.
    """
    issue, rule = fold.issue, fold.issue.policy.reopen
    if rule.refusal == "closes" or (issue.reopened >= rule.times and next_rung(issue) is None):
        fold.add(e.Closed("not_settled", satisfaction, LEGAL_ROUTES))
    else:
        _begin_again(fold)


@on(c.Unfollow)
def unfollow(fold: Fold, body: c.Unfollow) -> None:
    fold.add(e.Unfollowed())
    _close_if_heard(fold)


@on(c.Withdraw)
def withdraw(fold: Fold, body: c.Withdraw) -> None:
    """Closes the issue, unless somebody else is left in it."""
    if fold.giver.person != fold.issue.reporter:
        fold.add(e.Unfollowed(body.reason))
        _close_if_heard(fold)
        return
    is_last = heir(fold.issue) is None
    fold.add(e.Withdrawn(body.reason))
    if is_last:
        fold.add(e.Closed("withdrawn"))


@on(c.Reject)
def reject(fold: Fold, body: c.Reject) -> None:
    """The resident is told why, and may object; silence closes."""
    silence = silence_from(fold.issue, fold.at)
    fold.add(e.Rejected(silence.at, body.reason, silence.provisional))


@on(c.Merge)
def merge(fold: Fold, body: c.Merge) -> None:
    """The residents are told where it went, and may object; silence closes."""
    silence = silence_from(fold.issue, fold.at)
    fold.add(e.Merged(body.into, silence.at, silence.provisional))


@on(c.Split)
def split(fold: Fold, body: c.Split) -> None:
    """Undoes the merge; or, in the older issue, lets the residents go, and closes by a word that waited for them only."""
    if body.issue is None:
        fold.add(_undoing(fold.issue, body.reason))
        return
    came = fold.issue.came[body.through or body.issue]
    persons = tuple([person for person in body.persons if person in came])
    fold.add(e.Split(body.issue, persons, body.through, fold.issue.merged_into))
    _close_if_heard(fold)


def _undoing(issue: Issue, reason: Personal = "") -> e.TakenBack:
    """What undoes that staff dropped the issue."""
    older = issue.merged_into
    return e.TakenBack(reason, older, tuple([voice.person for voice in speaking(issue)]) if older else ())


# Shared helpers


def _climb_by_transfers(fold: Fold, led_by: Level) -> None:
    """Climbs after the policy's number of declines, redispatches and returns, to the level above `led_by`."""
    issue = fold.issue
    if issue.transfers < issue.policy.transfers.climbs_from:
        return
    above = lowest(issue.ladder, rank(led_by) + 1) or issue.ladder[-1]
    _climb(fold, "transfers", above if rank(above) > rank(issue.level) else None)


def _climb(fold: Fold, by: ClimbReason, target: Level | None, reason: Personal = "") -> None:
    if target is not None:
        fold.add(e.Escalated(fold.issue.level, by, reason=reason), level=target, clause=by)


def _passed(fold: Fold, passed: c.DeadlinePassed) -> Fold:
    """Adds what follows from a deadline that passed."""
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
            wish_open = any(wish.what != "objection" for wish in issue.wishes)
            fold.add(
                e.Escalated(issue.level, "deadline", wish_open), level=climb[1], clause=clock.clause, was_due=clock.due
            )
        case "limit", "silence":
            kind = issue.judged.kind if issue.judged else issue.completion or "solved"
            until = None if kind == "rejected" else _after(issue, passed.recorded_at, issue.policy.take_up)[0]
            satisfaction = issue.judged.satisfaction if issue.judged else "not_rated"
            fold.add(e.Closed(kind, satisfaction, until=until), clause="silence", was_due=clock.due)
        case "limit", "review" if issue.shelved:
            review = _after(issue, clock.due, issue.policy.shelve.review)[0]
            fold.add(e.Reminded(1, review), clause="review", was_due=clock.due)
        case "limit", "rule-objection" if issue.is_dropped:  # nobody upheld that in time
            fold.add(_undoing(issue), clause=clock.clause, was_due=clock.due)
        case "limit", ("ask" | "review"):
            fold.add(e.Resumed(), clause=clock.clause, was_due=clock.due)
        case _:
            asks = next((clause.ask for clause in issue.policy.clause if clause.id == clock.clause), None)
            fold.add(e.Overdue(asks), clause=clock.clause, was_due=clock.due)
    return fold


def _remind(fold: Fold, until: datetime) -> None:
    """Adds one event for all reminders due up to `until`, so that catching up after an outage sends one message."""
    reminder = fold.issue.reminder
    assert reminder is not None
    fold.add(e.Reminded(reminders_until(fold.issue, reminder, until)), clause=REMIND)
