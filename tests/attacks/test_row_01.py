"""A resident asks for a neighbour's issue: 404 with the body and the delay of an issue that does not exist."""

import time
import uuid

from protocol.reader import HOLD, Reader
from protocol.time_budget import TimeBudget
from support.system import Answer, System

NOWHERE = "a" * 26
PATHS = ("", "/next", "/timeline")
COMMANDS = {
    "comment": {"text": "x"}, "urge": {}, "withdraw": {}, "confirm": {"outcome": "solved", "satisfaction": "satisfied"},
    "renew_code": {},
}  # fmt: skip


def seen(answer: Answer) -> tuple[int, object, dict[str, str]]:
    """Everything of an answer by which somebody could tell two of them apart, but for the clock's."""
    return answer.status, answer.body, {name: value for name, value in answer.headers.items() if name != "date"}


async def test_row_01_a_neighbours_issue_looks_like_none(system: System) -> None:
    taken = await system.report(system.token("row-1-b", "resident"))
    mine = await system.report()
    strangers = (
        system.token("row-1-a", "resident"),
        {"X-Tracking-Code": mine["tracking_code"]},
        {"X-Tracking-Code": "x"},
    )
    for who in strangers:
        for path in PATHS:
            found = seen(await system.get(f"/v1/issues/{taken['id']}{path}", who))
            assert found[0] == 404
            assert found == seen(await system.get(f"/v1/issues/{NOWHERE}{path}", who))
        for command, body in COMMANDS.items():
            answers = [
                await system.send(issue, command, who, str(uuid.uuid4()), **body) for issue in (taken["id"], NOWHERE)
            ]
            assert seen(answers[0]) == seen(answers[1])
            assert answers[0].status == 404
    own = {"X-Tracking-Code": taken["tracking_code"]}
    assert (await system.get(f"/v1/issues/{taken['id']}", own)).status == 200


async def test_row_01_a_404_is_padded_to_the_time_of_a_hit() -> None:
    """Whatever the look-up took, the answer is held until as much time is over as any look-up takes."""
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    reader = Reader(None, None, None, None, None, sleep)  # type: ignore[arg-type]
    for spent in (0.0, HOLD / 2, HOLD * 3):
        await reader.hold(TimeBudget(time.monotonic() - spent))
    assert HOLD * 0.5 < held[0] <= HOLD
    assert held[1] <= HOLD / 2
    assert held[2] == 0
