"""Waits for receipts to appear in the database. One query at a time looks for all waiting requests of this process."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from db import queries
from db.tables import ReceiptRow
from domain.issue import Issue, Receipt
from protocol.read_model import ReadModel, SqlDown

_Key = tuple[str, str]

FIRST: Final = 0.008
"""Seconds until the first query.

The row of a receipt usually appears after 12 ms, and each query costs a millisecond or more of work.
"""
OFTEN: Final = 0.005
_SELDOM: Final = 0.05
_SHARE: Final = 0.25
"""The pause before a query, as a share of the time since the newest request began to wait.

The pause is at least OFTEN and at most _SELDOM seconds.
"""


@dataclass(frozen=True)
class Delivered:
    """The receipt of a command, and the issue as it was when the receipt was read, with the command's effect."""

    receipt: Receipt
    issue: Issue


_Waiting = asyncio.Future[Delivered | None]


class Receipts:
    """Waits for receipts on behalf of requests."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._waiting: defaultdict[_Key, set[_Waiting]] = defaultdict(set)
        self._youngest = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, issue: str, command: str, seconds: float) -> Delivered | None:
        """The receipt of the command, once its row exists; None after `seconds`, or as soon as the database is down."""
        loop = asyncio.get_running_loop()
        future: _Waiting = loop.create_future()
        key = (command, issue)
        self._waiting[key].add(future)
        self._youngest = loop.time()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting[key].discard(future)
            if not self._waiting[key]:
                del self._waiting[key]

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST
        while self._waiting:
            await asyncio.sleep(pause)
            try:
                await self._deliver()
            except SqlDown:
                for futures in self._waiting.values():
                    for future in futures:
                        _resolve(future, None)
            # Lets requests with a receipt leave `_waiting` before the next query.
            await asyncio.sleep(0)
            pause = min(_SELDOM, max(OFTEN, (loop.time() - self._youngest) * _SHARE))

    async def _deliver(self) -> None:
        wanted = {command for command, _ in self._waiting}
        if not wanted:
            return
        async with self._model.read() as session:
            rows = (await session.scalars(select(ReceiptRow).where(ReceiptRow.command_id.in_(wanted)))).all()
            for row in rows:
                waiting = self._waiting.get((row.command_id, row.issue))
                if waiting and (issue := await queries.issue(session, row.issue)) is not None:
                    receipt = Receipt(row.digest, row.outcome, row.seq, row.code, row.params)
                    for future in list(waiting):
                        _resolve(future, Delivered(receipt, issue))


def _resolve(future: _Waiting, delivered: Delivered | None) -> None:
    if not future.done():
        future.set_result(delivered)
