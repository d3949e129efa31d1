"""The main flow over HTTP: an issue is handled to its end, or climbs to the top."""

from typing import Any

from temporalio.client import WorkflowExecutionStatus

from domain.wire import parse_time
from support.system import System


async def test_staff_work_and_the_resident_confirms(system: System) -> None:
    taken = await system.report(contact={"name": "王五", "phone": "13812348000"})
    assert taken.status == 201
    assert (taken["status"], taken["level"], taken["handler"]) == ("dispatched", "property", "demo-property")
    assert (taken["version"], taken["policy"]["id"]) == (2, "demo")
    assert taken["next"]["milestone"] == "accept"
    issue, code = taken["id"], {"X-Tracking-Code": taken["tracking_code"]}

    for command, body, status in (
        ("accept", {"note": "马上到"}, "accepted"),
        ("arrive", {"assessment": "minor"}, "arrived"),
        ("complete", {"note": "", "answer": "换了垫圈,试水一小时不漏", "evidence": []}, "completed"),
    ):
        given = await system.give(issue, command, system.staff, **body)
        assert (given.status, given["outcome"], given["issue"]["status"]) == (200, "applied", status)
        read = await system.get(f"/v1/issues/{issue}", code)
        assert read["version"] >= given["issue"]["version"]

    closing = await system.give(issue, "confirm", code, outcome="solved", satisfaction="satisfied", comment="很快")
    assert closing.status == 200
    assert closing["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    await _completed(system, issue)
    _check_timeline((await system.get(f"/v1/issues/{issue}/timeline", system.staff)).body)


def _check_timeline(timeline: Any) -> None:
    """Who, in which role, when, what was due, and whose minutes they were."""
    events = {event["kind"]: event for event in timeline["events"]}
    assert list(events) == [
        "reported", "dispatched", "accepted", "arrived", "assessed", "completed", "confirmed", "closed",
    ]  # fmt: skip
    accepted = events["accepted"]
    assert accepted["actor"] == {"person": "p1", "role": "property", "org": "demo-property"}
    assert accepted["clause"] == "accept"
    assert parse_time(accepted["at"]) < parse_time(accepted["was_due"])
    assert events["confirmed"]["actor"]["role"] == "resident"
    assert {part["holder"] for part in timeline["minutes"]} == {"operator", "resident"}
    assert all(event["recorded_at"] is None for event in timeline["events"])


async def _completed(system: System, issue: str) -> None:
    await system.temporal.get_workflow_handle(f"issue-{issue}").result()
    described = await system.temporal.get_workflow_handle(f"issue-{issue}").describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED


async def test_an_issue_nobody_works_on_climbs_to_the_street(system: System) -> None:
    taken = await system.report()
    issue, code = taken["id"], {"X-Tracking-Code": taken["tracking_code"]}
    for level, org, viewer in (
        ("community", "demo-community", system.community),
        ("street", "demo-street", system.street),
    ):
        read = await system.until(f"/v1/issues/{issue}", code, lambda body, level=level: body["level"] == level)
        assert read["lead"] == org
        assert read["handler"] == "demo-property"
        listed = await system.get("/v1/worklist", viewer, org=org, limit=200)
        assert issue in [item["id"] for item in listed["items"]]

    timeline = await system.get(f"/v1/issues/{issue}/timeline", system.street)
    climbs = [event for event in timeline["events"] if event["kind"] == "escalated"]
    assert [event["level"] for event in climbs] == ["community", "street"]
    for climb in climbs:
        assert climb["clause"] is not None
        assert climb["actor"] is None
        assert climb["data"]["by"] == "deadline"
        assert parse_time(climb["recorded_at"]) >= parse_time(climb["at"])
    (account,) = timeline["accounts"]  # the second climb is the community's
    assert (account["seq"], account["at"]) == (climbs[0]["seq"], climbs[0]["at"])
    assert (account["org"], account["clause"], account["made_good"]) == ("demo-property", "accept", False)
    assert account["ms"] >= 9000, "to the end of the community's ten seconds"

    late = await system.give(issue, "accept", system.staff)
    assert (late.status, late["issue"]["status"]) == (200, "accepted")


async def test_temporal_shows_the_issue_without_personal_data(system: System) -> None:
    taken = await system.report(urgent=True, contact={"name": "王五", "phone": "13812348000"})
    described = await system.temporal.get_workflow_handle(f"issue-{taken['id']}").describe()
    assert described.workflow_type == "Issue"
    assert described.task_queue == "jiesu"
    words = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    for name, value in {
        "JiesuCompound": "demo", "JiesuCommunity": "demo-community", "JiesuStreet": "demo-street",
        "JiesuCategory": "leak", "JiesuPolicy": "demo", "JiesuUrgent": True,
    }.items():  # fmt: skip
        assert words[name] == value
    shown = f"{await described.static_summary()} {await described.static_details()} {words}"
    assert "漏水" in shown
    for secret in ("厨房", "3幢", "王五", "13812348000"):
        assert secret not in shown
    priority = described.raw_info.priority
    assert (priority.priority_key, priority.fairness_key) == (1, "demo-community")
