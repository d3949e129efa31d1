"""The record of an issue for officers: what is due, what was promised, whose minutes, and every event with who and why."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from api.container import Services
from domain.clocks import RULING, owner
from domain.directory import Directory
from domain.events import Event, Planned, Reported
from domain.followers import present
from domain.issue import Clock, Issue, PlanStep, Stop, Wish, org_of
from domain.light import Light, light
from domain.worktime import Limit
from pages.facts import facts
from pages.story import left, moment, org_name, staff_name
from protocol.catalogue import clause_named
from protocol.context import LANGUAGE
from protocol.masking import masked_event
from protocol.reader import VisibleIssue
from protocol.telling import Told, told_before
from texts.catalogue import Language, named, say


@dataclass(frozen=True)
class ClockLine:
    """A running clock: what is due under which clause, by when, and from whom."""

    clause: str
    what: str
    who: str
    due: str
    due_ms: int
    left: str
    light: Light


@dataclass(frozen=True)
class Entry:
    """An event: when, what, by whom in which role, under which clause, when that was due, and what was written."""

    seq: int
    at: str
    what: str
    who: str
    role: str
    clause: str
    was_due: str
    is_late: bool
    facts: Sequence[str]
    words: Sequence[str]


@dataclass(frozen=True)
class HeldLine:
    """How long one party held the issue in all; `share` is its part of the whole in per cent."""

    who: str
    span: str
    share: int


@dataclass(frozen=True)
class ClimbLine:
    """A climb on the account of a handler."""

    at: str
    clause: str
    org: str
    is_made_good: bool
    span: str


@dataclass(frozen=True)
class StepLine:
    """A step of a plan: what is to be done by when and by whom. `light` is None once it is done."""

    number: int
    title: str
    due: str
    who: str
    light: Light | None


@dataclass(frozen=True)
class WishLine:
    """What somebody asked for, and who must rule on it by when."""

    what: str
    org: str
    asked: str
    ruler: str
    due: str
    more: str


@dataclass(frozen=True)
class PauseLine:
    """A period in which clocks stood still; of the present one `end` is its latest end."""

    begin: str
    end: str
    stops: str
    by: str
    is_present: bool


@dataclass(frozen=True)
class Picture:
    """A picture by its digest, and who added it when."""

    digest: str
    who: str
    at: str


@dataclass(frozen=True)
class Before:
    """An older issue that this one takes up or follows."""

    number: str
    closed: str
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Record:
    """All of an issue that its viewer may see, in the words of his language. `masked` says why that is less today, if it is."""

    masked: str | None
    clocks: Sequence[ClockLine]
    wishes: Sequence[WishLine]
    steps: Sequence[StepLine]
    proposed: Sequence[StepLine]
    pauses: Sequence[PauseLine]
    held: Sequence[HeldLine]
    climbs: Sequence[ClimbLine]
    followers: int
    merged: int
    merged_into: str | None
    pictures: Sequence[Picture]
    entries: Sequence[Entry]
    before: Sequence[Before]


async def record_of(seen: VisibleIssue, use: Services, found: Told, *, reveals: bool = True) -> Record:
    """The record of an issue as its viewer is told of it; a phone number in older ones is logged and limited as by the API.

    Without `reveals` it stays masked. Raises Unavailable.
    """
    before = await told_before(seen, use.reader, use.access, use.attachments, reveals=reveals)
    pictures = await use.attachments.of_issue(seen) if use.attachments is not None and found.sight.text else ()
    write = _Writer(await use.directory.get(), use.now(), LANGUAGE.get())
    # Whoever is left with the own record only learns nothing of how the issue stands now.
    issue = seen.issue if found.sight.record_of is None else None
    entries = write.entries(found)
    return Record(
        masked=found.masked,
        clocks=write.clocks(issue) if issue else (),
        wishes=[write.wish(issue, each) for each in issue.wishes] if issue else (),
        steps=write.steps(issue.plan.steps, _titles(found, is_proposal=False)) if issue and issue.plan else (),
        proposed=write.steps(issue.proposed.steps, _titles(found, is_proposal=True)) if issue and issue.proposed else (),
        pauses=write.pauses(issue) if issue else (),
        held=write.held(found),
        climbs=[
            ClimbLine(write.moment(each.at), clause_named(each.clause, seen.issue.policy, write.language),
                      write.org(each.org), each.made_good, write.span(each.ms))
            for each in found.timeline.climbs
        ],
        followers=len(present(issue)) if issue else 0,
        merged=len(issue.adopted) if issue else 0,
        merged_into=issue.merged_into if issue else None,
        pictures=[
            Picture(each.digest, write.org(each.org) if each.org else named(each.role, write.language), write.moment(each.added_at))
            for each in pictures
        ],
        entries=entries,
        before=[
            Before(each.issue.number, named(each.issue.closed.kind, write.language) if each.issue.closed else "", write.entries(each))
            for each in before
        ],
    )  # fmt: skip


def _titles(found: Told, *, is_proposal: bool) -> Sequence[str]:
    """What the steps of the last plan are called, or those of the last proposal: the state keeps their dates only."""
    for event in reversed(found.timeline.events):
        if isinstance(event.body, Planned) and (not is_proposal or event.body.needs is not None):
            return [each["title"] for each in masked_event(event, found.sight)["steps"]]
    return ()


@dataclass(frozen=True)
class _Writer:
    """Puts an issue into the words of a language."""

    directory: Directory
    now: datetime
    language: Language

    def moment(self, at: datetime) -> str:
        return moment(at, self.language)

    def org(self, code: str | None) -> str:
        return "" if code is None else org_name(code, self.directory)

    def span(self, ms: int) -> str:
        seconds = ms // 1000
        parts = [(seconds // 86400, "days"), (seconds % 86400 // 3600, "hours"), (seconds % 3600 // 60, "minutes")]
        told = [say("pages", unit, self.language, {"count": count}) for count, unit in parts if count]
        return " ".join(told[:2]) or say("pages", "seconds", self.language, {"count": seconds})

    def clocks(self, issue: Issue) -> list[ClockLine]:
        return [self._clock(issue, each) for each in sorted(issue.clocks, key=lambda clock: clock.due)]

    def _clock(self, issue: Issue, clock: Clock) -> ClockLine:
        org = owner(issue, clock)
        shown = light(overdue=clock.overdue, due=clock.due, warn_at=clock.warn, now=self.now) or "green"
        return ClockLine(
            clause_named(clock.clause, issue.policy, self.language), named(clock.milestone, self.language),
            named("resident", self.language) if org is None else self.org(org), self.moment(clock.due),
            int(clock.due.timestamp() * 1000), left(clock.due - self.now, self.language), shown,
        )  # fmt: skip

    def wish(self, issue: Issue, wish: Wish) -> WishLine:
        clock = next((each for each in issue.clocks if RULING.get(each.clause) == wish.what), None)
        more = [self.limit(wish.by) if wish.by else "", named(wish.waits_for, self.language) if wish.waits_for else ""]
        if wish.review is not None:
            more.append(self.moment(wish.review))
        ruler = wish.ruler if clock is None or clock.level == "issue" else clock.level
        return WishLine(
            named(wish.what, self.language), self.org(wish.org) or named("resident", self.language),
            self.moment(wish.asked.at), self.org(org_of(issue, ruler)), self.moment(clock.due) if clock else "",
            " ".join(filter(None, more)),
        )  # fmt: skip

    def steps(self, steps: Sequence[PlanStep], titles: Sequence[str]) -> list[StepLine]:
        found: list[StepLine] = []
        for number, step in enumerate(steps, 1):
            title = titles[number - 1] if number <= len(titles) else ""
            shown = None if step.done else light(overdue=False, due=step.due, warn_at=None, now=self.now)
            who = self.org(step.owner) if isinstance(step.owner, str) and step.owner else ""
            found.append(StepLine(number, title, self.moment(step.due), who, shown))
        return found

    def pauses(self, issue: Issue) -> list[PauseLine]:
        stops = [*issue.pauses, *([issue.paused] if issue.paused else [])]
        return [self._pause(each, is_present=each is issue.paused) for each in stops]

    def _pause(self, stop: Stop, *, is_present: bool) -> PauseLine:
        stops = named(stop.stops, self.language)
        return PauseLine(self.moment(stop.begin), self.moment(stop.end), stops, self.org(stop.by), is_present)

    def held(self, found: Told) -> list[HeldLine]:
        whole = sum(found.timeline.minutes.values()) or 1
        longest = sorted(found.timeline.minutes.items(), key=lambda item: -item[1])
        return [
            HeldLine(self.org(org) or named(holder, self.language), self.span(ms), round(100 * ms / whole))
            for (holder, org), ms in longest
        ]

    def entries(self, found: Told) -> list[Entry]:
        """The events, the newest first."""
        return [self._entry(event, found) for event in reversed(found.timeline.events)]

    def _entry(self, event: Event, found: Told) -> Entry:
        actor, body = event.actor, masked_event(event, found.sight)
        who = role = ""
        if actor is not None:
            role = named(actor.role, self.language)
            who = staff_name(actor.person, actor.org, found.sight, self.directory) if actor.org else ""
        return Entry(
            event.seq, self.moment(event.at), say("events", event.kind, self.language), who, role,
            clause_named(event.clause, found.issue.policy, self.language) if event.clause else "",
            self.moment(event.was_due) if event.was_due else "",
            event.was_due is not None and event.at - event.was_due >= timedelta(milliseconds=1),
            self._facts(event, body), _words(body, event),
        )  # fmt: skip

    def _facts(self, event: Event, body: dict[str, Any]) -> list[str]:
        """What an event says beside words: as residents are told it, and to whom the work goes and for how long more."""
        found = [self.org(handler.code)] if (handler := getattr(event.body, "handler", None)) is not None else []
        found += facts(event, body, self.language)
        if isinstance(by := getattr(event.body, "by", None), Limit):
            found.append(self.limit(by))
        return found

    def limit(self, limit: Limit) -> str:
        """A length of time in words; that it may count in hours of service or by natural days, the clause says."""
        count = {"count": limit.amount}
        match limit.unit:
            case "wd":
                return say("pages", "record-working-days", self.language, count)
            case "nd":
                return say("pages", "days", self.language, count)
            case "h" | "sh":
                return say("pages", "hours", self.language, count)
            case "m" | "sm":
                return say("pages", "minutes", self.language, count)
            case "s":
                return say("pages", "seconds", self.language, count)


def _words(body: dict[str, Any], event: Event) -> list[str]:
    """What people wrote in an event, as far as the viewer may read it."""
    if isinstance(event.body, Reported):
        contact: dict[str, str] = body["contact"] or {}
        parts: list[str] = [
            body["location"],
            body["description"],
            body["news"],
            contact.get("name", ""),
            contact.get("phone", ""),
        ]
        return [each for each in parts if each]
    if isinstance(event.body, Planned):
        return [f"{n}. {each['title']}" for n, each in enumerate(body["steps"], 1)] + [body["note"]] * bool(
            body["note"]
        )
    found: list[str] = []
    for each in fields(event.body):
        value = body.get(each.name)
        if not each.metadata.get("personal") or each.name == "evidence" or not value:
            continue
        found += [value] if isinstance(value, str) else [str(one) for one in value]
    return found
