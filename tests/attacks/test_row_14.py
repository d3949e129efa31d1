"""A stale `If-Match`: 412 before any other refusal, and nothing happens."""

from support.system import System


async def test_row_14_what_was_decided_on_an_older_version_has_no_effect(system: System) -> None:
    taken = await system.report()
    path = f"/v1/issues/{taken['id']}"
    read = await system.until(path, system.staff, lambda body: body["version"] >= 2)
    assert (await system.give(taken["id"], "accept", system.staff)).status == 200
    stale = system.staff | {"If-Match": read.headers["ETag"]}
    for command, body in {"complete": {"answer": "好了"}, "accept": {}, "step_done": {"step": 9}}.items():
        answer = await system.give(taken["id"], command, stale, **body)
        assert (answer.status, answer["type"]) == (412, "/problems/stale"), command
    assert (await system.get(path, system.staff))["status"] == "accepted"
    for unknown in ('W/"1"', '"x"', "1", '"1", "2"'):
        answer = await system.send(taken["id"], "arrive", system.staff | {"If-Match": unknown})
        assert answer.status == 412
    fresh = system.staff | {"If-Match": (await system.get(path, system.staff)).headers["ETag"]}
    assert (await system.give(taken["id"], "arrive", fresh, assessment="minor")).status == 200
