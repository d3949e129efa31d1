"""How an issue comes to be: names from the key, a resolved report, a dry run, and the start of its workflow.

Everything about the answer follows from the key, so a repeat gets the same, whatever was killed in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from domain.access import may_follow, may_report
from domain.advance import advance
from domain.commands import Actor, Authority, Command, ContactDetails, Report
from domain.issue import RULES_VERSION, Issue
from domain.pins import pinned, pins_digest
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import Category, Channel
from domain.worktime import YearCalendar
from protocol import ids
from protocol.caller import ANONYMOUS, Caller
from protocol.clock import Now, Skew, today
from protocol.commands import check_wire
from protocol.directory_cache import DirectoryCache
from protocol.errors import Invalid, KeyReused, NotFound, Unavailable
from protocol.gateway import Gateway, Pins, Unreachable
from protocol.read_model import SqlDown
from protocol.reader import Reader
from protocol.receipts import Receipts
from protocol.sealer import Sealer
from protocol.time_budget import Patience
from security.credentials import CredentialsError, Signer
from security.vault import Erased

_REPORT: Final = "report"

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class ReportDraft:
    """What a resident hands in; number, place and policy are resolved here."""

    compound: str
    category: Category
    description: str
    urgent: bool
    about_operator: bool
    location: str
    channel: Channel
    contact: ContactDetails
    follows: str | None


@dataclass(frozen=True)
class Taken:
    """An issue that is on its way for good, as it stands."""

    issue: Issue
    tracking_code: str


class Intake:
    """See the module."""

    def __init__(
        self, *, reader: Reader, gateway: Gateway, receipts: Receipts, directory: DirectoryCache,
        policies: Mapping[str, Policy], calendars: Sequence[YearCalendar], sealer: Sealer, signer: Signer, secret: bytes, skew: Skew, now: Now,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._gateway = gateway
        self._receipts = receipts
        self._directory = directory
        self._policies = policies
        self._calendars = calendars
        self._sealer = sealer
        self._signer = signer
        self._secret = secret
        self._skew = skew
        self._now = now

    async def take(self, caller: Caller, body: ReportDraft, key: str) -> Taken:
        """Takes an issue in, or says again what was said to this key before."""
        if self._skew.is_bad:
            raise Unavailable("this host's clock is wrong, so it stamps no commands")
        received, patience = self._now(), Patience()
        actor = caller.actor or Actor(ANONYMOUS, "resident")
        issue = ids.issue_id(self._secret, caller.subject, key)
        # Not by role: whoever repeats a key means the same report.
        command_id = ids.command_id(issue, caller.subject, _REPORT, key)
        known = await self._known(issue, patience)
        if known is None:
            place, grants, pins = await self._resolve(caller, actor, body, received)
            follows = await self._followed(caller, body, place, patience)
            plain = replace(
                _report(ids.number(issue), place, body, follows),
                root=self._signer.root,
                pins=pins_digest(pins.policy, pins.calendars, RULES_VERSION),
            )
            try:
                report = await self._sealer.report(issue, command_id, plain)
            except Erased:  # only an issue that has been has lost its key
                raise Unavailable("the record cannot be read") from None
            command = Command(command_id, received, actor, report, grants=grants)
            check_wire(command)
            known = await self._start(issue, command, pins, patience)
        await self._check_same(known, command_id, body)
        return Taken(known, ids.tracking_code(self._secret, issue, known.generation))

    async def _known(self, issue: str, patience: Patience) -> Issue | None:
        try:
            row = await self._reader.row(issue)
        except SqlDown:
            return None  # the start finds out
        return None if row is None else (await self._reader.find(issue, _anybody, patience)).issue

    async def _start(self, issue: str, command: Command, pins: Pins, patience: Patience) -> Issue:
        """Starts the workflow; the issue as it stands then. Raises Unavailable."""
        folded, _ = advance(Issue.new(issue, pins.policy, pins.calendars), [command], command.at)
        try:
            is_open = await self._gateway.start(command, folded, pins)
            if not is_open:
                return await self._ended(issue, patience)
            if (delivered := await self._receipts.wait(issue, command.id, patience.left)) is not None:
                return delivered.issue
            if (live := await self._reader.without_row(issue, patience)) is not None:
                return live
            # Nobody has recorded it yet. What Temporal holds says whether it was this report that came first.
            first = await self._gateway.beginning(issue)
        except CredentialsError as error:
            log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
            raise Unavailable(
                "reports cannot be signed at the moment; send the same again, with the same key"
            ) from None
        except Unreachable:
            raise Unavailable("Temporal does not answer; send the same again, with the same key") from None
        began = folded if first is None else self._reader.began(first[0], is_continued=first[1])
        if began is None:
            raise Unavailable("the record cannot be read")
        return began

    async def _ended(self, issue: str, patience: Patience) -> Issue:
        """The issue of a workflow that has come to its end. KeyReused where that recorded nothing: it was no issue."""
        try:
            return (await self._reader.find(issue, _anybody, patience)).issue
        except NotFound:
            log.error("nothing_came_of_a_start", issue=issue)  # noqa: TRY400
            raise KeyReused(
                "nothing came of what was begun under this key; send the report under another one"
            ) from None

    async def _resolve(
        self, caller: Caller, actor: Actor, body: ReportDraft, at: datetime
    ) -> tuple[Place, tuple[Authority, ...], Pins]:
        """Where it is and who answers there, what the caller holds there, and under which rules it begins."""
        directory = await self._directory.get()
        day = today(at)
        place = directory.place(body.compound, day)
        held = (Authority("resident", None, "report"),) if actor.role == "resident" else caller.grants
        grants = () if place is None else directory.grants_in(place, held, day)
        if place is None or not may_report(actor, grants, place, at):
            raise Invalid(("compound", "there is no such compound, or your organisation does not work there"))
        policy = self._policies.get(directory.policy_for(body.compound, body.category, day) or "")
        if policy is None:
            raise Invalid(("category", "no policy is in force for this category in this compound"))
        return place, grants, Pins(policy, pinned(self._calendars, day))

    async def _followed(self, caller: Caller, body: ReportDraft, place: Place, patience: Patience) -> str | None:
        """The closed issue of which this one is a recurrence; only its reporter can say so."""
        if body.follows is None:
            return None
        try:
            old = (await self._reader.find(body.follows, caller.reported, patience)).issue
        except NotFound:
            old = None
        if old is None or not may_follow(place, old):
            raise Invalid(("follows", "it is no closed issue of yours in this compound"))
        return old.id

    async def _check_same(self, issue: Issue, command: str, body: ReportDraft) -> None:
        """Raises KeyReused if the issue of this key was reported with another body.

        Its place is the one that was resolved then: who runs the compound may have changed since.
        """
        report = _report(issue.number, issue.place, body, body.follows)
        try:
            report = await self._sealer.report(issue.id, command, report)
        except (Erased, Unavailable):
            return  # what was reported then cannot be compared: for ever, or as long as the key store is away
        receipt = issue.receipts.get(command)
        same = Command(command, issue.opened_at, None, report).digest
        if receipt is not None and (receipt.digest != same or body.compound != issue.place.compound):
            raise KeyReused("the key was used for another report")


def _anybody(_: Issue) -> bool:
    """The key has led to it, so it is the caller's own."""
    return True


def _report(number: str, place: Place, body: ReportDraft, follows: str | None) -> Report:
    return Report(
        number=number,
        place=place,
        category=body.category,
        description=body.description,
        urgent=body.urgent,
        about_operator=body.about_operator,
        location=body.location,
        channel=body.channel,
        contact=body.contact,
        follows=follows,
    )
