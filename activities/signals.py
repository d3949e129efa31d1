"""Jobs of the outbox that give a command to another issue."""

from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from db import queries
from db.engine import Database
from db.outbox import Entry
from domain.commands import Actor, Authority
from domain.wire import dump, load
from security.credentials import Signer
from signalling import signal


class SignalJobs:
    """Repeated until the server has taken the command."""

    def __init__(self, client: Client, database: Database, signer: Signer) -> None:
        self._client = client
        self._database = database
        self._signer = signer

    async def tell_merged(self, job: Entry) -> None:
        """The adopted issue is told that it goes on in the older one; one that is closed by now needs no telling."""
        issue: str = job.payload["issue"]
        try:
            await signal(self._client, issue, "merge", await self._signed(issue, job.payload["body"]))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _signed(self, issue: str, plain: dict[str, Any]) -> dict[str, Any]:
        """The command as that issue takes it: it rests on the order by which the older one was given this one."""
        async with self._database.read() as session:
            known = await queries.issue(session, issue)
        if known is None or not known.root:
            return plain
        actor = load(Actor, plain["actor"])
        order = Authority(actor.role, actor.org, "order")
        return self._signer.sign(known.root, issue, "merge", {**plain, "grants": [dump(order)]})
