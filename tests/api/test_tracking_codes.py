"""A tracking code is renewed by the reporter of the issue; the old code is invalid from then on."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.system import System, running_system


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(tmp_path_factory) -> AsyncIterator[System]:
    folder: Path = tmp_path_factory.mktemp("codes")
    async with running_system(folder) as running:
        yield running


def _with(code: str) -> dict[str, str]:
    return {"X-Tracking-Code": code}


async def test_the_old_code_opens_nothing_any_more(system: System) -> None:
    key = "5b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"
    taken = await system.report(key=key)
    old, path = taken["tracking_code"], f"/v1/issues/{taken['id']}"
    assert (await system.get(path, _with(old))).status == 200
    renewed = await system.give(taken["id"], "renew_code", _with(old))
    new = renewed["tracking_code"]
    assert new != old
    assert (await system.get(path, _with(new))).status == 200
    assert (await system.get(path, _with(old))).status == 404
    assert (await system.give(taken["id"], "urge", _with(old))).status == 404
    assert (await system.report(key=key))["tracking_code"] == new


async def test_a_renewal_whose_answer_was_lost_is_asked_for_again(system: System) -> None:
    """With the same key, or by its command; nothing else goes by the code before."""
    taken = await system.report()
    old, path, key = taken["tracking_code"], f"/v1/issues/{taken['id']}", str(uuid.uuid4())
    renewed = await system.give(taken["id"], "renew_code", _with(old), key)
    again = await system.give(taken["id"], "renew_code", _with(old), key)
    assert (again.status, again["tracking_code"]) == (200, renewed["tracking_code"])
    receipt = await system.get(f"/v1/commands/{renewed['command_id']}", _with(old))
    assert (receipt.status, receipt["tracking_code"]) == (200, renewed["tracking_code"])
    assert (await system.give(taken["id"], "renew_code", _with(old), str(uuid.uuid4()))).status == 404
    assert (await system.get(path, _with(old))).status == 404
    urged = await system.give(taken["id"], "urge", _with(renewed["tracking_code"]))
    assert (await system.get(f"/v1/commands/{urged['command_id']}", _with(old))).status == 404
    assert (
        "tracking_code"
        not in (await system.get(f"/v1/commands/{urged['command_id']}", _with(renewed["tracking_code"]))).body
    )
    third = await system.give(taken["id"], "renew_code", _with(renewed["tracking_code"]))
    assert third.status == 200
    assert (await system.give(taken["id"], "renew_code", _with(old), key)).status == 404, "two renewals ago"


async def test_staff_get_no_code(system: System) -> None:
    taken = await system.report()
    answer = await system.give(taken["id"], "renew_code", system.staff)
    assert answer.status == 409
    assert "tracking_code" not in answer.body


async def test_who_acted_for_the_company_decides_nothing_from_above(system: System) -> None:
    taken = await system.report()
    assert (await system.give(taken["id"], "accept", system.staff)).status == 200
    crossed = system.token("p1", "street", "demo-street")
    answer = await system.give(taken["id"], "supervise", crossed, note="盯一下")
    assert answer.status == 409
    assert answer["code"] == "conflict-of-interest"
    assert "property" in answer["reason"]
    assert (await system.give(taken["id"], "supervise", system.street, note="盯一下")).status == 200
