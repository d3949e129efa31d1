"""A replayed request: the same again gives the same answer and acts once; another body is 422, another actor finds nothing."""

import uuid

from support.system import System


async def test_row_13_the_same_again_acts_once_and_answers_the_same(system: System) -> None:
    taken = await system.report()
    key = str(uuid.uuid4())
    first = await system.give(taken["id"], "accept", system.staff, key, note="马上到")
    again = await system.send(taken["id"], "accept", system.staff, key, note="马上到")
    assert (first.status, again.status) == (200, 200)
    assert again["command_id"] == first["command_id"]
    events = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.staff))["events"]
    assert [event["kind"] for event in events].count("accepted") == 1


async def test_row_13_the_same_key_with_another_body_is_refused(system: System) -> None:
    taken = await system.report()
    key = str(uuid.uuid4())
    assert (await system.give(taken["id"], "accept", system.staff, key, note="马上到")).status == 200
    other = await system.send(taken["id"], "accept", system.staff, key, note="别的")
    assert (other.status, other["type"]) == (422, "/problems/idempotency-key-reused")
    key = str(uuid.uuid4())
    assert (await system.report(key=key)).status == 201
    other = await system.report(key=key, description="别的")
    assert (other.status, other["type"]) == (422, "/problems/idempotency-key-reused")


async def test_row_13_somebody_else_with_the_key_finds_nothing(system: System) -> None:
    taken = await system.report(system.token("row-13-a", "resident"))
    key = str(uuid.uuid4())
    given = await system.give(taken["id"], "accept", system.staff, key, note="马上到")
    for other in (system.token("op1", "property", "other-property"), system.token("row-13-b", "resident")):
        assert (await system.send(taken["id"], "accept", other, key, note="马上到")).status == 404
        assert (await system.get(f"/v1/commands/{given['command_id']}", other)).status == 404
    assert (await system.get(f"/v1/commands/{given['command_id']}", system.staff)).status == 200
    colleague = system.token("row-13-e", "property", "demo-property")
    late = await system.give(taken["id"], "accept", colleague, key, note="马上到")
    assert (late.status, late.body.get("code")) == (409, "not-now")  # a command of his own, and no repeat


async def test_row_13_a_reports_key_means_another_issue_for_another_person(system: System) -> None:
    key = str(uuid.uuid4())
    mine = await system.report(system.token("row-13-c", "resident"), key)
    theirs = await system.report(system.token("row-13-d", "resident"), key)
    assert (mine.status, theirs.status) == (201, 201)
    assert mine["id"] != theirs["id"]
    assert mine["tracking_code"] != theirs["tracking_code"]
