"""Takes reports in: derives the ids, resolves and seals the report, folds it, and starts the workflow of the issue.

The ids derive from the subject of the caller and the idempotency key. So a repeated report leads to the same issue,
whichever process died in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import structlog

from domain.access import may_follow, may_report, may_take_up
from domain.advance import advance
from domain.building import building, is_common
from domain.commands import ANONYMOUS, Actor, Authority, Command, ContactDetails, Report
from domain.issue import RULES_VERSION, Issue, ended
from domain.pins import pinned, pins_digest
from domain.place import Place
from domain.policy import Policy
from domain.vocabulary import Category, Channel
from protocol.calendar_cache import CalendarCache
from protocol.caller import Caller
from protocol.clock import Now, Skew, today
from protocol.directory_cache import DirectoryCache
from protocol.envelope import Envelope
from protocol.errors import Invalid, KeyReused, NotFound, Unavailable, why
from protocol.gateway import Pins, TemporalDown, TemporalGateway
from protocol.read_model import SqlDown
from protocol.reader import Reader
from protocol.receipts import Receipts
from protocol.sealing import sealing
from protocol.time_budget import TimeBudget
from security import ids
from security.credentials import CredentialsError, Signer
from security.phone_numbers import read
from security.vault import Erased, Vault
from texts.catalogue import Wrong

_REPORT: Final = "report"

log: Final = structlog.stdlib.get_logger(__name__)


ToldBy = Literal["code", "phone", "board"]
"""How the resident hears of an issue: by the tracking code in the answer; by a code that is sent to the phone; or not at
all, so that it is answered on the board, and the counter of community or street speaks for the resident."""
_BY_THEMSELVES: Final[tuple[Channel, ...]] = ("web", "wechat")
"""Channels by which residents hand reports in themselves; by any other, somebody takes them in."""


@dataclass(frozen=True)
class ReportDraft:
    """A report as the caller sends it. `Intake` adds the number, the place and the policy."""

    compound: str
    category: Category
    description: str
    urgent: bool
    about_operator: bool
    location: str
    channel: Channel | None
    """How the resident came in; None is ``web`` for a resident and ``staff`` for staff."""
    contact: ContactDetails
    follows: str | None
    news: str = ""
    takes_up: bool = False


@dataclass(frozen=True)
class ReportedIssue:
    """A reported issue, in its current state, and its current tracking code, if the caller is its reporter."""

    issue: Issue
    tracking_code: str | None

    @property
    def told_by(self) -> ToldBy:
        """How its resident hears of the issue."""
        if self.issue.taken_by is None:
            return "code"
        return "phone" if self.issue.reporter else "board"


class Intake:
    """Takes reports in and starts the workflows of their issues."""

    def __init__(
        self, *, reader: Reader, gateway: TemporalGateway, receipts: Receipts, directory: DirectoryCache,
        policies: Mapping[str, Policy], calendars: CalendarCache, vault: Vault, signer: Signer, secret: bytes, skew: Skew, now: Now,
        texts: bool,
    ) -> None:  # fmt: skip
        """`texts` tells whether texts can be sent to phones here."""
        self._texts = texts
        self._reader = reader
        self._gateway = gateway
        self._receipts = receipts
        self._directory = directory
        self._policies = policies
        self._calendars = calendars
        self._vault = vault
        self._signer = signer
        self._secret = secret
        self._skew = skew
        self._now = now

    async def take(self, caller: Caller, body: ReportDraft, key: str) -> ReportedIssue:
        """Takes a report in; repeated with the same key, it returns the same issue again.

        Raises Invalid, KeyReused or Unavailable.
        """
        self._skew.check()
        received, budget = self._now(), TimeBudget()
        actor = caller.actor or Actor(ANONYMOUS, "resident")
        issue = ids.issue_id(self._secret, caller.subject, key)
        # Not by role: the same key in another role means the same report.
        command_id = ids.command_id(issue, caller.subject, _REPORT, key)
        known = await self._known(issue, budget)
        if known is None:
            place, grants, pins = await self._resolve(caller, actor, body, received)
            old = await self._followed(caller, body, place, budget, received)
            if old is not None:  # whoever spoke there by a code is known by the same name here
                actor = caller.in_issue(old) or actor
            plain = replace(
                _report(ids.number(issue), place, body, is_taken=actor.role != "resident"),
                root=self._signer.root,
                reporter=(reporter := "" if actor.role == "resident" else self._reporter(body.contact)),
                reachable=actor.role == "resident" or bool(reporter),  # whoever reports himself gets a code
                before=old and ended(old),
                pins=pins_digest(pins.policy, pins.calendars, RULES_VERSION),
                building=building(body.location, body.description),
                common=is_common(body.location, body.description),
            )
            try:
                with sealing():
                    report = await self._vault.seal_body(issue, command_id, plain)
            except Erased:  # the key was destroyed, so the issue exists
                raise Unavailable("record-away") from None
            command = Command(command_id, received, actor, report, grants=grants)
            known = await self._start(issue, Envelope.of(command), pins, budget)
        await self._check_same(known, command_id, body)
        is_own = known.taken_by is None
        return ReportedIssue(known, ids.tracking_code(self._secret, issue, known.generation) if is_own else None)

    def named(self, caller: Caller, key: str) -> tuple[str, str]:
        """The id and the number that a report of this caller under this key has, whether there is one or not."""
        issue = ids.issue_id(self._secret, caller.subject, key)
        return issue, ids.number(issue)

    def _reporter(self, contact: ContactDetails) -> str:
        """The pseudonym of the phone to which the code of a report is sent that staff take in; empty if none can be."""
        phone = read(str(contact.phone)) if self._texts else None
        return "" if phone is None else ids.phone_pseudonym(self._secret, phone.number)

    async def _known(self, issue: str, budget: TimeBudget) -> Issue | None:
        try:
            row = await self._reader.row(issue)
        except SqlDown:
            return None  # starting the workflow tells
        return None if row is None else (await self._reader.find(issue, _anybody, budget)).issue

    async def _start(self, issue: str, report: Envelope, pins: Pins, budget: TimeBudget) -> Issue:
        """Starts the workflow of the issue, unless it has one, and returns the issue. Raises Unavailable, KeyReused."""
        command = report.command
        folded, _ = advance(Issue.new(issue, pins.policy, pins.calendars), [command], command.at)
        try:
            is_open = await self._gateway.start(report, folded, pins)
            if not is_open:
                return await self._ended(issue, budget)
            if (delivered := await self._receipts.wait(issue, command.id, budget.left)) is not None:
                return delivered.issue
            if (live := await self._reader.without_row(issue, budget)) is not None:
                return live.issue
            # It is not recorded yet. The input of the workflow tells whether this report was the one that started it.
            first = await self._gateway.beginning(issue)
        except CredentialsError as error:
            log.error("cannot_sign", reason=str(error))  # noqa: TRY400 - the message says it all
            raise Unavailable("reports-unsigned") from None
        except TemporalDown as error:
            raise Unavailable("send-again", why=why("temporal", error.cause)) from None
        if first is None:
            return folded
        began = self._reader.began(first[0], is_continued=first[1])
        if began is None:
            raise Unavailable("record-away")
        return began.issue

    async def _ended(self, issue: str, budget: TimeBudget) -> Issue:
        """The issue of a workflow that has ended. Raises KeyReused if that workflow left no issue behind."""
        try:
            return (await self._reader.find(issue, _anybody, budget)).issue
        except NotFound:
            log.error("nothing_came_of_a_start", issue=issue)  # noqa: TRY400
            raise KeyReused("key-of-nothing") from None

    async def _resolve(
        self, caller: Caller, actor: Actor, body: ReportDraft, at: datetime
    ) -> tuple[Place, tuple[Authority, ...], Pins]:
        """The place of a report, the caller's authorities there, and the policy and calendars for the issue.

        Raises Invalid if there is no such place, the caller may not report there, or no policy is in force for the
        category there.
        """
        is_taken = actor.role != "resident"
        if body.channel is not None and is_taken == (body.channel in _BY_THEMSELVES):
            by = ", ".join(_BY_THEMSELVES)
            raise Invalid(("channel", Wrong("channel-of-staff") if is_taken else Wrong("channel-of-residents", by=by)))
        directory = await self._directory.get()
        day = today(at)
        place = directory.place(body.compound, day)
        held = (Authority("resident", None, "report"),) if actor.role == "resident" else caller.grants
        grants = () if place is None else directory.grants_in(place, held, day)
        if place is None or not may_report(actor, grants, place, at):
            raise Invalid(("compound", Wrong("no-such-compound")))
        policy = self._policies.get(directory.policy_for(body.compound, body.category, day) or "")
        if policy is None:
            raise Invalid(("category", Wrong("no-policy")))
        return place, grants, Pins(policy, pinned(await self._calendars.get(), day))

    async def _followed(
        self, caller: Caller, body: ReportDraft, place: Place, budget: TimeBudget, at: datetime
    ) -> Issue | None:
        """The closed issue that the report says has come back; None if it names none.

        Raises Invalid unless the caller reported that issue, in the same compound, and may take it up if the report does.
        """
        if body.follows is None:
            if body.takes_up:
                raise Invalid(("follows", Wrong("taken-up-unnamed")))
            return None
        try:
            old = (await self._reader.find(body.follows, caller.reported, budget)).issue
        except NotFound:
            old = None
        if old is None or not may_follow(place, old):
            raise Invalid(("follows", Wrong("follows-nothing")))
        if body.takes_up and not may_take_up(ended(old), at):
            raise Invalid(("takes_up", Wrong("takes-up-silence")))
        return old

    async def _check_same(self, issue: Issue, command: str, body: ReportDraft) -> None:
        """Raises KeyReused if the issue under this key was reported with another body.

        The place for the comparison is that of the issue, not of today: the compound's operator may have changed since.
        """
        report = _report(issue.number, issue.place, body, is_taken=issue.taken_by is not None)
        try:
            with sealing():
                report = await self._vault.seal_body(issue.id, command, report)
        except (Erased, Unavailable):
            return  # without the key the bodies cannot be compared
        receipt = issue.receipts.get(command)
        same = Command(command, issue.opened_at, None, report).digest
        if receipt is not None and (receipt.digest != same or body.compound != issue.place.compound):
            raise KeyReused("key-of-report")


def _anybody(_: Issue) -> bool:
    """Shows the issue in any case: its id derives from the caller's key, so it is the caller's own."""
    return True


def _report(number: str, place: Place, body: ReportDraft, *, is_taken: bool) -> Report:
    return Report(
        number=number,
        place=place,
        category=body.category,
        description=body.description,
        urgent=body.urgent,
        about_operator=body.about_operator,
        location=body.location,
        channel=body.channel or ("staff" if is_taken else "web"),
        contact=body.contact,
        follows=body.follows,
        news=body.news.strip(),
        takes_up=body.takes_up,
    )
