"""Tries at once whether every store takes what is written to it, each within its own time, and names what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from runtime.causes import AWAY, SLOW, cause_of
from runtime.disk import LEAST_FREE, fault

LIMIT: Final = 1.5
"""Seconds that the trial of one store may take."""

Found = Literal[True] | str
"""True, or what is wrong."""
Step = Callable[[], Awaitable[object]]
"""One step of a trial: it raises, or returns a text, if something is wrong."""


@dataclass(frozen=True)
class Store:
    """What is tried of one store: first `read`, then `write`. `path`: its file or folder, if it is on this host."""

    read: Step
    write: Step | None = None
    path: Path | None = None


class Stores:
    """Runs the trials. One that hangs goes on alone: until it ends, its store gets no other, and is said not to answer."""

    def __init__(self, stores: Mapping[str, Store], least_free: int = LEAST_FREE) -> None:
        self._stores = stores
        self._least_free = least_free
        self._running: dict[str, asyncio.Task[Found]] = {}
        self._hang: dict[str, str] = {}
        """What a store is said to do whose trial hangs, by the step that it has reached."""

    async def try_all(self) -> dict[str, Found]:
        """Tries every store. The result maps the name of each to True, or to one of `runtime.causes`."""
        tasks = {name: self._running.get(name) or self._begin(name) for name in self._stores}
        await asyncio.wait(tasks.values(), timeout=LIMIT)
        return {name: task.result() if task.done() else self._hang[name] for name, task in tasks.items()}

    async def close(self) -> None:
        for task in list(self._running.values()):
            task.cancel()

    def _begin(self, name: str) -> "asyncio.Task[Found]":
        self._hang[name] = AWAY
        task = self._running[name] = asyncio.create_task(self._try(name, self._stores[name]))
        task.add_done_callback(lambda _: self._running.pop(name))
        return task

    async def _try(self, name: str, store: Store) -> Found:
        try:
            if store.path and (lacks := await asyncio.to_thread(fault, store.path, self._least_free)):
                return lacks
            for step in filter(None, (store.read, store.write)):
                if isinstance(said := await step(), str):
                    return said
                self._hang[name] = SLOW
        except Exception as error:  # noqa: BLE001 - whatever it is, the store does not work
            cause: str = getattr(error, "cause", None) or cause_of(error)
            return self._hang[name] if cause == AWAY else cause
        return True
