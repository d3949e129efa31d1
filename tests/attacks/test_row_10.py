"""A request cannot set fields of the server: `level`, `actor`, `deadline` and `created_at` are refused."""

import pytest

from api.http.requests import COMMANDS
from support.system import System

FOREIGN = {
    "level": "street", "status": "closed", "actor": {"person": "s1", "role": "street", "org": "demo-street"},
    "deadline": "2099-01-01T00:00:00.000Z", "created_at": "2020-01-01T00:00:00.000Z", "at": "2020-01-01T00:00:00.000Z",
    "id": "x", "number": "JS-1", "handler_kind": "street", "handler_streets": [], "grants": [], "proof": {}, "policy": "demo", "root": "",
    "reporter": "somebody", "place": {}, "pins": "", "opened": "2020-01-01T00:00:00.000Z",
}  # fmt: skip


@pytest.mark.parametrize("field", FOREIGN)
async def test_row_10_a_report_holds_nothing_that_is_not_the_reporters_to_say(system: System, field: str) -> None:
    answer = await system.report(**{field: FOREIGN[field]})
    assert answer.status == 422
    assert [error["field"] for error in answer["errors"]] == [field]


@pytest.mark.parametrize("command", COMMANDS)
async def test_row_10_every_command_refuses_fields_of_the_server(system: System, command: str) -> None:
    own = set(COMMANDS[command].body.__dataclass_fields__) - {"handler_kind", "opened", "body"}
    foreign = {name: value for name, value in FOREIGN.items() if name not in own}
    answer = await system.send("no-such-issue", command, system.staff, **foreign)
    assert answer.status == 422
    assert {error["field"] for error in answer["errors"]} >= foreign.keys()
