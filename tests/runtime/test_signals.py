"""A signal that Temporal refuses is resent: at once between two runs, with growing pauses otherwise."""

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from google.protobuf.any_pb2 import Any as Packed
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from runtime import signals
from runtime.signals import send as send_signal

BUSY = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW
TOO_MANY = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT


class Server:
    """Takes the place of a client: refuses so many times, for this cause."""

    namespace, identity, data_converter = "default", "test", DataConverter.default

    def __init__(self, refusals: int, cause: ResourceExhaustedCause.ValueType) -> None:
        detail = Packed()
        detail.Pack(ResourceExhaustedFailure(cause=cause))
        self._status = GrpcStatus(code=RPCStatusCode.RESOURCE_EXHAUSTED, details=[detail]).SerializeToString()
        self._refusals = refusals
        self.workflow_service = self

    async def signal_workflow_execution(self, request: Any, **_: Any) -> None:
        if self._refusals:
            self._refusals -= 1
            raise RPCError("refused", RPCStatusCode.RESOURCE_EXHAUSTED, self._status)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Those that were made, though no time passes."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(signals, "_sleep", sleep)
    return found


async def send(server: Server, timeout: timedelta = signals.SIGNAL_TIMEOUT) -> None:
    await send_signal(cast("Client", server), "issue-i", "comment", {"id": "c"}, "c", timeout)


async def test_between_two_runs_it_is_sent_again_at_once(pauses: list[float]) -> None:
    await send(Server(6, BUSY))
    assert pauses == [0.02] * 6


async def test_a_signal_refused_by_a_busy_server_is_resent_with_growing_pauses(pauses: list[float]) -> None:
    await send(Server(4, TOO_MANY))
    assert pauses == [0.02, 0.04, 0.08, 0.16]


async def test_signal_retries_end_within_the_time_budget(pauses: list[float]) -> None:
    with pytest.raises(RPCError, match="refused"):
        await send(Server(9, TOO_MANY))
    assert sum(pauses) < 0.9


class StrictServer(Server):
    """Refuses after a share of the timeout, which it takes as the SDK does: TypeError below 0, and no end for 0."""

    share = 0.0

    async def signal_workflow_execution(self, request: Any, *, timeout: timedelta, **_: Any) -> None:
        if timeout <= timedelta(0):
            raise TypeError("failed to extract field RpcCall.timeout_millis")
        await asyncio.sleep(timeout.total_seconds() * self.share)
        await super().signal_workflow_execution(request)


async def test_a_refusal_that_comes_late_is_the_last_one() -> None:
    server = StrictServer(9, BUSY)
    server.share = 0.9
    with pytest.raises(RPCError, match="refused"):
        await send(server, timedelta(milliseconds=60))


async def test_nothing_is_sent_after_a_pause_that_outlasts_the_time_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pauses do on a machine that has too much to do."""

    async def oversleep(seconds: float) -> None:
        await asyncio.sleep(seconds + 0.1)

    monkeypatch.setattr(signals, "_sleep", oversleep)
    with pytest.raises(RPCError, match="refused"):
        await send(StrictServer(9, BUSY), timedelta(milliseconds=100))
