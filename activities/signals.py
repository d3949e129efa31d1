"""Jobs of the outbox that give a command to another issue."""

from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notices import Clock, UndeliveredError, now_utc
from db import queries
from db.engine import Database
from db.outbox import Entry
from domain.commands import Actor, Authority
from domain.issue import Issue
from domain.notices import jobs
from domain.wire import dump, format_time, load, truncate
from security.credentials import CredentialsError, Signer
from workflows.signals import signal

TELL_MERGED = "tell_merged"


class SignalJobs:
    """Repeated until the server has taken the command."""

    def __init__(self, client: Client, database: Database, signer: Signer, clock: Clock = now_utc) -> None:
        self._client = client
        self._database = database
        self._signer = signer
        self._clock = clock

    async def tell_merged(self, job: Entry) -> None:
        """The adopted issue is told that it goes on in the older one; one that is closed by now needs no telling.

        What it is told follows from the event on record that asks for it, never from what the outbox says.
        """
        issue, plain, younger = await self._asked(job)
        try:
            await signal(self._client, issue, "merge", self._signed(younger, plain))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _asked(self, job: Entry) -> tuple[str, dict[str, Any], Issue]:
        """The issue, the command and the state of the issue. Raises UndeliveredError as long as they are not known."""
        async with self._database.read() as session:
            older = await queries.issue(session, job.issue or "")
            event = await queries.event(session, job.issue or "", job.seq)
            found = [each for each in jobs(event, older) if each.name == TELL_MERGED] if event and older else []
            if not found:
                raise UndeliveredError("no event on record asks for it")
            (asked,) = found
            younger = await queries.issue(session, asked.issue)
        if younger is None:
            raise UndeliveredError("the issue to be told is not on record yet")
        return asked.issue, asked.body, younger

    def _signed(self, younger: Issue, plain: dict[str, Any]) -> dict[str, Any]:
        """The command as that issue takes it: it rests on the order by which the older one was given this one."""
        actor = load(Actor, plain["actor"])
        granted = {**plain, "grants": [dump(Authority(actor.role, actor.org, "order"))]}
        try:
            return self._signer.sign(younger.root, younger.id, "merge", granted)
        except CredentialsError:
            # It is told later than the key that signs now was made, so it counts from now on.
            later = {**granted, "at": format_time(truncate(self._clock()))}
            return self._signer.sign(younger.root, younger.id, "merge", later)
