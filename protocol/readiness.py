"""Whether the API is ready: every store takes what is written, the schema is this version's, and this host's time is right.

The checks run whenever they are asked for, and every ten seconds, so that the log names what breaks though nobody asks.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from audit.archive import Archive
from db import queries, upgrade
from db.engine import Database
from db.probe import probe
from protocol.clock import MOST_SKEW, Now, Skew
from protocol.stores import LIMIT, Found, Store, Stores
from runtime import temporal as temporals
from runtime.blobs import DigestStore
from runtime.causes import AWAY, OUTDATED
from runtime.disk import LEAST_FREE
from runtime.temporal import worker_polls
from security.credentials import CredentialsError
from security.keys import Keys
from workflows.contract import TASK_QUEUE

log: Final = structlog.stdlib.get_logger(__name__)

_EVERY: Final = 10.0
_KEY_FILES: Final = "key files"
"""A trial of its own, since a file may hang apart from the key store; it is told as `keys`."""
_RPC: Final = timedelta(seconds=LIMIT)


class Readiness:
    """Checks whether this process can serve requests. `archive` and `pictures` are None where the process has none.

    `unfit_key` says what is wrong with a key file. With `needs_worker` the worker writes the archive on this host.
    """

    def __init__(
        self, *, temporal: Client, database: Database, keys: Keys, archive: Archive | None, pictures: DigestStore | None,
        skew: Skew, now: Now, needs_worker: bool, unfit_key: Callable[[], str | None] = lambda: None,
        temporal_file: Path | None = None, least_free: int = LEAST_FREE,
    ) -> None:  # fmt: skip
        self._temporal = temporal
        self._database = database
        self._signer = keys.signer
        self._skew = skew
        self._now = now
        store = keys.vault.store
        stores = {
            "temporal": Store(self._ask_temporal, self._write_temporal, temporal_file),
            "database": Store(self._ask_database, lambda: probe(database), database.file),
            "keys": Store(store.probe, path=store.file),
            _KEY_FILES: Store(partial(asyncio.to_thread, unfit_key)),
        }
        for name, kept, writes in (("archive", archive, needs_worker), ("pictures", pictures, True)):
            if kept is not None:
                stores[name] = Store(partial(kept.blobs.probe, writes=writes), path=kept.blobs.folder)
        if needs_worker:
            stores["worker"] = Store(self._ask_worker)
        self._stores = Stores(stores, least_free)
        self._said: Mapping[str, Found] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Starts checking every ten seconds."""
        self._task = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        await self._stores.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def checks(self) -> dict[str, Found]:
        """Runs every check, within 2 s. The result maps the name of a check to True, or to a text that says what is
        wrong; what changed since the last time is logged.
        """
        found = await self._stores.try_all()
        key_files = found.pop(_KEY_FILES)
        if found["keys"] is True:
            found["keys"] = key_files
        if found["temporal"] is not True and "worker" in found:
            found["worker"] = "Temporal does not say"
        found |= {"clock": self._skew.wrong or True, "signing": self._ask_signer()}
        self._log(found)
        return found

    def known(self, name: str) -> str:
        """What was wrong with a store when it was tried last; AWAY if nothing was."""
        said = self._said.get(name, True)
        return AWAY if said is True else said

    def _log(self, found: Mapping[str, Found]) -> None:
        if found == self._said:
            return
        wrong = {name: said for name, said in found.items() if said is not True}
        if self._skew.is_bad and self._said.get("clock") != found["clock"]:
            log.error("clock_is_wrong", limit_seconds=MOST_SKEW.seconds, said=self._skew.wrong)
        if wrong:
            log.error("not_ready", **wrong)
        elif self._said:
            log.info("ready_again")
        self._said = found

    async def _ask_temporal(self) -> None:
        await self._temporal.service_client.check_health(timeout=_RPC)

    async def _write_temporal(self) -> None:
        before = self._now()
        theirs = await temporals.probe(self._temporal, _RPC)
        self._skew.compare(before, theirs, self._now(), "temporal")

    def _ask_signer(self) -> Found:
        try:
            return True if self._signer.covers(self._now()) else "the certificate of the signing key is not valid now"
        except CredentialsError as error:
            log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
            return "the signing key cannot be read"

    async def _ask_worker(self) -> str | None:
        try:
            return None if await worker_polls(self._temporal, TASK_QUEUE) else "no worker polls"
        except (RPCError, RuntimeError):
            return "Temporal does not say"

    async def _ask_database(self) -> str | None:
        async with self._database.read() as session:
            await queries.server_time(session)  # the first answer may include the time to connect
            before = self._now()
            theirs = await queries.server_time(session)
            self._skew.compare(before, theirs, self._now())
            return None if await upgrade.is_current(session) else OUTDATED

    async def _repeat(self) -> None:
        while True:
            await self.checks()
            await asyncio.sleep(_EVERY)
