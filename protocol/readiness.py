"""Whether the API is ready: Temporal answers, the database has this version's schema, and this host's time is right."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from db import queries, upgrade
from protocol.clock import MOST_SKEW, Now, Skew
from protocol.gateway import TemporalGateway
from protocol.read_model import ReadModel, SqlDown
from runtime.temporal import worker_polls
from security.credentials import CredentialsError, Signer
from workflows.contract import TASK_QUEUE

log: Final = structlog.stdlib.get_logger(__name__)

_EVERY: Final = 10.0


class Readiness:
    """Checks whether this process can serve requests.

    The checks run when `checks` is called. Every ten seconds this host's time is compared with the database's as well.
    """

    def __init__(
        self, *, temporal: Client, gateway: TemporalGateway, model: ReadModel, signer: Signer, skew: Skew, now: Now,
        needs_worker: bool,
    ) -> None:  # fmt: skip
        self._temporal = temporal
        self._gateway = gateway
        self._model = model
        self._signer = signer
        self._skew = skew
        self._now = now
        self._needs_worker = needs_worker
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Starts comparing this host's time with the database's, every ten seconds."""
        self._task = asyncio.create_task(self._compare())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def checks(self) -> dict[str, Any]:
        """Runs every check. The result maps the name of a check to True, or to a text that says what is wrong."""
        temporal, database = await asyncio.gather(self._ask_temporal(), self._ask_database())
        found = {"temporal": temporal, **database, "signing": self._ask_signer()}
        return {**found, "worker": await self._ask_worker()} if self._needs_worker else found

    async def _ask_temporal(self) -> bool | str:
        return True if await self._gateway.is_healthy() else "does not answer"

    def _ask_signer(self) -> bool | str:
        try:
            return True if self._signer.covers(self._now()) else "the certificate of the signing key is not valid now"
        except CredentialsError as error:
            log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
            return "the signing key cannot be read"

    async def _ask_worker(self) -> bool | str:
        try:
            return True if await worker_polls(self._temporal, TASK_QUEUE) else "no worker polls"
        except (RPCError, RuntimeError):
            return "Temporal does not say"

    async def _ask_database(self) -> dict[str, bool | str]:
        try:
            await self._compare_once()
            async with self._model.read() as session:
                fits = await upgrade.is_current(session)
        except SqlDown:
            return {"database": "does not answer"}
        said: str | bool = f"differs from the database's by more than {MOST_SKEW.seconds} s"
        return {"database": True if fits else "needs jiesu db upgrade", "clock": said if self._skew.is_bad else True}

    async def _compare_once(self) -> None:
        async with self._model.read() as session:
            await queries.server_time(session)  # the first answer may include the time to connect
            before = self._now()
            theirs = await queries.server_time(session)
            self._skew.compare(before, theirs, self._now())

    async def _compare(self) -> None:
        while True:
            with suppress(SqlDown):
                was_bad = self._skew.is_bad
                await self._compare_once()
                if self._skew.is_bad and not was_bad:
                    log.error("clock_is_wrong", limit_seconds=MOST_SKEW.seconds)
            await asyncio.sleep(_EVERY)
