"""Waits for the rows that say what became of commands: one query at a time for all who wait in this process."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Final

from sqlalchemy import select

from api.readmodel import ReadModel, SqlDown
from db.tables import ReceiptRow
from domain.issue import Receipt

_Key = tuple[str, str]

_FAST: Final = 0.004
"""Seconds between two looks while somebody has only just begun to wait: a row usually takes 12 ms."""
_SLOW: Final = 0.04
_SHARE: Final = 0.2
"""Between those two, a look comes after this share of the time waited so far."""


class Receipts:
    """See the module."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._waiting: defaultdict[_Key, set[asyncio.Future[Receipt | None]]] = defaultdict(set)
        self._youngest = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, issue: str, command: str, patience: float) -> Receipt | None:
        """The receipt once its row is there; None after `patience` seconds, or as soon as the database is away."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Receipt | None] = loop.create_future()
        key = (command, issue)
        self._waiting[key].add(future)
        self._youngest = loop.time()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        try:
            async with asyncio.timeout(patience):
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
        while self._waiting:
            await asyncio.sleep(min(_SLOW, max(_FAST, (loop.time() - self._youngest) * _SHARE)))
            try:
                await self._deliver()
            except SqlDown:
                for futures in self._waiting.values():
                    for future in futures:
                        _resolve(future, None)
            # Those who have got theirs leave before the next look.
            await asyncio.sleep(0)

    async def _deliver(self) -> None:
        wanted = {command for command, _ in self._waiting}
        if not wanted:
            return
        async with self._model.read() as session:
            rows = (await session.scalars(select(ReceiptRow).where(ReceiptRow.command_id.in_(wanted)))).all()
        for row in rows:
            receipt = Receipt(row.digest, row.outcome, row.seq, row.code, row.reason)
            for future in self._waiting.get((row.command_id, row.issue), ()):
                _resolve(future, receipt)


def _resolve(future: "asyncio.Future[Receipt | None]", receipt: Receipt | None) -> None:
    if not future.done():
        future.set_result(receipt)
