"""Each pack on an issue that nobody handles: every light, climb and reminder.

All are played by the rules alone, and one of each pack for real as well, on a server whose time is skipped.

The lines are written by hand from the districts' rules: day (0 is the first), time in Shanghai, event, lead after it,
clause, and when that was due. Service is from 08:00 to 20:00; what falls outside of it lands at opening unless it is
urgent. Yellow is at four fifths of the limit, on its own clock. Each run names the days that are a holiday, or made up
for at a weekend.

At the street no clause can climb any more, so the progress clock runs from when it leads: 7 natural days, urgent 24 hours.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

import domain.commands as c
from cli.install import EXAMPLE, read_directory
from domain.commands import NAMES, Actor, Body
from domain.events import Event, Reminded
from domain.wire import dump
from domain.worktime import SHANGHAI, YearCalendar
from policies.loader import shipped
from support.skipping import SkippedTime, skipped_time, told, weekdays_work
from tests.domain.play import Stage, local

MONDAY, SATURDAY = 0, 5
FIRST = local("2026-11-23 00:00")
"""A Monday, of the week in which the rules alone play."""
COMPANY = Actor("p1", "property", "guihua-jie-property")
DIRECTORY = read_directory(EXAMPLE)


@dataclass(frozen=True)
class Run:
    """An issue under a pack, what little is done to it, and all that happens until the end of day `days`."""

    pack: str
    starts: tuple[int, str]
    days: int
    told: str
    compound: str = "guihua-jie"
    category: str = "noise"
    urgent: bool = False
    off: tuple[int, ...] = ()
    on: tuple[int, ...] = ()
    acts: tuple[tuple[int, Body], ...] = ()
    """(minutes after the report, command), all by the company."""

    def calendars(self, began: datetime) -> tuple[YearCalendar, ...]:
        day = began.astimezone(SHANGHAI).date()
        off, on = ([day + timedelta(days=each) for each in days] for days in (self.off, self.on))
        return weekdays_work(began, off=off, on=on)

    def ends(self, began: datetime) -> datetime:
        """What falls on the last second of a day is recorded within seconds of the next one."""
        first = began.astimezone(SHANGHAI).replace(hour=0, minute=0)
        return first + timedelta(days=self.days + 1, seconds=30)

    def shown(self, events: list[Event] | tuple[Event, ...], began: datetime) -> str:
        until = began.astimezone(SHANGHAI).date() + timedelta(days=self.days)
        return told([event for event in events if event.at.astimezone(SHANGHAI).date() <= until], began)


RUNS = {
    "52022": Run("52022", (MONDAY, "09:02"), 15, off=(8,), on=(12,), told="""\
0 09:02 reported property
0 09:02 dispatched property
0 09:10 warned property accept due 0 09:12
0 09:12 overdue property accept due 0 09:12
0 09:32 escalated community accept due 0 09:12
0 11:08 warned community community-accept due 0 11:32
0 11:32 overdue community community-accept due 0 11:32
2 14:24 warned community community-answer due 2 23:59
2 23:59 overdue community community-answer due 2 23:59
3 08:00 escalated street community-answer due 2 23:59
3 11:12 warned street street-accept due 3 12:00
3 12:00 overdue street street-accept due 3 12:00
4 23:59 reminded street top
9 14:24 warned street progress due 10 23:59
9 23:59 reminded street top
10 23:59 warned street street-answer due 11 23:59
10 23:59 overdue street progress due 10 23:59
11 23:59 overdue street street-answer due 11 23:59
14 23:59 reminded street top"""),
    # Ten minutes of service time that begin eight minutes before closing end two minutes after opening.
    "52022 over night": Run("52022", (MONDAY, "19:52"), 1, told="""\
0 19:52 reported property
0 19:52 dispatched property
0 20:00 warned property accept due 1 08:02
1 08:02 overdue property accept due 1 08:02
1 08:22 escalated community accept due 1 08:02
1 09:58 warned community community-accept due 1 10:22
1 10:22 overdue community community-accept due 1 10:22"""),
    "52022 urgent at night": Run("52022", (MONDAY, "22:00"), 3, urgent=True, told="""\
0 22:00 reported property
0 22:00 dispatched property
0 22:08 warned property accept due 0 22:10
0 22:10 overdue property accept due 0 22:10
0 22:30 escalated community accept due 0 22:10
1 00:06 warned community community-accept due 1 00:30
1 00:30 overdue community community-accept due 1 00:30
2 14:24 warned community community-answer due 2 23:59
2 23:59 overdue community community-answer due 2 23:59
2 23:59 escalated street community-answer due 2 23:59
3 03:12 warned street street-accept due 3 04:00
3 04:00 overdue street street-accept due 3 04:00
3 19:12 warned street progress due 4 00:00"""),
    "52022, the operator is the community": Run("52022", (MONDAY, "09:02"), 0, compound="dongfang-huayuan", told="""\
0 09:02 reported property
0 09:02 dispatched property
0 09:10 warned property accept due 0 09:12
0 09:12 overdue property accept due 0 09:12
0 09:32 escalated street accept due 0 09:12
0 12:44 warned street street-accept due 0 13:32
0 13:32 overdue street street-accept due 0 13:32"""),
    "52022 accepted, nobody comes": Run("52022", (MONDAY, "09:02"), 0, acts=((3, c.Accept()),), told="""\
0 09:02 reported property
0 09:02 dispatched property
0 09:05 accepted property accept due 0 09:12
0 09:09 warned property arrive due 0 09:10
0 09:10 overdue property arrive due 0 09:10
0 09:35 escalated community arrive due 0 09:10
0 11:11 warned community community-accept due 0 11:35
0 11:35 overdue community community-accept due 0 11:35"""),
    "52022 minor, not solved": Run(
        "52022", (MONDAY, "09:02"), 0, acts=((3, c.Accept()), (6, c.Arrive("minor"))), told="""\
0 09:02 reported property
0 09:02 dispatched property
0 09:05 accepted property accept due 0 09:12
0 09:08 arrived property arrive due 0 09:10
0 09:08 assessed property assess due 0 09:18
0 09:24 warned property minor due 0 09:28
0 09:28 overdue property minor due 0 09:28
0 10:08 escalated community minor due 0 09:28
0 11:44 warned community community-accept due 0 12:08
0 12:08 overdue community community-accept due 0 12:08"""),
    "52022 complex, no plan": Run(
        "52022", (MONDAY, "09:02"), 3, acts=((3, c.Accept()), (6, c.Arrive("complex"))), told="""\
0 09:02 reported property
0 09:02 dispatched property
0 09:05 accepted property accept due 0 09:12
0 09:08 arrived property arrive due 0 09:10
0 09:08 assessed property assess due 0 09:18
2 14:24 warned property plan due 2 23:59
2 23:59 overdue property plan due 2 23:59
3 08:00 escalated community plan due 2 23:59
3 09:36 warned community community-accept due 3 10:00
3 10:00 overdue community community-accept due 3 10:00"""),
    "3+3+5": Run("3+3+5", (MONDAY, "18:00"), 12, compound="yongning", off=(3,), on=(12,), told="""\
0 18:00 reported property
0 18:00 dispatched property
1 08:24 warned property arrive due 1 09:00
1 09:00 overdue property arrive due 1 09:00
1 09:00 escalated community arrive due 1 09:00
1 11:24 warned community community-accept due 1 12:00
1 12:00 overdue community community-accept due 1 12:00
1 12:00 escalated street community-accept due 1 12:00
1 14:24 warned street street-accept due 1 15:00
1 15:00 overdue street street-accept due 1 15:00
2 19:12 warned street street-act due 2 23:59
2 23:59 overdue street street-act due 2 23:59
2 23:59 reminded street top
7 14:24 warned street progress due 8 23:59
7 23:59 warned street answer due 8 23:59
7 23:59 reminded street top
8 23:59 overdue street answer due 8 23:59
8 23:59 overdue street progress due 8 23:59
11 23:59 reminded street top"""),
    "3+3+5 inspected, not handled": Run(
        "3+3+5", (MONDAY, "09:00"), 0, acts=((10, c.Accept()), (30, c.Arrive("minor"))), told="""\
0 09:00 reported property
0 09:00 dispatched property
0 09:10 accepted property
0 09:30 arrived property arrive due 0 12:00
0 09:30 assessed property
0 11:54 warned property handle due 0 12:30
0 12:30 overdue property handle due 0 12:30
0 12:30 escalated community handle due 0 12:30
0 14:54 warned community community-accept due 0 15:30
0 15:30 overdue community community-accept due 0 15:30
0 15:30 escalated street community-accept due 0 15:30
0 17:54 warned street street-accept due 0 18:30
0 18:30 overdue street street-accept due 0 18:30"""),
    "3+3+5 urgent at night": Run("3+3+5", (SATURDAY, "21:00"), 1, urgent=True, told="""\
0 21:00 reported property
0 21:00 dispatched property
0 23:24 warned property arrive due 1 00:00
1 00:00 overdue property arrive due 1 00:00
1 00:00 escalated community arrive due 1 00:00
1 02:24 warned community community-accept due 1 03:00
1 03:00 overdue community community-accept due 1 03:00
1 03:00 escalated street community-accept due 1 03:00
1 05:24 warned street street-accept due 1 06:00
1 06:00 overdue street street-accept due 1 06:00
1 22:12 warned street progress due 2 03:00"""),
    "dispute": Run("dispute", (MONDAY, "10:00"), 35, compound="miaopu", category="dispute", off=(2,), on=(12,), told="""\
0 10:00 reported community
0 10:00 dispatched community
0 13:12 warned community community-accept due 0 14:00
0 14:00 overdue community community-accept due 0 14:00
1 19:12 warned community contact due 1 23:59
1 23:59 overdue community contact due 1 23:59
3 14:24 warned community sit due 3 23:59
3 23:59 overdue community sit due 3 23:59
4 09:36 warned community settle due 4 23:59
4 23:59 overdue community settle due 4 23:59
5 08:00 escalated street settle due 4 23:59
5 11:12 warned street street-accept due 5 12:00
5 12:00 overdue street street-accept due 5 12:00
7 23:59 reminded street top
9 23:59 reminded street top
11 14:24 warned street progress due 12 23:59
12 23:59 overdue street progress due 12 23:59
14 23:59 reminded street top
24 23:59 reminded street top
29 23:59 warned street street-settle due 35 23:59
35 23:59 overdue street street-settle due 35 23:59"""),
    "12345": Run("12345", (MONDAY, "10:00"), 12, off=(1,), on=(12,), told="""\
0 10:00 reported property
0 10:00 dispatched property
2 19:12 warned property accept due 2 23:59
2 23:59 overdue property accept due 2 23:59
3 08:00 escalated community accept due 2 23:59
3 11:12 warned community community-accept due 3 12:00
3 12:00 overdue community community-accept due 3 12:00
6 14:24 warned community answer due 7 23:59
7 08:00 escalated street answer due 7 23:59
7 11:12 warned street street-accept due 7 12:00
7 12:00 overdue street street-accept due 7 12:00
7 23:59 overdue street answer due 7 23:59
8 23:59 reminded street top
10 23:59 reminded street top"""),
    "12345 accepted, nobody calls or answers": Run("12345", (MONDAY, "10:00"), 7, acts=((60, c.Accept()),), told="""\
0 10:00 reported property
0 10:00 dispatched property
0 11:00 accepted property accept due 1 23:59
1 06:12 warned property contact due 1 11:00
1 11:00 overdue property contact due 1 11:00
5 08:00 escalated community answer due 7 23:59
5 11:12 warned community community-accept due 5 12:00
5 12:00 overdue community community-accept due 5 12:00
6 14:24 warned community answer due 7 23:59
7 08:00 escalated street answer due 7 23:59
7 11:12 warned street street-accept due 7 12:00
7 12:00 overdue street street-accept due 7 12:00
7 23:59 overdue street answer due 7 23:59"""),
    "12345 complex": Run(
        "12345", (MONDAY, "10:00"), 15,
        acts=((60, c.Accept()), (90, c.Contact()), (120, c.Arrive("complex"))), told="""\
0 10:00 reported property
0 10:00 dispatched property
0 11:00 accepted property accept due 1 23:59
0 11:30 contacted property contact due 1 11:00
0 12:00 arrived property
0 12:00 assessed property
9 08:00 escalated community answer-complex due 15 23:59
9 11:12 warned community community-accept due 9 12:00
9 12:00 overdue community community-accept due 9 12:00
12 23:59 warned community answer-complex due 15 23:59
13 08:00 escalated street answer-complex due 15 23:59
13 11:12 warned street street-accept due 13 12:00
13 12:00 overdue street street-accept due 13 12:00
14 23:59 reminded street top
15 23:59 overdue street answer-complex due 15 23:59"""),
    "12345 utilities": Run("12345", (MONDAY, "10:00"), 1, category="utilities", told="""\
0 10:00 reported property
0 10:00 dispatched property
0 16:00 escalated community answer-utilities due 1 10:00
0 19:12 warned community community-accept due 1 08:00
1 05:12 warned community answer-utilities due 1 10:00
1 08:00 escalated street answer-utilities due 1 10:00
1 10:00 overdue street answer-utilities due 1 10:00
1 11:12 warned street street-accept due 1 12:00
1 12:00 overdue street street-accept due 1 12:00"""),
    "12345 urgent at night": Run("12345", (SATURDAY, "22:00"), 2, urgent=True, told="""\
0 22:00 reported property
0 22:00 dispatched property
0 22:24 warned property accept-urgent due 0 22:30
0 22:30 overdue property accept-urgent due 0 22:30
0 22:30 escalated community accept-urgent due 0 22:30
0 22:54 warned community community-accept-urgent due 0 23:00
0 23:00 escalated street answer-urgent due 1 00:00
0 23:24 warned street street-accept-urgent due 0 23:30
0 23:30 overdue street street-accept-urgent due 0 23:30
0 23:36 warned street answer-urgent due 1 00:00
1 00:00 overdue street answer-urgent due 1 00:00
1 18:12 warned street progress due 1 23:00
1 23:00 overdue street progress due 1 23:00
2 23:59 reminded street top"""),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SkippedTime]:
    async with skipped_time(tmp_path_factory.mktemp("packs")) as time:
        yield time


@pytest.mark.parametrize("name", RUNS)
def test_the_whole_ladder(name: str) -> None:
    run = RUNS[name]
    weekday, clock = run.starts
    hour, minute = map(int, clock.split(":"))
    began = FIRST + timedelta(days=weekday, hours=hour, minutes=minute)
    where = DIRECTORY.place(run.compound, began.astimezone(SHANGHAI).date())
    stage = Stage(
        run.pack, at=began, where=where, calendars=run.calendars(began), category=run.category, urgent=run.urgent
    )
    for minutes, body in run.acts:
        stage.let_pass(began + timedelta(minutes=minutes))
        stage.give(COMPANY, body, after=0)
    stage.let_pass(run.ends(began))
    assert run.shown(stage.events, began) == run.told


@pytest.mark.parametrize("name", ["52022 minor, not solved", "3+3+5", "dispute", "12345 complex"])
async def test_the_whole_ladder_for_real(skipping: SkippedTime, name: str) -> None:
    run = RUNS[name]
    began = await skipping.next(*run.starts)
    await skipping.until(began)
    body = {"category": run.category, "description": "没有人管", "urgent": run.urgent}
    issue = await skipping.report(began, run.compound, body, run.calendars(began), policy=run.pack)
    for minutes, given in run.acts:
        at = began + timedelta(minutes=minutes)
        await skipping.until(at)
        await skipping.give(issue, at, NAMES[type(given)], dump(COMPANY), dump(given))
    await skipping.until(run.ends(began))
    events = await skipping.events(issue)
    await skipping.clear()
    assert run.shown(events, began) == run.told


DEMO = """\
0 reported property
0 dispatched property
8 warned property accept
10 overdue property accept
10 escalated community accept
19 warned community community-accept
19 warned community community-answer
21 overdue community community-accept
21 overdue community community-answer
21 escalated street community-accept
30 warned street street-accept
30 warned street street-answer
32 overdue street street-accept
32 overdue street street-answer
70 warned street progress
82 overdue street progress"""
REMINDERS = [42, 62, 102, 182, 262, 342, 422, 502, 582, 662]
"""10, 20, 40 and then every 80 seconds, from deadline to deadline; then one a day."""


async def test_the_demo_climbs_to_the_street_within_a_minute_and_reminds_it(skipping: SkippedTime) -> None:
    """In seconds, and at night: each level's ten seconds count from the record of the climb, a grace after it."""
    began = await skipping.next(MONDAY, "23:50")
    await skipping.until(began)
    body = {"category": "facility", "description": "楼道灯坏了"}
    issue = await skipping.report(began, "demo", body, weekdays_work(began))
    await skipping.until(began + timedelta(hours=1))
    events = await skipping.events(issue)
    await skipping.clear()

    lines = [
        " ".join(filter(None, (_seconds(event, began), event.kind, event.level, event.clause)))
        for event in events
        if not isinstance(event.body, Reminded)
    ]
    assert "\n".join(lines) == DEMO
    reminded = [int(_seconds(event, began)) for event in events if isinstance(event.body, Reminded)]
    assert reminded == REMINDERS


def _seconds(event: Event, began: datetime) -> str:
    return str(int((event.at - began).total_seconds()))


def test_every_shipped_pack_is_run() -> None:
    assert {policy.id for policy in shipped()} == {*(run.pack for run in RUNS.values()), "demo"}
