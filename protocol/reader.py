"""Loads issues for callers who may see them: from the read model, else from the workflow, else from its input."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from db import queries
from domain.access import may_see
from domain.advance import advance
from domain.commands import Actor
from domain.events import Event
from domain.issue import Issue
from protocol.caller import Caller
from protocol.clock import Now
from protocol.errors import NotFound, Unavailable
from protocol.gateway import NoWorker, TemporalDown, TemporalGateway
from protocol.pending import Queued, stored
from protocol.read_model import ReadModel, SqlDown
from protocol.time_budget import REQUEST_SECONDS, TimeBudget
from security.keystore import KeyStoreDown
from security.vault import Vault
from workflows.contract import Start
from workflows.mailbox import ForgedError, beginning

HOLD: Final = 0.05
"""Seconds that a 404 takes at least: more than it takes to find an issue."""
_QUERY: Final = 0.9
_SHORTEST: Final = 0.01
_MOST_VERSIONS: Final = 10_000

Shows = Callable[[Issue], bool]
"""Whether the caller may see an issue in this state."""
CommandOf = Callable[[Issue], str | None]
"""The id of the command that the caller gives to an issue; None if there is none."""


def _no_command(_: Issue) -> None:
    return None


@dataclass(frozen=True)
class LoadedIssue:
    """An issue and where it is from.

    A row may lag a little; `live` is the workflow's own state; `beginning`, where nothing else answers, is the state
    from the input of the workflow's current run. `pending` is the command that was asked for together with a row, if it
    waits for its receipt.
    """

    issue: Issue
    origin: Literal["row", "live", "beginning"]
    pending: Queued | None = None


@dataclass(frozen=True)
class VisibleIssue:
    """An issue that the caller may see, and as whom."""

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
        """The newest version that a workflow has returned, by issue; older rows are not shown after that."""
        self._has_no_worker = False

    async def row(self, issue: str, command_of: CommandOf = _no_command) -> LoadedIssue | None:
        """The issue from the read model, with the pending command of that id. Raises SqlDown."""
        async with self._model.read() as session:
            if (found := await queries.issue(session, issue)) is None:
                return None
            command = command_of(found)
            return LoadedIssue(found, "row", None if command is None else await stored(session, command))

    async def find(
        self, issue: str, shows: Shows, budget: TimeBudget, command_of: CommandOf = _no_command
    ) -> LoadedIssue:
        """The issue, if the caller may see it. Raises NotFound or Unavailable.

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
        """The issue as this caller sees it; a row together with the pending command of this idempotency key.

        Raises as `find`.
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
        """As `visible`, but Unavailable rather than a state that may be long past."""
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
        """Whether its workflow has returned a newer version."""
        return loaded.issue.version < self._versions.get(loaded.issue.id, 0)

    async def hold(self, budget: TimeBudget) -> None:
        """Pads a 404 to the time that a hit takes, so that it does not reveal whether the issue exists."""
        # Without a worker a hit takes the whole budget, while Temporal says at once that there is no such workflow.
        await self._sleep(max(0.0, (REQUEST_SECONDS if self._has_no_worker else HOLD) - budget.spent))

    async def live(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """The issue from its workflow; None if that does not exist, or neither worker nor Temporal answers."""
        try:
            return await self._ask(issue, budget)
        except (NoWorker, TemporalDown):
            return None

    async def without_row(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """As `live`, but only while the database is away: else other processes would go on showing an older row."""
        return None if self._model.is_up else await self.live(issue, budget)

    async def timeline(self, issue: Issue) -> Sequence[Event]:
        """The events of the issue, at least up to this version, their texts sealed. Raises Unavailable."""
        try:
            async with self._model.read() as session:
                events = await queries.timeline(session, issue.id)
        except SqlDown:
            raise Unavailable("the timeline cannot be read") from None
        if len(events) < issue.version:
            raise Unavailable("the timeline is being written")
        return events

    async def opened(self, issue: str, events: Sequence[Event]) -> Sequence[Event]:
        """The events with their texts opened, or with what replaces erased ones. Raises Unavailable."""
        try:
            return await self._vault.open_body(issue, tuple(events))
        except KeyStoreDown:
            raise Unavailable("the key store does not answer, so nothing that was written can be read") from None

    def began(self, start: Start, *, is_continued: bool) -> LoadedIssue | None:
        """The state at the beginning of a run: the one that it continues, or the one that its report leads to.

        None for a run that was not started by the API.
        """
        try:
            issue, report = beginning(start, is_continued=is_continued)
        except ForgedError:
            return None
        return LoadedIssue(issue if report is None else advance(issue, [report], self._now())[0], "beginning")

    async def _from_workflow(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """From the workflow; without a worker, from the input of its run. Raises TemporalDown."""
        try:
            return await self._ask(issue, budget)
        except NoWorker:
            first = await self._gateway.beginning(issue, max(_SHORTEST, budget.left))
            return None if first is None else self.began(first[0], is_continued=first[1])

    async def _ask(self, issue: str, budget: TimeBudget) -> LoadedIssue | None:
        """Queries the workflow, and notes its version. Raises NoWorker or TemporalDown."""
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
