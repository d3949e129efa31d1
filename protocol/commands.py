"""The command protocol: look for a receipt of the command, judge it in a dry run, signal it, wait for its receipt.

The idempotency key determines the command's id. Nothing is written before the signal, and a command that the rules
refuse is not signalled. So whichever process dies at whichever moment, a command takes effect once or not at all, and a
repeat with the same key tells whether it took effect.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

import structlog
from sqlalchemy import select

from db.tables import ReceiptRow
from domain.access import may_see
from domain.advance import advance
from domain.commands import Body, Command, Confirm, Follow, Merge, RenewCode, merge_command_id
from domain.followers import adoption
from domain.issue import Issue, Receipt
from protocol.abandoned import check_attended
from protocol.caller import Caller, Renewal
from protocol.clock import Now, Skew
from protocol.envelope import Envelope
from protocol.errors import Invalid, KeyReused, NotFound, Refused, Stale, Unavailable, why
from protocol.gateway import TemporalDown, TemporalGateway, WorkflowClosed
from protocol.limits import Quotas
from protocol.pending import PendingCommands, Queued
from protocol.read_model import ReadModel, SqlDown
from protocol.reader import LoadedIssue, Reader, VisibleIssue
from protocol.receipts import Receipts
from protocol.resolver import Resolver
from protocol.sealing import content_erased, sealing
from protocol.time_budget import TimeBudget
from runtime.causes import AWAY
from security.credentials import CredentialsError
from security.vault import Erased, Vault
from texts.catalogue import Wrong

log: Final = structlog.stdlib.get_logger(__name__)

ROW_SECONDS: Final = 0.1
"""The least number of seconds to wait for the row of a receipt, even if the request's time budget is spent."""
TRIES: Final = 2
SIGNAL_TIME: Final = timedelta(milliseconds=900)
"""How long one attempt to signal may take at most."""
_SHARE_OF_GRACE: Final = 0.9
"""The share of the policy's grace that one attempt to signal may take: a command stamped in time arrives in time."""


@dataclass(frozen=True)
class CommandDraft:
    """A command as the caller sends it."""

    body: Body
    key: str
    expected_version: int | None = None


@dataclass(frozen=True)
class Applied:
    """A command that took effect.

    `receipt` says where it had less effect than its giver may think; `tracking_code` is the one that it gave the caller,
    if any.
    """

    command_id: str
    issue: Issue
    receipt: Receipt
    tracking_code: str | None = None


@dataclass(frozen=True)
class RecordedCommand:
    """A command that has a receipt in `issue`.

    `tracking_code` is the issue's new code, for a caller who asked with the code that it replaced; else None.
    """

    command_id: str
    issue: Issue
    tracking_code: str | None = None


@dataclass(frozen=True)
class MergePlan:
    """The two commands of a merge: the older issue adopts the younger one (`adopt`), then that is closed (`follow`).

    `merge` is the command that the caller gave. `adopt` has the id of `merge`, by which the caller asks for the
    receipt. `follow` has an id that derives from both issues. The outbox sends it under this id, too: whether the API
    or the outbox sends it first, it takes effect once.
    """

    younger: VisibleIssue
    merge: Envelope
    older: VisibleIssue
    adopt: Envelope
    follow: Envelope

    @classmethod
    def of(cls, younger: VisibleIssue, merge: Envelope, older: VisibleIssue) -> Self:
        command, issue = merge.command, younger.issue
        adopt = replace(
            command, actor=older.actor, body=adoption(issue), expected_version=None,
            grants=older.grants,
        )  # fmt: skip
        follow = replace(command, id=merge_command_id(issue.id, older.issue.id), expected_version=None)
        return cls(younger, merge, older, Envelope.of(adopt), Envelope.of(follow))

    @property
    def queued(self) -> Queued:
        return Queued(self.merge.id, self.older.issue.id, self.adopt.digest)


class CommandService:
    """Gives commands to issues on behalf of callers, and looks up the receipts."""

    def __init__(
        self, *, reader: Reader, gateway: TemporalGateway, receipts: Receipts,
        pending: PendingCommands, model: ReadModel, resolver: Resolver, vault: Vault, quotas: Quotas, skew: Skew, now: Now,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._gateway = gateway
        self._receipts = receipts
        self._pending = pending
        self._model = model
        self._resolver = resolver
        self._vault = vault
        self._quotas = quotas
        self._skew = skew
        self._now = now

    async def give(self, caller: Caller, issue: str, draft: CommandDraft) -> Applied | Queued:
        """Gives a command; Queued if its receipt does not come in time.

        Raises Refused or Stale if the rules object, NotFound if the caller may not see the issue, Invalid, KeyReused
        or Unavailable.
        """
        self._skew.check()
        received, budget = self._now(), TimeBudget()
        if isinstance(draft.body, RenewCode):
            caller = replace(caller, renews=Renewal(key=draft.key))
        elif isinstance(draft.body, Follow):
            caller = replace(caller, joins=draft.key)
        admitted = await self._reader.visible(caller, issue, budget, draft.key)
        # Only now: how busy an issue is would tell a stranger that it exists.
        follows = admitted.actor.role == "resident" and admitted.actor.person != admitted.issue.reporter
        await self._quotas.count("issue", f"{issue} followers" if follows else issue)  # they lock out each other only
        older = None
        if isinstance(draft.body, Merge):
            older = await self._older(caller, draft.body.into, budget)
            draft = replace(draft, body=replace(draft.body, opened=older.issue.opened_at))
        command = await self._command(caller, admitted, draft, received, budget)
        if isinstance(command, Applied):
            return _with_code(command, caller, draft)
        envelope = Envelope.of(command)
        if older is not None:
            done = await self._merge(caller, MergePlan.of(admitted, envelope, older), budget)
        else:
            await self._check_key(admitted, Queued(command.id, issue, envelope.digest))
            done = await self._submit(caller, admitted, envelope, budget)
        if isinstance(done, Queued):
            await self._pending.add(done)
            return done
        return _with_code(done, caller, draft)

    async def receipt(self, caller: Caller, command: str) -> RecordedCommand | Queued:
        """The command with its issue; Queued if it has no receipt yet.

        Raises NotFound if there is no such command or the caller may not see its issue.
        """
        budget = TimeBudget()
        caller = replace(caller, renews=Renewal(command=command))
        queued, issues = await self._issues_of(command)
        for issue in issues:
            try:
                seen = await self._reader.visible(caller, issue, budget)
            except NotFound:
                continue
            loaded = seen.loaded if command in seen.issue.receipts else await self._reader.without_row(issue, budget)
            if loaded is not None and command in loaded.issue.receipts:
                if queued is not None:
                    await self._pending.drop(command)
                code = caller.code_in(loaded.issue) if caller.lost_code_of(loaded.issue) else None
                return RecordedCommand(command, loaded.issue, code)
            if queued is not None and queued.issue == issue:
                return queued
        await self._reader.hold(budget)
        raise NotFound

    async def _older(self, caller: Caller, issue: str, budget: TimeBudget) -> VisibleIssue:
        """The older issue of a merge, into which the younger one goes. Raises Invalid if the caller may not see it."""
        try:
            return await self._reader.visible(caller, issue, budget)
        except NotFound:
            raise Invalid(("into", Wrong("no-such-issue"))) from None

    async def _command(
        self, caller: Caller, admitted: VisibleIssue, draft: CommandDraft, received: datetime, budget: TimeBudget
    ) -> Command | Applied:
        """The command with its fields resolved and its texts sealed.

        If the texts cannot be sealed, but the issue has a receipt of this command, it is the answer of that receipt.
        """
        command_id = caller.command_id(admitted.issue, draft.key)
        assert command_id is not None
        body, grants = draft.body, admitted.grants
        if isinstance(body, Confirm) and body.outcome != "not":  # which is always heard, whoever says it
            grants = (*grants, *await self._resolver.sides(admitted.issue, caller, admitted.actor))
        if command_id not in admitted.issue.receipts:  # a repeat is told by what the caller sends
            body = await self._resolver.resolve(body, admitted.issue, caller, budget)
        try:
            with sealing():
                body = await self._vault.seal_body(admitted.issue.id, command_id, body)
        except (Erased, Unavailable) as error:
            if (receipt := admitted.issue.receipts.get(command_id)) is not None:
                return _recorded(admitted.issue, command_id, receipt)  # without the key a reused key cannot be told
            raise content_erased() if isinstance(error, Erased) else error from None
        return Command(command_id, received, admitted.actor, body, draft.expected_version, grants)

    async def _submit(
        self, caller: Caller, admitted: VisibleIssue, envelope: Envelope, budget: TimeBudget
    ) -> Applied | Queued:
        """Takes one command to one issue through the protocol. A repeated command is answered from its receipt."""
        loaded = await self._judge(caller, admitted, envelope, budget)
        if envelope.id in loaded.issue.receipts:
            return await self._repeat(loaded, envelope, budget)
        # The signal is sent although a row objects, if no workflow answers. But a closed issue stays closed, and its
        # workflow may be forgotten.
        if loaded.origin == "live" or loaded.issue.is_closed:
            _check_rules(loaded.issue, envelope.command)
        return await self._send(admitted.issue, envelope, budget)

    async def _merge(self, caller: Caller, plan: MergePlan, budget: TimeBudget) -> Applied | Queued:
        """Gives both commands of a merge, if the rules allow the merge in the younger issue."""
        if plan.adopt.id not in plan.older.issue.receipts:
            if (receipt := plan.younger.issue.receipts.get(plan.merge.id)) is not None:
                _check_same(receipt, plan.merge)
            _check_rules((await self._judge(caller, plan.younger, plan.merge, budget)).issue, plan.merge.command)
            await self._check_key(plan.younger, plan.queued)
        done = await self._submit(caller, plan.older, plan.adopt, budget)
        if isinstance(done, Applied):
            # The older issue has taken it in, so the rules are not asked again: an objection goes on record.
            if plan.follow.id in plan.younger.issue.receipts:
                done = await self._repeat(plan.younger.loaded, plan.follow, budget)
            else:
                done = await self._send(plan.younger.issue, plan.follow, budget)
        return plan.queued if isinstance(done, Queued) else replace(done, command_id=plan.merge.id)

    async def _judge(
        self, caller: Caller, admitted: VisibleIssue, envelope: Envelope, budget: TimeBudget
    ) -> LoadedIssue:
        """The state of the issue by which a command is judged.

        Usually that is the state that was loaded at admission. But if that is a row, which may lag, and the rules
        refuse a new command by it, the state of the workflow is used, if the workflow answers. Raises NotFound if the
        caller may not see the issue in that state.
        """
        loaded, command = admitted.loaded, envelope.command
        if command.id in loaded.issue.receipts or loaded.origin == "live" or _objection(loaded.issue, command) is None:
            return loaded
        live = await self._reader.live(admitted.issue.id, budget)
        if live is not None and not (
            may_see(live.issue, admitted.actor, admitted.grants, self._now()) or caller.joins_in(live.issue)
        ):
            raise NotFound
        return live or loaded

    async def _repeat(self, loaded: LoadedIssue, envelope: Envelope, budget: TimeBudget) -> Applied | Queued:
        """The answer to a repeated command, from its receipt in the loaded state.

        Raises KeyReused if the receipt is of another command under this key.
        """
        receipt = loaded.issue.receipts[envelope.id]
        _check_same(receipt, envelope)
        if loaded.origin == "row" or not self._model.is_up:
            return _recorded(loaded.issue, envelope.id, receipt)
        return await self._outcome(loaded.issue.id, envelope, budget)

    async def _check_key(self, admitted: VisibleIssue, expected: Queued) -> None:
        """Raises KeyReused if a command other than `expected` is pending under its id."""
        if expected.command_id in admitted.issue.receipts:
            return
        found = self._pending.recent(expected.command_id) or admitted.loaded.pending
        if found is None and admitted.loaded.origin != "row":
            with suppress(SqlDown):
                found = await self._pending.find(expected.command_id)
        if found is not None and found != expected:
            raise KeyReused("key-of-command")

    async def _send(self, issue: Issue, envelope: Envelope, budget: TimeBudget) -> Applied | Queued:
        """Signals the command, then waits for its receipt until the time budget is spent."""
        within = min(SIGNAL_TIME, timedelta(seconds=issue.policy.grace.amount) * _SHARE_OF_GRACE)
        cause = AWAY
        for _ in range(TRIES):
            try:
                await self._gateway.signal(issue.id, issue.root, envelope, within)
            except TemporalDown as error:
                cause = error.cause
                # Delivered after the grace it would be late by the rules, though it was stamped in time.
                envelope = envelope.stamped(self._now())
            except WorkflowClosed:
                return await self._after_the_end(issue.id, envelope, budget)
            except CredentialsError as error:
                log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
                raise Unavailable("commands-unsigned") from None
            else:
                return await self._outcome(issue.id, envelope, budget)
        raise Unavailable("send-again", why=why("temporal", cause))

    async def _outcome(self, issue: str, envelope: Envelope, budget: TimeBudget) -> Applied | Queued:
        """The answer to a signalled command, from its receipt; Queued if no receipt comes in time."""
        delivered = await self._receipts.wait(issue, envelope.id, max(ROW_SECONDS, budget.left))
        if delivered is not None:
            found, receipt = delivered.issue, delivered.receipt
        else:
            live = await self._reader.without_row(issue, budget)
            if live is None or envelope.id not in live.issue.receipts:
                return Queued(envelope.id, issue, envelope.digest)
            found, receipt = live.issue, live.issue.receipts[envelope.id]
        _check_same(receipt, envelope)
        return _recorded(found, envelope.id, receipt)

    async def _after_the_end(self, issue: str, envelope: Envelope, budget: TimeBudget) -> Applied | Queued:
        """The answer to a command whose workflow has ended: from its receipt, if there is one.

        Otherwise raises what the rules object to the command now, or Unavailable, which says whether sending it again
        may help.
        """
        live = await self._reader.live(issue, budget)
        row = None
        with suppress(SqlDown):
            row = await self._reader.row(issue)
        for loaded in filter(None, (live, row)):
            if envelope.id in loaded.issue.receipts:
                return await self._repeat(loaded, envelope, budget)
            _check_rules(loaded.issue, envelope.command)
        await check_attended(self._gateway, self._model, issue, self._now)
        raise Unavailable("being-closed")

    async def _issues_of(self, command: str) -> tuple[Queued | None, Sequence[str]]:
        """The pending command of this id, if any, and the issues that have a receipt of the command or may get one.

        There is at most one such issue, unless somebody forged signals. Raises Unavailable.
        """
        queued = None
        try:
            queued = await self._pending.find(command)
            async with self._model.read() as session:
                rows = await session.scalars(select(ReceiptRow.issue).where(ReceiptRow.command_id == command).limit(5))
                return queued, list(dict.fromkeys([*([queued.issue] if queued else []), *rows]))
        except SqlDown:
            if queued is None:
                raise Unavailable("receipts-away") from None
            return queued, [queued.issue]


def _with_code(done: Applied, caller: Caller, draft: CommandDraft) -> Applied:
    """The answer with the caller's tracking code, if the command gave him one."""
    return replace(
        done, tracking_code=caller.code_in(done.issue) if isinstance(draft.body, (Follow, RenewCode)) else None
    )


def _objection(issue: Issue, command: Command) -> Refused | None:
    """Dry run of a command: the refusal that the rules would give in this state; None if the command would apply."""
    receipt = advance(issue, [command], command.at)[0].receipts[command.id]
    return _refusal(receipt) if receipt.outcome == "refused" else None


def _check_rules(issue: Issue, command: Command) -> None:
    """Raises Refused or Stale if the rules would refuse the command in this state."""
    if (objection := _objection(issue, command)) is not None:
        raise objection


def _check_same(receipt: Receipt, envelope: Envelope) -> None:
    if receipt.digest != envelope.digest:
        raise KeyReused("key-of-command-here")


def _recorded(issue: Issue, command: str, receipt: Receipt) -> Applied:
    """The answer that a receipt stands for. Raises Refused or Stale if its outcome is a refusal."""
    if receipt.outcome == "refused":
        raise _refusal(receipt, command)
    return Applied(command, issue, receipt)


def _refusal(receipt: Receipt, command: str | None = None) -> Refused:
    """The error for the refusal in a receipt. `command` is the command's id if the issue holds that receipt."""
    kind = Stale if receipt.code == "stale" else Refused
    return kind(receipt.code, receipt.params, command)
