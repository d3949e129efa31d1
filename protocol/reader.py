"""Loads issues for callers who may see them.

An issue comes from the read model, else from its workflow, else from the input of the workflow's current run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from db import queries
from domain.access import may_see
from domain.accounts import Climb, accounts
from domain.advance import advance
from domain.commands import Actor, Upload
from domain.events import Event
from domain.issue import Issue
from protocol.caller import Caller
from protocol.clock import Now
from protocol.errors import NotFound, Unavailable
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
    """An issue that the caller may see, and the actor as whom the caller sees it."""

    loaded: LoadedIssue
    actor: Actor

    @property
    def issue(self) -> Issue:
        return self.loaded.issue


class Reader:
    """Loads issues and their events for callers."""

    def __init__(
        self, model: ReadModel, gateway: TemporalGateway, vault: Vault, now: Now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._model = model
        self._gateway = gateway
        self._vault = vault
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
        raise NotFound if is_sure else Unavailable("the record cannot be read")

    async def visible(self, caller: Caller, issue: str, budget: TimeBudget, key: str | None = None) -> VisibleIssue:
        """The issue, and the actor as whom the caller sees it.

        With `key`, an issue that is read from SQL comes with the caller's command under this idempotency key, as long
        as that command waits for its receipt.
        Raises NotFound if the issue does not exist or the caller may not see it, Unavailable if it cannot be read.
        """

        def shows(found: Issue) -> bool:
            actor = caller.in_issue(found)
            return actor is not None and may_see(found, actor)

        loaded = await self.find(
            issue, shows, budget, _no_command if key is None else lambda found: caller.command_id(found, key)
        )
        actor = caller.in_issue(loaded.issue)
        assert actor is not None
        return VisibleIssue(loaded, actor)

    async def readable(self, caller: Caller, issue: str) -> VisibleIssue:
        """The issue, and the actor as whom the caller sees it.

        Raises NotFound if the issue does not exist or the caller may not see it, Unavailable if it cannot be read or
        only a state is known that may be long past.
        """
        seen = await self.visible(caller, issue, TimeBudget())
        match seen.loaded.origin:
            case "live":
                is_past = False
            case "row":
                is_past = self.is_outdated(seen.loaded)
            case "beginning":
                is_past = not self._model.is_up or issue in self._versions
        if is_past:
            raise Unavailable("the issue cannot be read at the moment")
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

    async def timeline(self, issue: Issue) -> tuple[Sequence[Event], Sequence[Climb]]:
        """The events of the issue, with their texts still sealed, and the climbs on the accounts of its handlers.

        The events reach at least to the version of `issue`. Raises Unavailable if they cannot be read or
        some are missing yet.
        """
        try:
            async with self._model.read() as session:
                events = await queries.timeline(session, issue.id)
                pins = await queries.pins(session, issue.id) if events else (issue.policy, issue.calendars)
        except SqlDown:
            raise Unavailable("the timeline cannot be read") from None
        if len(events) < issue.version:
            raise Unavailable("the timeline is being written")
        return events, accounts(events, *pins)

    async def uploads(self, issue: str, digests: Collection[str]) -> tuple[Upload, ...]:
        """The pictures of the issue with one of these digests, and who uploaded them. Raises Unavailable."""
        return await uploads(self._model, self._vault, issue, digests)

    async def opened(self, issue: str, events: Sequence[Event]) -> Sequence[Event]:
        """The events with their texts opened; a placeholder replaces an erased text. Raises Unavailable."""
        try:
            return await self._vault.open_body(issue, tuple(events))
        except KeyStoreDown:
            raise Unavailable("the key store does not answer, so nothing that was written can be read") from None

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
