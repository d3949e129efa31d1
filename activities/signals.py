"""Outbox jobs of one issue that send a command to another issue."""

from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notices import Now, UndeliveredError, now_utc
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
    """Jobs that send a signal; each is retried until Temporal has accepted the signal."""

    def __init__(self, client: Client, database: Database, signer: Signer, clock: Now = now_utc) -> None:
        self._client = client
        self._database = database
        self._signer = signer
        self._clock = clock

    async def tell_merged(self, job: Entry) -> None:
        """Sends the command `merge` to the younger issue, which the older issue has taken in.

        Nothing is sent if the younger issue is closed by now. The command is made from the stored event of the older
        issue, never from the outbox row.
        """
        issue, plain, younger = await self._command_of(job)
        try:
            await signal(self._client, issue, "merge", self._signed(younger, plain))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _command_of(self, job: Entry) -> tuple[str, dict[str, Any], Issue]:
        """The id of the younger issue, the command for it, and its state.

        Raises UndeliveredError until the read model holds the older issue's event and the younger issue.
        """
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
        """The signed command. Its grant is the order by which the actor merged the two issues."""
        actor = load(Actor, plain["actor"])
        granted = {**plain, "grants": [dump(Authority(actor.role, actor.org, "order"))]}
        try:
            return self._signer.sign(younger.root, younger.id, "merge", granted)
        except CredentialsError:
            # The event is older than the current signing key, so the command is dated now.
            later = {**granted, "at": format_time(truncate(self._clock()))}
            return self._signer.sign(younger.root, younger.id, "merge", later)
