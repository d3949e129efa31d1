"""Issues folded without a server: commands and time go in, plain events come out."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from db.engine import Database
from db.projector import record
from domain.advance import advance
from domain.commands import Accept, Actor, Arrive, Body, Command, Complete, Confirm, Report
from domain.events import chain, dump_event, event_digest
from domain.issue import Issue
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import Category
from domain.wire import dump
from policies.loader import load_pack
from support.completions import ANSWER
from support.grants import granted

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
RESIDENT = Actor("resident-1", "resident")
PROPERTY = Actor("worker-1", "property", "demo-property")
COMMUNITY = Actor("clerk-1", "community", "demo-community")
STREET = Actor("officer-1", "street", "demo-street")
PLACE = Place("demo", "demo-community", "demo-street", "demo-property", "company", "g1", "体验小区")

Plain = list[dict[str, Any]]


@dataclass(eq=False)
class Story:
    """One issue from its report on. `now` moves with each call."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    place: Place = PLACE
    now: datetime = START
    number: str = ""
    category: Category = "leak"
    policy: Policy = field(default_factory=lambda: load_pack("demo"))
    description: str = "厨房漏水"
    location: str = "3幢2单元501"
    about_operator: bool = False
    reporter: Actor = RESIDENT
    told: Plain = field(default_factory=list[dict[str, Any]])
    """All events so far."""

    def __post_init__(self) -> None:
        self.issue = Issue.new(self.id, self.policy, ())
        self.first = self.issue

    @property
    def pins(self) -> dict[str, Any]:
        """What comes along with the first batch."""
        return {"policy": dump(self.first.policy), "calendars": dump(self.first.calendars)}

    def reported(self) -> Plain:
        report = Report(
            number=self.number or f"JS-{self.id[:5].upper()}-{self.id[5:10].upper()}", place=self.place,
            category=self.category, description=self.description, location=self.location,
            about_operator=self.about_operator,
        )  # fmt: skip
        return self.give(report, self.reporter, seconds=0)

    def give(self, body: Body, actor: Actor, *, seconds: float = 1, command: str | None = None) -> Plain:
        """The events after `seconds` in which a command arrives at the end."""
        self.now += timedelta(seconds=seconds)
        grants = granted(actor, self.place)
        return self._advance([Command(command or uuid.uuid4().hex, self.now, actor, body, grants=grants)])

    def wait(self, seconds: float) -> Plain:
        """What the clock does within `seconds`."""
        self.now += timedelta(seconds=seconds)
        return self._advance([])

    def until_closed(self) -> Plain:
        """A standard issue after its report."""
        return [
            *self.give(Accept(), PROPERTY),
            *self.give(Arrive("minor"), PROPERTY),
            *self.give(Complete(answer=ANSWER), PROPERTY),
            *self.give(Confirm("solved", "satisfied"), self.reporter),
        ]

    def _advance(self, inbox: list[Command]) -> Plain:
        self.issue, events = advance(self.issue, inbox, self.now)
        plain = [dump_event(event) for event in events]
        self.told += plain
        return plain


def lit_at_night() -> tuple[Story, Plain, datetime]:
    """An issue whose plan fell due at 23:59:59 on the third day, which was recorded two seconds later.

    Also all its events, the last of them the red light, and the next opening of service hours (UTC).
    """
    story = Story(policy=load_pack("52022"))
    day = START.replace(hour=0) + timedelta(days=2)
    events = story.reported() + story.give(Accept(), PROPERTY) + story.give(Arrive("complex"), PROPERTY)
    for moment in (day + timedelta(hours=8), day + timedelta(hours=16, seconds=1)):
        events += story.wait((moment - story.now).total_seconds())
    return story, events, day + timedelta(hours=24)


async def store(database: Database, story: Story, events: Plain, **options: Any) -> str:
    """Records the events in a transaction of their own, as the activity does."""
    pins = story.pins if events and events[0]["seq"] == 1 else {}
    async with database.write() as session:
        return await session.run_sync(record, story.id, events, now=story.now, **pins, **options)


def chained(events: Plain) -> str:
    return chain(event_digest(event) for event in events)
