"""The token alone names the actor: a body that names one is refused, and events bear the token's person."""

from typing import Any

import pytest

from api.http.requests import COMMANDS
from support.system import System

WHO: dict[str, Any] = {
    "actor": {"person": "s1", "role": "street", "org": "demo-street"}, "person_id": "s1", "role": "street",
    "org": "demo-street", "subject": "s1", "grants": [{"role": "street", "org": "demo-street"}], "acting_as": "street",
}  # fmt: skip


@pytest.mark.parametrize("field", WHO)
async def test_row_11_no_body_says_who_acts(system: System, field: str) -> None:
    reported = await system.report(**{field: WHO[field]})
    assert (reported.status, [error["field"] for error in reported["errors"]]) == (422, [field])
    for command in COMMANDS:
        answer = await system.send("no-such-issue", command, system.staff, **{field: WHO[field]})
        assert answer.status == 422
        assert field in [error["field"] for error in answer["errors"]]


async def test_row_11_what_is_recorded_bears_the_name_of_the_token(system: System) -> None:
    taken = await system.report(system.token("row-11", "resident"))
    answer = await system.give(taken["id"], "accept", system.staff | {"X-Actor": "s1", "X-Role": "street"})
    assert answer.status == 200
    events = (await system.get(f"/v1/issues/{taken['id']}/timeline", system.staff))["events"]
    by_kind = {event["kind"]: event["actor"] for event in events}
    assert by_kind["accepted"]["role"] == "property"
    assert by_kind["accepted"]["org"] == "demo-property"
    assert by_kind["reported"]["role"] == "resident"
