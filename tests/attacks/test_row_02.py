"""Staff of one compound act in another: 404 as for a missing issue, and no signal is sent."""

from typing import get_args

from temporalio.api.enums.v1 import EventType

from domain.commands import SIGNALS
from domain.vocabulary import DeclineReason
from support.system import System
from workflows.contract import PREFIX

BODIES = {
    "accept": {}, "arrive": {"assessment": "minor"}, "complete": {"answer": "x"}, "comment": {"text": "x"},
    "decline": {"reason": get_args(DeclineReason)[0]}, "escalate": {"reason": "x"}, "correct": {"note": "x"}, "answer": {"text": "x"},
}  # fmt: skip


async def signals(system: System, issue: str) -> int:
    history = await system.temporal.get_workflow_handle(PREFIX + issue).fetch_history()
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return sum(event.event_type == kind for event in history.events)


async def test_row_02_staff_of_another_compound_find_nothing_and_send_nothing(system: System) -> None:
    taken = await system.report()
    elsewhere = system.token("op1", "property", "other-property")
    assert BODIES.keys() <= SIGNALS.keys()
    for command, body in BODIES.items():
        answer = await system.send(taken["id"], command, elsewhere, **body)
        assert (answer.status, answer["type"]) == (404, "/problems/not-found"), command
    assert await signals(system, taken["id"]) == 0
    assert (await system.give(taken["id"], "accept", system.staff)).status == 200
    assert await signals(system, taken["id"]) > 0, "that is what a signal looks like"
