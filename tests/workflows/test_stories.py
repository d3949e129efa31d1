"""The five reported cases, each under its district's own pack, in its own time: days and months, skipped.

What is expected is written by hand from the districts' rules: which clause was met or missed, when that was due, who
led, and who held the minutes. A line is: day, time in Shanghai, event, lead after it, clause, when that was due.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from cli.stories import ANIMALS, BOTTLE, DRAIN, LEAK, PARKING, STORIES, Story, filled
from domain.events import Completed, Event, Overdue, Planned, Referred
from domain.issue import Issue
from domain.wire import format_time
from support.skipping import SkippedTime, minutes, skipped_time, told, weekdays_work


@dataclass
class Played:
    """What came of a story: each of its issues with its events."""

    began: datetime
    issues: list[Issue]
    events: list[tuple[Event, ...]]

    def told(self, report: int = 0) -> str:
        return told(self.events[report], self.began)

    def minutes(self) -> dict[str, int]:
        return minutes(self.events[0])

    def closed(self, report: int = 0) -> tuple[str, str]:
        closed = self.issues[report].closed
        assert closed is not None
        return closed.kind, closed.satisfaction


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SkippedTime]:
    async with skipped_time(tmp_path_factory.mktemp("stories")) as time:
        yield time


async def play(skipping: SkippedTime, story: Story, silence: timedelta = timedelta()) -> Played:
    """Every step at its own time, by whoever it is; then nothing for as long as `silence`."""
    began = await skipping.next(*story.starts)
    calendars = weekdays_work(began)
    ids: list[str] = []
    for step in story.steps:
        at = began + timedelta(minutes=step.at)
        await skipping.until(at)
        body = filled(step.body, story.own, ids, lambda moment: format_time(began + timedelta(minutes=moment.at)))
        if step.command == "report":
            body["category"] = story.category
            ids.append(await skipping.report(at, story.own.compound, body, calendars))
            continue
        actor = {"person": f"reporter-{ids[step.to]}", "role": "resident"}
        if step.who != "resident":
            actor = {"person": f"{step.who}-1", "role": step.who, "org": story.own.orgs[step.who]}
        await skipping.give(ids[step.to], at, step.command, actor, body)
    await skipping.until(await skipping.now() + silence)
    return Played(began, [await skipping.issue(each) for each in ids], [await skipping.events(each) for each in ids])


async def test_a_leak_is_repaired_in_27_minutes_all_of_them_the_companys(skipping: SkippedTime) -> None:
    """嘉福蓝湾铭著, urgent: day and night clocks, so closing time at 20:00 changes nothing."""
    played = await play(skipping, LEAK)
    assert (
        played.told()
        == """\
0 19:50 reported property
0 19:50 dispatched property
0 19:52 accepted property accept-urgent due 0 20:20
0 19:53 contacted property contact-urgent due 0 20:22
0 19:59 arrived property
0 19:59 assessed property
0 20:02 mitigated property
0 20:17 completed property answer-urgent due 0 21:50
0 20:30 confirmed property
0 20:30 closed property"""
    )
    assert played.issues[0].policy.id == "12345"
    assert played.closed() == ("solved", "satisfied")
    assert played.minutes() == {"jiafu-lanwan-mingzhu-property": 27, "resident": 13}


async def test_a_drain_climbs_past_the_community_that_operates_the_place(skipping: SkippedTime) -> None:
    """东方花苑: nobody accepts, the street leads and returns it, volunteers clear it; small turns out to be complex."""
    played = await play(skipping, DRAIN)
    assert (
        played.told()
        == """\
0 09:00 reported property
0 09:00 dispatched property
0 09:08 warned property accept due 0 09:10
0 09:10 overdue property accept due 0 09:10
0 09:30 escalated street accept due 0 09:10
0 09:35 led street street-accept due 0 13:30
0 09:40 returned property
0 09:45 redispatched property
0 09:47 accepted property accept due 0 09:55
0 09:50 arrived property arrive due 0 09:52
0 09:50 assessed property assess due 0 10:00
0 10:06 warned property minor due 0 10:10
0 10:10 overdue property minor due 0 10:10
0 10:15 assessed property
0 10:20 planned property plan due 2 23:59
0 11:20 step_done property
0 12:10 step_done property
0 12:15 answered property answer due 2 23:59
0 12:16 completed property plan-step due 7 23:59
0 13:20 confirmed property
0 13:20 closed property"""
    )
    assert played.issues[0].policy.id == "52022"
    assert played.issues[0].ladder == ("property", "street")
    assert played.issues[0].handler.code == "xinqiao-beicun-volunteers"
    assert played.issues[0].transfers == 2
    asked = [event.body.ask for event in played.events[0] if isinstance(event.body, Overdue)]
    assert asked == [None, "reassess"]
    assert played.closed() == ("solved", "satisfied")
    assert played.minutes() == {
        "xinqiao-beicun-society": 30 + 5,
        "chengdong-street": 10,
        "xinqiao-beicun-volunteers": 151,  # over two hours, none of them the operator's
        "resident": 64,
    }


async def test_three_reports_of_stray_animals_become_one_and_silence_is_not_satisfaction(
    skipping: SkippedTime,
) -> None:
    """运河花园: the older issue adopts the younger two, which are told afterwards; nobody rates the answer."""
    played = await play(skipping, ANIMALS, silence=timedelta(days=8))
    assert (
        played.told()
        == """\
0 10:00 reported property
0 10:00 dispatched property
0 11:40 adopted property
0 11:42 adopted property
0 12:00 accepted property accept due 1 23:59
0 12:30 contacted property contact due 1 12:00
0 12:40 scheduled property
1 14:00 arrived property appointment due 1 15:00
1 14:00 assessed property
1 14:05 commented property
1 16:00 planned property
2 16:00 step_done property
5 12:00 commented property
5 13:00 step_done property
6 12:00 step_done property
6 13:00 answered property answer-complex due 15 23:59
6 14:00 completed property plan-step due 13 23:59
13 23:59 closed property silence due 13 23:59"""
    )
    assert played.issues[0].adopted == (played.issues[1].id, played.issues[2].id)
    assert played.closed() == ("solved", "not_rated")
    assert played.minutes() == {"yunhe-huayuan-property": (6 * 24 + 4) * 60, "resident": (7 * 24 + 10) * 60}
    for report, merged in ((1, "0 11:40"), (2, "0 11:42")):
        assert played.told(report).splitlines()[2:] == [
            f"{merged} merged property",
            "7 23:59 closed property silence due 7 23:59",
        ]
        assert played.closed(report) == ("merged", "not_rated")


async def test_a_parking_shortage_goes_by_joint_meeting_to_the_street_where_weeks_without_a_step_show_red(
    skipping: SkippedTime,
) -> None:
    """桂花街: big, so to the community at once; by hand to the street; a plan of 70 days that the street must grant.

    No talk puts the progress clock off: what stands still for 7 days is red until the next step, and one step is late.
    """
    played = await play(skipping, PARKING)
    assert (
        played.told()
        == """\
0 19:00 reported property
0 19:00 dispatched property
1 09:00 accepted property accept due 1 23:59
1 10:00 contacted property contact due 2 09:00
1 11:00 arrived property
1 11:00 assessed property
1 11:00 escalated community size
1 12:00 led community community-accept due 1 15:00
3 15:00 sat community
3 16:00 escalated street hand
3 19:00 led street street-accept due 3 20:00
7 09:00 planned street
8 09:00 granted street
9 14:24 warned street progress due 10 23:59
10 09:00 answered street answer-complex due 15 23:59
15 09:00 commented street
16 14:24 warned street progress due 17 23:59
17 23:59 overdue street progress due 17 23:59
18 23:59 reminded street top
21 09:00 commented street
22 23:59 reminded street top
26 09:00 step_done street
32 09:00 commented street
32 14:24 warned street progress due 33 23:59
33 23:59 overdue street progress due 33 23:59
35 23:59 reminded street top
37 23:59 reminded street top
38 09:00 commented street
43 23:59 reminded street top
44 09:00 commented street
49 18:00 overdue street plan-step due 49 18:00
51 09:00 step_done street
57 09:00 commented street
57 14:24 warned street progress due 58 23:59
58 23:59 overdue street progress due 58 23:59
59 23:59 reminded street top
63 09:00 commented street
63 23:59 reminded street top
67 23:59 reminded street top
68 09:00 step_done street
69 09:00 completed street plan-step due 75 23:59
69 19:00 confirmed street
69 19:00 closed street"""
    )
    planned = next(event.body for event in played.events[0] if isinstance(event.body, Planned))
    assert planned.needs == "street"
    assert played.issues[0].handler.code == "guihua-jie-property", "the company stays handler all the way"
    assert played.closed() == ("solved", "basically")
    assert played.minutes() == {
        "guihua-jie-property": 16 * 60,
        "huifengting-community": (2 * 24 + 5) * 60,
        "huifeng-street": (65 * 24 + 17) * 60,
        "resident": 10 * 60,
    }


async def test_a_thrown_bottle_is_referred_at_once_and_closed_as_referred_with_prevention(
    skipping: SkippedTime,
) -> None:
    """金祥, on a Saturday night: 110 within a minute, before anybody accepts; the camera's own report joins it.

    The place is safe and a plan stands, so the answer is none in the interim, and the lead need not climb.
    """
    played = await play(skipping, BOTTLE, silence=timedelta(days=8))
    assert (
        played.told()
        == """\
0 20:30 reported property
0 20:30 dispatched property
0 20:31 referred property
0 20:33 accepted property accept-urgent due 0 21:00
0 20:34 adopted property
0 20:35 contacted property contact-urgent due 0 21:03
0 20:39 arrived property
0 20:39 assessed property
0 20:42 mitigated property
0 20:50 planned property
0 20:52 answered property answer-urgent due 0 22:30
0 21:25 referred property
0 21:26 step_done property
0 21:30 completed property plan-step due 7 23:59
6 23:59 closed property silence due 6 23:59"""
    )
    assert played.closed() == ("referred", "not_rated")
    assert played.closed(1) == ("merged", "not_rated")
    events = played.events[0]
    referred = [(event.body.service, event.body.receipt) for event in events if isinstance(event.body, Referred)]
    assert referred == [("110", ""), ("110", "回执-001")]
    completed = next(event.body for event in events if isinstance(event.body, Completed))
    assert "footage-camera-1" in completed.evidence
    assert played.minutes() == {"jinxiang-property": 60, "resident": 6 * 24 * 60 + 150}


def test_steps_follow_each_other_in_both_times() -> None:
    for story in STORIES:
        assert [step.at for step in story.steps] == sorted(step.at for step in story.steps)
        assert [step.demo for step in story.steps] == sorted(step.demo for step in story.steps)
