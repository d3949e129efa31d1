"""Loads issues for callers who may see them.

An issue comes from the read model, else from its workflow, else from the input of the workflow's current run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from db import queries
from domain.access import Sight, may_see, sight
from domain.accounts import Climb, accounts
from domain.advance import advance
from domain.before import sight_before
from domain.commands import Actor, Authority, Report, Upload
from domain.events import Event, Reported
from domain.former import former_sight, own_record
from domain.issue import Issue
from domain.judging import OFTEN, OFTEN_WITHIN, is_shown
from domain.minutes import totals
from domain.phone_numbers import mobile
from domain.vocabulary import Holder
from protocol.caller import Caller
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import NotFound, Unavailable, why
from protocol.gateway import NoWorker, TemporalDown, TemporalGateway
from protocol.pending import Queued, stored
from protocol.read_model import ReadModel, SqlDown
from protocol.time_budget import REQUEST_SECONDS, TimeBudget
from protocol.uploads import uploads
from security.keystore import KeyStoreDown
from security.vault import Vault
from workflows.contract import Start
from workflows.mailbox import ForgedError, beginning

HOLD: Final = 0.05
"""The least number of seconds that a 404 takes: more than it takes to find an issue."""
_QUERY: Final = 0.9
_SHORTEST: Final = 0.01
_MOST_VERSIONS: Final = 10_000
_MOST_BEFORE: Final = 10
"""How many older issues are shown with one that takes them up or follows them."""

Shows = Callable[[Issue], bool]
"""A function that tells whether the caller may see an issue in this state."""
CommandOf = Callable[[Issue], str | None]
"""A function that gives the id of the caller's command to an issue; None if the caller gives none."""


def _no_command(_: Issue) -> None:
    return None


@dataclass(frozen=True)
class LoadedIssue:
    """An issue, and where its state comes from (`origin`).

    `row`: from the read model, which may lag a little. `live`: from the workflow itself. `beginning`: from the input of
    the workflow's current run, if nothing else answers. `pending` is the command that was looked up together with a
    row, if that command waits for its receipt.
    """

    issue: Issue
    origin: Literal["row", "live", "beginning"]
    pending: Queued | None = None


@dataclass(frozen=True)
class VisibleIssue:
    """An issue that the caller may see: the actor as whom he sees it, his authorities there now, and what he sees.

    The rules judge every command by this actor and these authorities.
    """

    loaded: LoadedIssue
    actor: Actor
    grants: tuple[Authority, ...]
    sight: Sight

    @property
    def issue(self) -> Issue:
        return self.loaded.issue


@dataclass(frozen=True)
class Timeline:
    """The events of an issue with their texts still sealed, the milliseconds by holder, and the climbs on accounts.

    For somebody who sees the record of his organisation only, no more than that.
    """

    events: Sequence[Event]
    minutes: Mapping[tuple[Holder, str | None], int]
    climbs: Sequence[Climb]

    @classmethod
    def of(cls, events: Sequence[Event], climbs: Sequence[Climb]) -> Self:
        return cls(events, totals(events), climbs)

    def record_of(self, org: str) -> "Timeline":
        """What of it is the record of this organisation."""
        minutes = {whose: ms for whose, ms in self.minutes.items() if whose[1] == org}
        return Timeline(own_record(self.events, org), minutes, [each for each in self.climbs if each.org == org])


class Reader:
    """Loads issues and their events for callers."""

    def __init__(
        self, model: ReadModel, gateway: TemporalGateway, vault: Vault, directory: DirectoryCache, now: Now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._model = model
        self._gateway = gateway
        self._vault = vault
        self._directory = directory
        self._now = now
        self._sleep = sleep
        self._versions: OrderedDict[str, int] = OrderedDict()
        """By issue, the newest version that its workflow has returned. Older rows are not shown any more."""
        self._has_no_worker = False

    async def row(self, issue: str, command_of: CommandOf = _no_command) -> LoadedIssue | None:
        """The issue from the read model; None if it has no row. Raises SqlDown.

        If `command_of` gives the id of a pending command, that command comes with the row.
        """
        async with self._model.read() as session:
            if (found := await queries.issue(session, issue)) is None:
                return None
            command = command_of(found)
            return LoadedIssue(found, "row", None if command is None else await stored(session, command))

    async def find(
        self, issue: str, shows: Shows, budget: TimeBudget, command_of: CommandOf = _no_command
    ) -> LoadedIssue:
        """The issue, if `shows` says that the caller may see it. Raises NotFound or Unavailable.

        An issue that the caller may not see raises the same error as one that does not exist, after the same time.
        """
        row, live, is_sure = None, None, True
        try:
            row = await self.row(issue, command_of)
        except SqlDown:
            is_sure = False  # it may hold an issue that Temporal has forgotten
        if row is not None and not self.is_outdated(row) and shows(row.issue):
            return row
        try:
            # A row may lag behind the command that made the issue visible to the caller.
            live = await self._from_workflow(issue, budget)
        except TemporalDown:
            is_sure = False
        newest = max(filter(None, (live, row)), key=lambda loaded: loaded.issue.version, default=None)
        if newest is not None and shows(newest.issue):
            return newest
        await self.hold(budget)
        raise NotFound if is_sure else Unavailable("record-away")

    async def visible(self, caller: Caller, issue: str, budget: TimeBudget, key: str | None = None) -> VisibleIssue:
        """The issue as the caller sees it, with the authorities that the caller has in it now.

        With `key`, an issue that is read from SQL comes with the caller's command under this idempotency key, as long
        as that command waits for its receipt (`loaded.pending`).
        Raises NotFound if the issue does not exist or the caller may not see it, Unavailable if the issue or the
        directory cannot be read.
        """
        return await self._seen(caller, issue, budget, key)

    async def _seen(
        self, caller: Caller, issue: str, budget: TimeBudget, key: str | None = None, *, record: bool = False
    ) -> VisibleIssue:
        """As `visible`; with `record` also for those to whom only the record of their organisation is left."""
        is_property = caller.actor is not None and caller.actor.role == "property"
        directory = await self._directory.get() if is_property else None
        at = self._now()

        def looks(found: Issue) -> tuple[Actor, tuple[Authority, ...], Sight] | None:
            actor, grants, ended = caller.in_issue(found), caller.grants, None
            if actor is None:
                return None
            if caller.actor is None:
                grants = (Authority("resident", None, "code"),)
            elif directory is not None:
                grants = directory.grants_in(found.place, grants, today(at))
                ended = directory.contract_ended(actor.org, found.place.compound, today(at))
            if may_see(found, actor, grants, at) or caller.joins_in(found):
                return actor, grants, sight(found, actor)
            left = former_sight(found, actor, ended, at) if record else None
            return left and (actor, grants, left)

        loaded = await self.find(
            issue, lambda found: looks(found) is not None, budget,
            _no_command if key is None else lambda found: caller.command_id(found, key),
        )  # fmt: skip
        seen = looks(loaded.issue)
        assert seen is not None
        return VisibleIssue(loaded, *seen)

    async def readable(self, caller: Caller, issue: str, *, record: bool = False) -> VisibleIssue:
        """The issue as the caller sees it; with `record` also for those to whom only their record is left.

        Raises NotFound if the issue does not exist or the caller may not see it, Unavailable if it cannot be read or
        only a state is known that may be long past.
        """
        seen = await self._seen(caller, issue, TimeBudget(), record=record)
        match seen.loaded.origin:
            case "live":
                is_past = False
            case "row":
                is_past = self.is_outdated(seen.loaded)
            case "beginning":
                is_past = not self._model.is_up or issue in self._versions
        if is_past:
            raise Unavailable("issue-away")
        return seen

    def is_outdated(self, loaded: LoadedIssue) -> bool:
        """Whether the workflow of the issue has returned a newer version than the loaded one."""
        return loaded.issue.version < self._versions.get(loaded.issue.id, 0)

    async def hold(self, budget: TimeBudget) -> None:
        """Delays a 404 until it has taken as long as a hit, so its time does not reveal whether the issue exists."""
        # Without a worker a hit takes the whole budget, while Temporal says at once that there is no such workflow.
        await self._sleep(max(0.0, (REQUEST_SECONDS if self._has_no_worker else HOLD) - budget.spent))

    async def live(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """The issue from its workflow; None if there is no such workflow, or Temporal or its worker does not answer."""
        try:
            return await self._ask(issue, budget)
        except (NoWorker, TemporalDown):
            return None

    async def without_row(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """The issue from its workflow, but only while the database is down; None otherwise, and if nothing answers.

        While the database is up, other processes show the row, so this process shows nothing newer than the row.
        """
        return None if self._model.is_up else await self.live(issue, budget)

    async def timeline(self, seen: VisibleIssue) -> Timeline:
        """The events of the issue, as far as they are the caller's to see.

        The events reach at least to the version of `issue`. Raises Unavailable if they cannot be read or
        some are missing yet.
        """
        issue = seen.issue
        try:
            async with self._model.read() as session:
                events = await queries.timeline(session, issue.id)
                pins = await queries.pins(session, issue.id) if events else (issue.policy, issue.calendars)
        except SqlDown:
            raise Unavailable("timeline-away") from None
        if len(events) < issue.version:
            raise Unavailable("timeline-while-written")
        found = Timeline.of(events, accounts(events, *pins))
        return found if seen.sight.record_of is None else found.record_of(seen.sight.record_of)

    async def before(self, seen: VisibleIssue) -> Sequence[VisibleIssue]:
        """The closed issues that this one takes up or follows, the last first, as far as the caller may see them.

        Raises Unavailable.
        """
        found: list[VisibleIssue] = []
        newest = issue = seen.issue
        while issue.follows is not None and seen.sight.record_of is None and len(found) < _MOST_BEFORE:
            try:
                async with self._model.read() as session:
                    first = await queries.event(session, issue.id, 1)
                    old = await queries.issue(session, issue.follows)
            except SqlDown:
                raise Unavailable("before-away") from None
            taken_up = first is not None and isinstance(first.body, Reported) and first.body.reopened > 0
            looks = old and sight_before(newest, old, seen.actor, seen.grants, self._now(), taken_up=taken_up)
            if old is None or looks is None:
                break
            found.append(replace(seen, loaded=LoadedIssue(old, "row"), sight=looks))
            # One that only came back is another matter: what it had taken up itself is read as in it.
            newest, issue = newest if taken_up else old, old
        return found

    async def taken_often(self, seen: VisibleIssue) -> int | None:
        """How many reports the same organisation took in under the same phone lately, if many, for those who answer for it.

        None also if it cannot be read.
        """
        issue = seen.issue
        if issue.taken_by is None or not is_shown(issue, seen.actor):
            return None
        with suppress(SqlDown):
            async with self._model.read() as session:
                since = self._now() - OFTEN_WITHIN
                count = await queries.taken_in(session, issue.taken_by.org or "", issue.reporter, since)
                return count if count > OFTEN else None
        return None

    async def uploads(self, issue: str, digests: Collection[str]) -> tuple[Upload, ...]:
        """The pictures of the issue with one of these digests, and who uploaded them. Raises Unavailable."""
        return await uploads(self._model, self._vault, issue, digests)

    async def phone(self, issue: str) -> str | None:
        """The mobile number in the report of the issue; None if it has none, or was erased. Raises Unavailable."""
        try:
            report = await self._report(issue)
            opened = await self._vault.open_body(issue, report) if report.contact.phone else report
        except (KeyStoreDown, TemporalDown):
            raise Unavailable("report-away") from None
        return mobile(str(opened.contact.phone))

    async def _report(self, issue: str) -> Reported | Report:
        """The report, still sealed: from SQL, else from the input of the workflow. Raises Unavailable, TemporalDown."""
        with suppress(SqlDown):
            async with self._model.read() as session:
                first = await queries.event(session, issue, 1)
            if first is not None and isinstance(first.body, Reported):
                return first.body
        with suppress(ForgedError):
            start = await self._gateway.beginning(issue)
            command = None if start is None else beginning(start[0], is_continued=start[1])[1]
            if command is not None and isinstance(command.body, Report):
                return command.body
        raise Unavailable("report-away")

    async def opened(self, issue: str, found: Timeline) -> Timeline:
        """The timeline with its texts opened; a placeholder replaces an erased text. Raises Unavailable."""
        try:
            return replace(found, events=await self._vault.open_body(issue, tuple(found.events)))
        except KeyStoreDown as error:
            raise Unavailable("texts-away", why=why("key-store", error.cause)) from None

    def began(self, start: Start, *, is_continued: bool) -> LoadedIssue | None:
        """The state of the issue at the beginning of a workflow's run, from the input of the run.

        For the first run that is the state after the report; for a later run, the state that it took over from the run
        before. None if the API did not start the workflow.
        """
        try:
            issue, report = beginning(start, is_continued=is_continued)
        except ForgedError:
            return None
        return LoadedIssue(issue if report is None else advance(issue, [report], self._now())[0], "beginning")

    async def _from_workflow(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """The issue from its workflow; if no worker answers, from the input of the current run. Raises TemporalDown."""
        try:
            return await self._ask(issue, budget)
        except NoWorker:
            first = await self._gateway.beginning(issue, max(_SHORTEST, budget.left))
            return None if first is None else self.began(first[0], is_continued=first[1])

    async def _ask(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """Queries the workflow for the issue, and remembers the version. Raises NoWorker or TemporalDown."""
        if budget.left < _SHORTEST:
            raise NoWorker
        try:
            live = await self._gateway.snapshot(issue, min(_QUERY, budget.left))
        except NoWorker:
            self._has_no_worker = True
            raise
        if live is None:
            return None
        self._has_no_worker = False
        self._versions[live.id] = max(live.version, self._versions.get(live.id, 0))
        self._versions.move_to_end(live.id)
        if len(self._versions) > _MOST_VERSIONS:
            self._versions.popitem(last=False)
        return LoadedIssue(live, "live")
