"""A signal that did not come through the API has no effect, and is recorded as rejected."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from calendars import load_all
from domain.commands import Accept, Actor, Authority, Command, calendar_command_id
from domain.issue import RULES_VERSION
from domain.pins import pins_digest
from domain.policy import Policy
from domain.wire import dump, format_time, truncate
from policies.loader import load_pack
from protocol.envelope import plain_of
from security.signing import sign
from support.golden import PLACE
from support.keys import ephemeral_keys
from support.system import System
from workflows.contract import PREFIX, TASK_QUEUE, Start
from workflows.signals import signal

STAFF = Actor("p1", "property", "demo-property")
GRANT = Authority("property", "demo-property", compound="demo")
Forge = Callable[[System, str, str], dict[str, Any]]


def command(**change: Any) -> dict[str, Any]:
    given = Command(str(uuid.uuid4()), truncate(datetime.now(UTC)), STAFF, Accept(), grants=(GRANT,))
    return {**plain_of(given), **change}


def unsigned(_: System, __: str, ___: str) -> dict[str, Any]:
    return command()


def by_another_root(system: System, issue: str, root: str) -> dict[str, Any]:
    signer = ephemeral_keys().signer
    return signer.sign(signer.root, issue, "accept", command())


def for_another_issue(system: System, issue: str, root: str) -> dict[str, Any]:
    return system.keys.signer.sign(root, "another", "accept", command())


def as_another_command(system: System, issue: str, root: str) -> dict[str, Any]:
    return system.keys.signer.sign(root, issue, "decline", command())


def altered(system: System, issue: str, root: str) -> dict[str, Any]:
    signed = system.keys.signer.sign(root, issue, "accept", command())
    return {**signed, "actor": {**signed["actor"], "person": "somebody-else"}}


def with_more_grants(system: System, issue: str, root: str) -> dict[str, Any]:
    signed = system.keys.signer.sign(root, issue, "accept", command(grants=[]))
    return {**signed, "grants": [dump(GRANT)]}


def outside_the_certificate(system: System, issue: str, root: str) -> dict[str, Any]:
    later = truncate(datetime.now(UTC)) + timedelta(days=3)
    held = system.keys.signer._source()
    return sign(held, root, issue, "accept", command(at=format_time(later)))


@pytest.mark.parametrize(
    "forge",
    [
        unsigned, by_another_root, for_another_issue, as_another_command, altered, with_more_grants,
        outside_the_certificate,
    ],
)  # fmt: skip
async def test_row_12_a_signal_around_the_api_is_rejected(system: System, forge: Forge) -> None:
    taken = await system.report()
    issue, before = taken["id"], await state(system, taken["id"])
    await signal(system.temporal, issue, "accept", forge(system, issue, before["root"]))
    timeline = await system.until(f"/v1/issues/{issue}/timeline", system.staff, lambda found: len(found["events"]) > 2)
    assert [event["kind"] for event in timeline["events"]] == ["reported", "dispatched", "rejected_signal"]
    assert (await system.get(f"/v1/issues/{issue}", system.staff))["status"] == "dispatched"
    given = await system.give(issue, "accept", system.staff)
    assert (given.status, given["issue"]["status"]) == (200, "accepted")


async def test_row_12_what_was_signed_once_is_not_taken_twice(system: System) -> None:
    issue = (await system.report())["id"]
    root = (await state(system, issue))["root"]
    signed = system.keys.signer.sign(root, issue, "accept", command())
    await signal(system.temporal, issue, "accept", signed)
    await system.until(f"/v1/issues/{issue}", system.staff, lambda found: found["status"] == "accepted")
    await signal(system.temporal, issue, "accept", signed)
    await system.give(issue, "arrive", system.staff, assessment="minor")
    events = (await system.get(f"/v1/issues/{issue}/timeline", system.staff))["events"]
    assert [event["kind"] for event in events].count("accepted") == 1


def nothing(report: dict[str, Any]) -> dict[str, Any]:
    return report


def own_root(report: dict[str, Any]) -> dict[str, Any]:
    return {**report, "body": {**report["body"], "root": "A" * 43}}


async def test_row_12_a_workflow_started_with_a_forged_state_is_rejected(system: System) -> None:
    issue = (await system.report())["id"]
    handle = system.temporal.get_workflow_handle(PREFIX + issue)
    found = await handle.query("snapshot")
    start = Start(issue, found["policy"], found["calendars"], RULES_VERSION, state=found["state"])
    forged = await system.temporal.start_workflow(
        "Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )  # fmt: skip
    assert "forged" in await end_of(forged)
    with contextlib.suppress(RPCError):
        await signal(system.temporal, issue, "accept", command())
    assert [each["kind"] for each in (await system.get(f"/v1/issues/{issue}/timeline", system.staff))["events"]] == [
        "reported", "dispatched",
    ]  # fmt: skip


async def test_row_12_a_forged_signal_takes_no_place_of_a_genuine_one(system: System) -> None:
    """Not even where its id can be known in advance."""
    issue = (await system.report())["id"]
    root, at = (await state(system, issue))["root"], format_time(truncate(datetime.now(UTC)))
    calendar = load_all()[-1]
    given = {
        "id": calendar_command_id(issue, calendar), "at": at, "body": {"calendar": dump(calendar)},
        "actor": {"person": "operator", "role": "admin", "org": "demo-street"},
        "grants": [{"role": "admin", "org": "demo-street", "by": "order"}],
    }  # fmt: skip
    await signal(system.temporal, issue, "calendar_published", given)
    await signal(
        system.temporal, issue, "calendar_published", system.keys.signer.sign(root, issue, "calendar_published", given)
    )
    await system.give(issue, "accept", system.staff)
    events = (await system.get(f"/v1/issues/{issue}/timeline", system.staff))["events"]
    assert [each["kind"] for each in events][2] == "rejected_signal"
    assert given["id"] in {each["command_id"] for each in events}


def report_under(policy: Policy) -> dict[str, Any]:
    body = {"number": "JS-FORGE-D0000", "place": PLACE, "category": "leak", "description": "不存在的事"}
    body["pins"] = pins_digest(policy, (), RULES_VERSION)
    return {
        "id": str(uuid.uuid4()), "at": format_time(truncate(datetime.now(UTC))), "body": body,
        "actor": {"person": "anonymous", "role": "resident"},
    }  # fmt: skip


@pytest.mark.parametrize("forge", [nothing, own_root])
async def test_row_12_a_start_around_the_api_comes_to_nothing(
    system: System, forge: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    issue, policy = uuid.uuid4().hex[:26], load_pack("demo")
    start = Start(issue, dump(policy), [], RULES_VERSION, forge(report_under(policy)))
    handle = await system.temporal.start_workflow("Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE)
    assert "forged" in await end_of(handle)
    assert (await system.get(f"/v1/issues/{issue}", system.street)).status == 404


async def test_row_12_what_was_signed_for_one_policy_begins_under_no_other(system: System) -> None:
    issue, policy, other, signer = uuid.uuid4().hex[:26], load_pack("demo"), load_pack("52022"), system.keys.signer
    report = report_under(policy)
    signed = signer.sign(signer.root, issue, "report", {**report, "body": {**report["body"], "root": signer.root}})
    start = Start(issue, dump(other), [], RULES_VERSION, signed)
    handle = await system.temporal.start_workflow("Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE)
    assert "forged" in await end_of(handle)


async def end_of(handle: WorkflowHandle[Any, Any]) -> str:
    """What a run says that ends at once; nothing where it was taken for an issue, and goes on."""
    if (await handle.query("snapshot"))["state"] is not None:
        return ""
    return str(await asyncio.wait_for(handle.result(), 90))


async def state(system: System, issue: str) -> dict[str, Any]:
    found = await system.temporal.get_workflow_handle(PREFIX + issue).query("snapshot")
    assert json.dumps(found)
    return found["state"]
