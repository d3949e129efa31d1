"""The command protocol: receipt, authority, dry run, signal, receipt.

The idempotency key is the command's id. Nothing is written before the signal, and what the rules refuse at once is
never sent; so whatever is killed where, a command took effect once or not at all, and a repeat says which.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select

from api import codes, views
from api.gateway import Gateway, Gone, Unreachable
from api.identity import Caller
from api.problems import KeyReused, NotFound, Problem, Refused, Stale, Unavailable
from api.reader import Reader, Seen
from api.readmodel import ReadModel, SqlDown
from api.receipts import Receipts
from api.resolve import Resolver
from api.stamp import Now, Skew
from db.tables import ReceiptRow
from domain.access import may_see
from domain.advance import advance
from domain.commands import Adopt, Body, Command, Merge, merge_command_id
from domain.issue import Issue, Receipt

ROW_PATIENCE: Final = 0.6
QUERY_PATIENCE: Final = 0.4
"""Seconds: together they are the second after which a command counts as queued."""
TRIES: Final = 2
MOST_SECONDS: Final = timedelta(milliseconds=900)
"""For one try to signal; below the grace, so that what was stamped in time arrives in time."""
_SHARE_OF_GRACE: Final = 0.9
_MOST_RECENT: Final = 10_000


@dataclass(frozen=True)
class Wanted:
    """A command as the caller asks for it."""

    body: Body
    key: str
    expected_version: int | None = None


@dataclass(frozen=True)
class Applied:
    command_id: str
    issue: Issue


@dataclass(frozen=True)
class Queued:
    """Durable, but nobody has said yet what becomes of it."""

    command_id: str


class Commands:
    """See the module."""

    def __init__(
        self, *, reader: Reader, gateway: Gateway, receipts: Receipts, model: ReadModel, resolver: Resolver,
        skew: Skew, now: Now,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._gateway = gateway
        self._receipts = receipts
        self._model = model
        self._resolver = resolver
        self._skew = skew
        self._now = now
        self._recent: OrderedDict[str, str] = OrderedDict()

    async def give(self, caller: Caller, issue: str, wanted: Wanted) -> Applied | Queued:
        """Gives a command. Raises Refused or Stale if the rules are against it, NotFound where it is not theirs."""
        if self._skew.is_bad:
            raise Unavailable("this host's clock is wrong, so it stamps no commands")
        received = self._now()
        seen = await self._reader.visible(caller, issue)
        body = await self._resolver.resolve(wanted.body, caller, seen)
        command = Command(_id(seen, body, wanted.key), received, seen.actor, body, wanted.expected_version)
        if (earlier := _repeat(seen.issue, command)) is not None:
            return earlier
        if (against := _against(seen.issue, command)) is not None:
            earlier = await self._ask_again(seen, command, against)
            if earlier is not None:
                return earlier
        if isinstance(body, Merge) and isinstance(await self._adopt(caller, seen, body, wanted), Queued):
            return Queued(command.id)  # the older one has yet to take it in; its record tells the younger one then
        return await self._send(seen.issue, command)

    async def receipt(self, caller: Caller, command: str) -> dict[str, Any]:
        """What became of a command, for those who may see its issue. Raises NotFound."""
        for issue in await self._issues_of(command):
            try:
                seen = await self._reader.visible(caller, issue)
            except NotFound:
                continue
            found: Issue | None = seen.issue
            if command not in seen.issue.receipts and seen.known.origin != "live":
                found = await self._reader.live(issue)
            if found is not None and command in found.receipts:
                return views.receipt_view(command, found)
            if command in self._recent:
                return {"outcome": "queued", "command_id": command, "issue_id": issue}
        raise NotFound

    async def _ask_again(self, seen: Seen, command: Command, against: Problem) -> Applied | None:
        """Before a no: the read model may lag, so the workflow has the last word. Where nobody answers, it is sent."""
        if seen.known.origin == "live":
            raise against
        live = await self._reader.live(seen.issue.id)
        if live is None:
            # A closed issue stays closed, and its workflow may be forgotten.
            if seen.issue.is_closed:
                raise against
            return None
        if not may_see(live, seen.actor):
            raise NotFound
        if (earlier := _repeat(live, command)) is not None:
            return earlier
        if (still := _against(live, command)) is not None:
            raise still
        return None

    async def _adopt(self, caller: Caller, seen: Seen, body: Merge, wanted: Wanted) -> Applied | Queued | None:
        """The older issue takes the younger one in before that is told."""
        if seen.issue.id in (await self._reader.visible(caller, body.into)).issue.adopted:
            return None
        return await self.give(caller, body.into, Wanted(Adopt(seen.issue.id), wanted.key))

    async def _send(self, issue: Issue, command: Command) -> Applied | Queued:
        """Signals, and waits until somebody says what became of it, for a second at most."""
        within = min(MOST_SECONDS, timedelta(seconds=issue.policy.grace.amount) * _SHARE_OF_GRACE)
        for _ in range(TRIES):
            left = within - (self._now() - command.at)
            if left < within / 2:
                # Delivered after the grace it would be late by the rules, though it was stamped in time.
                command, left = replace(command, at=self._now()), within
            try:
                await self._gateway.signal(issue.id, command, left)
            except Unreachable:
                command = replace(command, at=self._now())
            except Gone:
                return await self._after_the_end(issue, command)
            else:
                self._remember(command.id, issue.id)
                return await self._outcome(issue.id, command)
        raise Unavailable("Temporal does not answer; send the same again, with the same key")

    async def _outcome(self, issue: str, command: Command) -> Applied | Queued:
        delivered = await self._receipts.wait(issue, command.id, ROW_PATIENCE)
        if delivered is not None:
            return _answer(delivered.issue, command.id, delivered.receipt)
        live = await self._reader.live(issue, QUERY_PATIENCE)
        if live is None or command.id not in live.receipts:
            return Queued(command.id)
        return _answer(live, command.id, live.receipts[command.id])

    async def _after_the_end(self, issue: Issue, command: Command) -> Applied | Queued:
        """The workflow has ended in the meantime: what it made of the command, or why there is nothing to make."""
        for known in (await self._reader.live(issue.id), await self._row(issue.id)):
            if known is None:
                continue
            if (earlier := _repeat(known, command)) is not None:
                return earlier
            if (against := _against(known, command)) is not None:
                raise against
        raise Unavailable("the issue is being closed; send the same again, with the same key")

    async def _row(self, issue: str) -> Issue | None:
        try:
            return await self._reader.row(issue)
        except SqlDown:
            return None

    async def _issues_of(self, command: str) -> Sequence[str]:
        """The issues to which a command of this id was given: one, unless somebody forged signals."""
        recent = [self._recent[command]] if command in self._recent else []
        try:
            async with self._model.read() as session:
                rows = await session.scalars(select(ReceiptRow.issue).where(ReceiptRow.command_id == command).limit(5))
                return list(dict.fromkeys([*recent, *rows]))
        except SqlDown:
            if not recent:
                raise Unavailable("receipts cannot be read") from None
            return recent

    def _remember(self, command: str, issue: str) -> None:
        self._recent[command] = issue
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)


def _id(seen: Seen, body: Body, key: str) -> str:
    if isinstance(body, Merge):
        return merge_command_id(seen.issue.id, body.into)
    return codes.command_id(seen.issue.id, seen.actor.person, seen.actor.role, key)


def _against(issue: Issue, command: Command) -> Problem | None:
    """The dry run: what the rules have against the command as the issue stands, None if it would apply."""
    receipt = advance(issue, [command], command.at)[0].receipts[command.id]
    return _problem(receipt) if receipt.outcome == "refused" else None


def _repeat(issue: Issue, command: Command) -> Applied | None:
    """The answer to a command that is on the record already. Raises KeyReused if that was another one."""
    known = issue.receipts.get(command.id)
    if known is None:
        return None
    if known.digest != command.digest:
        raise KeyReused("the key was used for another command to this issue")
    return _answer(issue, command.id, known)


def _answer(issue: Issue, command: str, receipt: Receipt) -> Applied:
    if receipt.outcome == "refused":
        raise _problem(receipt, command)
    return Applied(command, issue)


def _problem(receipt: Receipt, command: str | None = None) -> Problem:
    """A refusal; with the command's id only where it is on the record."""
    extra: dict[str, Any] = {} if command is None else {"command_id": command}
    if receipt.code == "stale":
        return Stale(receipt.reason, **extra)
    return Refused(receipt.code, receipt.reason, **extra)
