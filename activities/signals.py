"""Outbox jobs of one issue that send a command to another issue."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.notices import Now, UndeliveredError, now_utc
from db import queries
from db.engine import Database
from db.outbox import Entry
from domain.commands import Actor, Authority
from domain.issue import Issue
from domain.notices import Job, jobs
from domain.wire import dump, format_time, load, parse_time, truncate
from security.credentials import CredentialsError, Signer
from workflows.signals import ordered, signal

TELL_MERGED: Final = "tell_merged"
"""The younger issue, which the older one has taken in, gets the command `merge`."""
TELL_SPLIT: Final = "tell_split"
"""The older issue, which the younger one has left, gets the command `split`."""
COMMANDS: Final[Mapping[str, str]] = MappingProxyType({TELL_MERGED: "merge", TELL_SPLIT: "split"})
"""Job -> the command that it sends."""


class SignalJobs:
    """Jobs that send a signal; each is retried until Temporal has accepted the signal."""

    def __init__(self, client: Client, database: Database, signer: Signer, clock: Now = now_utc) -> None:
        self._client = client
        self._database = database
        self._signer = signer
        self._clock = clock

    async def tell(self, job: Entry) -> None:
        """Sends the command of the job to the issue that is to be told; nothing if that is closed by now.

        The command is made from the stored event of the issue that tells it, never from the outbox row.
        """
        told, name, plain = await self._command_of(job)
        try:
            await signal(self._client, told.id, name, self._signed(told, name, plain))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _command_of(self, job: Entry) -> tuple[Issue, str, dict[str, Any]]:
        """The issue to be told, the name of the command, and the command without its signature.

        Raises UndeliveredError until the read model holds the event that asks for it, and that issue.
        """
        async with self._database.read() as session:
            teller = await queries.issue(session, job.issue or "")
            event = await queries.event(session, job.issue or "", job.seq)
            found = [each for each in jobs(event, teller) if each.name == job.template] if event and teller else []
            if not found:
                raise UndeliveredError("no event on record asks for it")
            (asked,) = found
            told, body = await queries.issue(session, asked.issue), asked.body["body"]
            while asked.name == TELL_SPLIT and told is not None and told.is_closed and told.merged_into is not None:
                body = {**body, "through": told.id}  # it has no workflow any more: the residents went on into the next
                told = await queries.issue(session, told.merged_into)
        if told is None:
            raise UndeliveredError("the issue to be told is not on record yet")
        return told, COMMANDS[job.template], _plain(replace(asked, body={**asked.body, "body": body}), told)

    def _signed(self, told: Issue, name: str, plain: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._signer.sign(told.root, told.id, name, plain)
        except CredentialsError:
            # The event is older than the current signing key, so the command is dated now.
            return self._signer.sign(told.root, told.id, name, {**plain, "at": format_time(truncate(self._clock()))})


def _plain(asked: Job, told: Issue) -> dict[str, Any]:
    """The command: the actor who merged two issues orders the merge, the installation itself tells of a split."""
    plain = asked.body
    if asked.name == TELL_SPLIT:
        return ordered(plain["id"], told.place.street, plain["body"], parse_time(plain["at"]))
    actor = load(Actor, plain["actor"])
    return {**plain, "grants": [dump(Authority(actor.role, actor.org, "order"))]}
