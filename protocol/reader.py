"""Finds issues for those who may see them: in the read model, else from the workflow, else from how it began."""

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
from protocol.gateway import Gateway, Silent, Unreachable
from protocol.read_model import ReadModel, SqlDown
from protocol.time_budget import PATIENCE, Patience
from workflows.contract import Start
from workflows.mailbox import ForgedError, beginning

HOLD: Final = 0.05
"""Seconds that it takes at least to say that there is no such issue: more than it takes to look for one."""
_QUERY: Final = 0.9
_SHORTEST: Final = 0.01
_MOST_FLOORS: Final = 10_000

Shows = Callable[[Issue], bool]
"""Whether an issue, as it stands in some state, is one for whoever asks."""


@dataclass(frozen=True)
class Known:
    """An issue and where it is from: a row may lag a little, `live` is the workflow itself.

    `beginning` is where nothing else answers: how the issue was when it was reported, or its run last continued.
    """

    issue: Issue
    origin: Literal["row", "live", "beginning"]


@dataclass(frozen=True)
class Seen:
    """An issue, and as whom the caller sees it."""

    known: Known
    actor: Actor

    @property
    def issue(self) -> Issue:
        return self.known.issue


class Reader:
    """See the module."""

    def __init__(
        self, model: ReadModel, gateway: Gateway, now: Now, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._model = model
        self._gateway = gateway
        self._now = now
        self._sleep = sleep
        self._floors: OrderedDict[str, int] = OrderedDict()
        self._is_silent = False

    async def row(self, issue: str) -> Issue | None:
        """The issue as the read model has it. Raises SqlDown."""
        async with self._model.read() as session:
            return await queries.issue(session, issue)

    async def find(self, issue: str, shows: Shows, patience: Patience) -> Known:
        """The issue, if it is one for whoever asks.

        Raises NotFound or Unavailable, and for a foreign issue whichever one that does not exist would get: that
        takes as long, and depends on nothing but on who answers at the moment.
        """
        row, is_sure = None, True
        try:
            if (found := await self.row(issue)) is not None:
                row = Known(found, "row")
        except SqlDown:
            is_sure = False  # one that Temporal has forgotten may be in the database still
        if row is not None and shows(row.issue) and row.issue.version >= self._floors.get(issue, 0):
            return row
        try:
            # A row may not know yet that the issue was given to somebody.
            live = await self._from_workflow(issue, patience)
        except Unreachable:
            live, is_sure = None, False
        newest = live if row is None or (live is not None and live.issue.version >= row.issue.version) else row
        if newest is not None and shows(newest.issue):
            return newest
        await self.hold(patience)
        raise NotFound if is_sure else Unavailable("the record cannot be read")

    async def visible(self, caller: Caller, issue: str, patience: Patience) -> Seen:
        """The issue as this caller sees it. Raises NotFound for a foreign one, as for one that does not exist."""

        def shows(found: Issue) -> bool:
            actor = caller.in_issue(found)
            return actor is not None and may_see(found, actor)

        known = await self.find(issue, shows, patience)
        actor = caller.in_issue(known.issue)
        assert actor is not None
        return Seen(known, actor)

    async def readable(self, caller: Caller, issue: str) -> Seen:
        """As `visible`, for those who want to know how it stands: never a state that may be long past."""
        seen = await self.visible(caller, issue, Patience())
        match seen.known.origin:
            case "live":
                is_past = False
            case "row":
                is_past = seen.issue.version < self._floors.get(issue, 0)
            case "beginning":
                is_past = not self._model.is_up or issue in self._floors
        if is_past:
            raise Unavailable("the issue cannot be read at the moment")
        return seen

    async def hold(self, patience: Patience) -> None:
        """Waits before it is said that there is no such thing: no sooner than it would be said of one that is there."""
        # While no worker answers, an issue is asked after as long as there is patience, and one that is not there is not.
        await self._sleep(max(0.0, (PATIENCE if self._is_silent else HOLD) - patience.spent))

    async def live(self, issue: str, patience: Patience) -> Issue | None:
        """The issue as its workflow has it; None if nobody answers for it or Temporal does not know it (any more)."""
        try:
            return await self._ask(issue, patience)
        except (Silent, Unreachable):
            return None

    async def without_row(self, issue: str, patience: Patience) -> Issue | None:
        """As `live`, but only while the database is away.

        While it answers, only what it shows is told: any other process would go on showing what is older.
        """
        return None if self._model.is_up else await self.live(issue, patience)

    async def timeline(self, issue: Issue) -> Sequence[Event]:
        """Its events, at least up to this version. Raises Unavailable."""
        try:
            async with self._model.read() as session:
                events = await queries.timeline(session, issue.id)
        except SqlDown:
            raise Unavailable("the timeline cannot be read") from None
        if len(events) < issue.version:
            raise Unavailable("the timeline is being written")
        return events

    def began(self, start: Start, *, is_continued: bool) -> Issue | None:
        """The state at the beginning of a run: the one it continues, or the one that its report leads to.

        None for a run that somebody else than the API began.
        """
        try:
            issue, report = beginning(start, is_continued=is_continued)
        except ForgedError:
            return None
        return issue if report is None else advance(issue, [report], self._now())[0]

    async def _from_workflow(self, issue: str, patience: Patience) -> Known | None:
        """From the workflow; where no worker answers, from the input of its run. Raises Unreachable."""
        try:
            found = await self._ask(issue, patience)
        except Silent:
            first = await self._gateway.beginning(issue, max(_SHORTEST, patience.left))
            began = None if first is None else self.began(first[0], is_continued=first[1])
            return began and Known(began, "beginning")
        return None if found is None else Known(found, "live")

    async def _ask(self, issue: str, patience: Patience) -> Issue | None:
        """Asks the workflow, and notes the version: no read shows an earlier one from now on.

        Raises Silent or Unreachable.
        """
        if patience.left < _SHORTEST:
            raise Silent
        try:
            live = await self._gateway.snapshot(issue, min(_QUERY, patience.left))
        except Silent:
            self._is_silent = True
            raise
        if live is not None:
            self._is_silent = False
            self._floors[live.id] = max(live.version, self._floors.get(live.id, 0))
            self._floors.move_to_end(live.id)
            if len(self._floors) > _MOST_FLOORS:
                self._floors.popitem(last=False)
        return live
