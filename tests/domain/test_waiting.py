"""What waits for a ruling, what is promised and since when a level leads: read off an issue, and nothing once it is closed."""

from datetime import timedelta

import pytest

from domain.commands import Accept, Ask, Decline, Deny, Escalate, Extend, Plan, Schedule, Step
from domain.waiting import led_at, promised_by, promises, rules_by, rulings
from policies.loader import load_pack
from support.stories import COMMUNITY, PROPERTY, Story


@pytest.fixture
def story() -> Story:
    found = Story(policy=load_pack("52022"))
    found.reported()
    found.give(Accept(), PROPERTY)
    return found


def test_a_new_issue_waits_for_no_ruling_and_promises_nothing(story: Story):
    issue = story.issue
    assert (rulings(issue, "community"), promises(issue)) == ((), ()) or not (
        rulings(issue, "community") or promises(issue)
    )
    assert (rules_by(issue, "community"), rules_by(issue, "street"), promised_by(issue), led_at(issue)) == (None,) * 4


def test_a_wish_waits_for_the_level_that_rules_on_it_until_it_does(story: Story):
    story.give(Extend("配件未到"), PROPERTY)
    (clock,) = rulings(story.issue, "community")
    assert (clock.clause, rules_by(story.issue, "community")) == ("rule-extend", clock.due)
    assert not rulings(story.issue, "street")
    story.give(Deny("extend", reason="人手够"), COMMUNITY)
    assert not rulings(story.issue, "community")
    assert rules_by(story.issue, "community") is None


def test_of_two_matters_the_first_one_due_counts(story: Story):
    story.give(Extend("配件未到"), PROPERTY)
    story.give(Decline("not_our_duty"), PROPERTY, seconds=60)
    found = rulings(story.issue, "community")
    assert {each.clause for each in found} == {"rule-extend", "rule-decline"}
    assert rules_by(story.issue, "community") == min(each.due for each in found)


def test_an_appointment_and_a_plan_are_promises_and_a_pause_moves_them(story: Story):
    when = story.now + timedelta(hours=5)
    story.give(Schedule(when), PROPERTY)
    assert promised_by(story.issue) == when
    story.give(Plan((Step("换总阀", when - timedelta(hours=1)),)), PROPERTY)
    assert {"plan-step", "appointment"} <= {each.clause for each in promises(story.issue)}
    assert promised_by(story.issue) == when - timedelta(hours=1)
    story.give(Ask("几楼漏水?"), PROPERTY)
    assert story.issue.paused is not None
    assert promised_by(story.issue) is None


def test_a_level_leads_since_it_got_the_lead_and_no_longer_than_the_issue_is_open(story: Story):
    story.give(Escalate("人手不足"), PROPERTY)
    assert story.issue.level == "community"
    assert led_at(story.issue) == story.now
    closed = Story(policy=load_pack("52022"))
    closed.reported()
    closed.until_closed()
    assert led_at(closed.issue) is None
    assert promised_by(closed.issue) is None
