"""The command protocol: receipt, authority, dry run, signal, receipt.

The idempotency key is the command's id. Nothing is written before the signal, and what the rules refuse at once is
never sent; so whatever is killed where, a command took effect once or not at all, and a repeat says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import select

from db.tables import ReceiptRow
from domain.access import may_see
from domain.advance import advance
from domain.commands import Adopt, Body, Command, Merge, RenewCode, load_command, merge_command_id
from domain.issue import Issue, Receipt
from domain.limits import check_weight, shown
from domain.wire import WireError, canonical
from protocol import ids
from protocol.caller import Caller, Renewal
from protocol.clock import Now, Skew
from protocol.errors import Invalid, KeyReused, NotFound, ProtocolError, Refused, Stale, Unavailable
from protocol.gateway import Gateway, Gone, Unreachable, envelope
from protocol.pending import Queue, Queued
from protocol.read_model import ReadModel, SqlDown
from protocol.reader import Known, Reader, Seen
from protocol.receipts import Receipts
from protocol.resolver import Resolver
from protocol.sealer import Sealer
from protocol.time_budget import Patience
from security.credentials import CredentialsError

log: Final = structlog.stdlib.get_logger(__name__)

ROW_PATIENCE: Final = 0.1
"""Seconds that a row is waited for at least, however long it took to get there."""
TRIES: Final = 2
MOST_SECONDS: Final = timedelta(milliseconds=900)
"""For one try to signal; below the grace, so that what was stamped in time arrives in time."""
_SHARE_OF_GRACE: Final = 0.9


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
class Recorded:
    """A command that its issue has a receipt of. `tracking_code` only for a caller who may have lost a renewed one."""

    command_id: str
    issue: Issue
    tracking_code: str | None = None


@dataclass(frozen=True)
class _Objection:
    """What the rules have against a command, and by which state; final if the workflow itself says so."""

    problem: ProtocolError
    known: Known
    is_final: bool


class Commands:
    """See the module."""

    def __init__(
        self, *, reader: Reader, gateway: Gateway, receipts: Receipts, queue: Queue, model: ReadModel,
        resolver: Resolver, sealer: Sealer, skew: Skew, now: Now,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._gateway = gateway
        self._receipts = receipts
        self._queue = queue
        self._model = model
        self._resolver = resolver
        self._sealer = sealer
        self._skew = skew
        self._now = now

    async def give(self, caller: Caller, issue: str, wanted: Wanted) -> Applied | Queued:
        """Gives a command. Raises Refused or Stale if the rules are against it, NotFound where it is not theirs."""
        if self._skew.is_bad:
            raise Unavailable("this host's clock is wrong, so it stamps no commands")
        received, patience = self._now(), Patience()
        if isinstance(wanted.body, RenewCode):
            caller = replace(caller, renews=Renewal(key=wanted.key))
        seen = await self._reader.visible(caller, issue, patience)
        body = await self._resolver.resolve(wanted.body, caller, seen, patience)
        command_id = ids.command_id(issue, _subject(caller, seen), seen.actor.role, wanted.key)
        try:
            body = await self._sealer.body(seen.issue, command_id, body)
        except (Refused, Unavailable):
            if (receipt := seen.issue.receipts.get(command_id)) is None:
                raise
            return _told(seen.issue, command_id, receipt)  # whether it says the same cannot be told any more
        grants = await self._resolver.grants(caller, seen)
        command = Command(command_id, received, seen.actor, body, wanted.expected_version, grants)
        check_wire(command)
        if isinstance(body, Merge):
            done = await self._merge(caller, seen, command, body.into, patience)
        else:
            done = await self._take(seen, command, patience)
        if isinstance(done, Queued):
            await self._queue.add(done)
        return done

    async def receipt(self, caller: Caller, command: str) -> Recorded | Queued:
        """What became of a command, for those who may see its issue. Raises NotFound."""
        patience = Patience()
        caller = replace(caller, renews=Renewal(command=command))
        queued, issues = await self._issues_of(command)
        for issue in issues:
            try:
                seen = await self._reader.visible(caller, issue, patience)
            except NotFound:
                continue
            found: Issue | None = seen.issue
            if command not in seen.issue.receipts:
                found = await self._reader.without_row(issue, patience)
            if found is not None and command in found.receipts:
                if queued is not None:
                    await self._queue.drop(command)
                has_lost_code = caller.lost_code_of(found)
                code = ids.tracking_code(caller.secret, found.id, found.generation) if has_lost_code else None
                return Recorded(command, found, code)
            if queued is not None and queued.issue == issue:
                return queued
        await self._reader.hold(patience)
        raise NotFound

    async def _take(self, seen: Seen, command: Command, patience: Patience) -> Applied | Queued:
        """The protocol for one command to one issue."""
        if (earlier := await self._repeat(seen.known, command, patience)) is not None:
            return earlier
        await self._queue.check(seen.issue.id, command)
        if (objection := await self._objection(seen, command, patience)) is not None:
            if (earlier := await self._repeat(objection.known, command, patience)) is not None:
                return earlier
            # Where nobody answers it is sent. But a closed issue stays closed, and its workflow may be forgotten.
            if objection.is_final or seen.issue.is_closed:
                raise objection.problem
        return await self._send(seen.issue, command, patience)

    async def _merge(
        self, caller: Caller, seen: Seen, command: Command, into: str, patience: Patience
    ) -> Applied | Queued:
        """The older issue takes this one in, under the id of the command; then this one is told.

        What tells it bears the id that the outbox uses, so whichever is first: once the older one has taken it in, this
        one follows. That is why it has to agree before, as far as can be told, and is not asked for its version after.
        """
        older = await self._reader.visible(caller, into, patience)
        grants = await self._resolver.grants(caller, older)
        adopt = Command(
            command.id, command.at, older.actor, Adopt(seen.issue.id, opened=seen.issue.opened_at), grants=grants
        )
        taken = await self._repeat(older.known, adopt, patience)
        if taken is None:
            if (known := seen.issue.receipts.get(command.id)) is not None:
                _check_same(known, command)
            if (objection := await self._objection(seen, command, patience)) is not None:
                raise objection.problem
            taken = await self._take(older, adopt, patience)
        if isinstance(taken, Queued):
            return taken
        told = replace(command, id=merge_command_id(seen.issue.id, into), expected_version=None)
        done = await self._repeat(seen.known, told, patience) or await self._send(seen.issue, told, patience)
        if isinstance(done, Queued):
            return Queued(command.id, into, adopt.digest)
        return replace(done, command_id=command.id)

    async def _repeat(self, known: Known, command: Command, patience: Patience) -> Applied | Queued | None:
        """The answer to a command that is on the record already. Raises KeyReused if that was another one."""
        receipt = known.issue.receipts.get(command.id)
        if receipt is None:
            return None
        _check_same(receipt, command)
        if known.origin == "row" or not self._model.is_up:
            return _answer(known.issue, command, receipt)
        return await self._outcome(known.issue.id, command, patience)

    async def _objection(self, seen: Seen, command: Command, patience: Patience) -> _Objection | None:
        """What the rules have against the command. The read model may lag, so the workflow has the last word."""
        against = _against(seen.issue, command)
        if against is None or seen.known.origin == "live":
            return against and _Objection(against, seen.known, is_final=True)
        live = await self._reader.live(seen.issue.id, patience)
        if live is None:
            return _Objection(against, seen.known, is_final=False)
        if not may_see(live, seen.actor):
            raise NotFound
        still = _against(live, command)
        return still and _Objection(still, Known(live, "live"), is_final=True)

    async def _send(self, issue: Issue, command: Command, patience: Patience) -> Applied | Queued:
        """Signals, and waits until somebody says what became of it, as long as there is patience."""
        within = min(MOST_SECONDS, timedelta(seconds=issue.policy.grace.amount) * _SHARE_OF_GRACE)
        for _ in range(TRIES):
            try:
                await self._gateway.signal(issue.id, issue.root, command, within)
            except Unreachable:
                # Delivered after the grace it would be late by the rules, though it was stamped in time.
                command = replace(command, at=self._now())
            except Gone:
                return await self._after_the_end(issue, command, patience)
            except CredentialsError as error:
                log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
                raise Unavailable(
                    "this installation cannot sign commands to this issue; its operators are told why"
                ) from None
            else:
                return await self._outcome(issue.id, command, patience)
        raise Unavailable("Temporal does not answer; send the same again, with the same key")

    async def _outcome(self, issue: str, command: Command, patience: Patience) -> Applied | Queued:
        delivered = await self._receipts.wait(issue, command.id, max(ROW_PATIENCE, patience.left))
        if delivered is not None:
            return _answer(delivered.issue, command, delivered.receipt)
        live = await self._reader.without_row(issue, patience)
        if live is None or command.id not in live.receipts:
            return Queued(command.id, issue, command.digest)
        return _answer(live, command, live.receipts[command.id])

    async def _after_the_end(self, issue: Issue, command: Command, patience: Patience) -> Applied | Queued:
        """The workflow has ended in the meantime: what it made of the command, or why there is nothing to make."""
        live, row = await self._reader.live(issue.id, patience), await self._row(issue.id)
        for known in (live and Known(live, "live"), row and Known(row, "row")):
            if known is None:
                continue
            if (earlier := await self._repeat(known, command, patience)) is not None:
                return earlier
            if (against := _against(known.issue, command)) is not None:
                raise against
        raise Unavailable("the issue is being closed; send the same again, with the same key")

    async def _row(self, issue: str) -> Issue | None:
        try:
            return await self._reader.row(issue)
        except SqlDown:
            return None

    async def _issues_of(self, command: str) -> tuple[Queued | None, Sequence[str]]:
        """Whether it was queued, and the issues to which a command of this id was given.

        These are one, unless somebody forged signals. Raises Unavailable.
        """
        queued = None
        try:
            queued = await self._queue.find(command)
            async with self._model.read() as session:
                rows = await session.scalars(select(ReceiptRow.issue).where(ReceiptRow.command_id == command).limit(5))
                return queued, list(dict.fromkeys([*([queued.issue] if queued else []), *rows]))
        except SqlDown:
            if queued is None:
                raise Unavailable("receipts cannot be read") from None
            return queued, [queued.issue]


def _subject(caller: Caller, seen: Seen) -> str:
    """Whose key it is: the token's subject, or the reporter to whom a tracking code belongs."""
    return seen.actor.person if caller.actor is None else caller.subject


def _against(issue: Issue, command: Command) -> ProtocolError | None:
    """The dry run: what the rules have against the command as the issue stands, None if it would apply."""
    receipt = advance(issue, [command], command.at)[0].receipts[command.id]
    return _problem(receipt) if receipt.outcome == "refused" else None


def _check_same(receipt: Receipt, command: Command) -> None:
    if receipt.digest != command.digest:
        raise KeyReused("the key was used for another command to this issue")


def _answer(issue: Issue, command: Command, receipt: Receipt) -> Applied:
    _check_same(receipt, command)
    return _told(issue, command.id, receipt)


def _told(issue: Issue, command: str, receipt: Receipt) -> Applied:
    if receipt.outcome == "refused":
        raise _problem(receipt, command)
    return Applied(command, issue)


def check_wire(command: Command) -> None:
    """Raises Invalid for a command that the workflow would not be able to read: it would be lost there."""
    plain = envelope(command)
    try:
        check_weight(canonical(plain))
        load_command(command.name, plain)
    except WireError as error:
        raise Invalid(("body", shown(str(error), 200))) from None


def _problem(receipt: Receipt, command: str | None = None) -> ProtocolError:
    """A refusal; with the command's id only where it is on the record."""
    if receipt.code == "stale":
        return Stale(receipt.reason, command)
    return Refused(receipt.code, receipt.reason, command)
