"""Finds issues for those who may see them: in the read model, else from the workflow, else from how it began."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from activities.contract import Start
from api.gateway import Gateway, Silent, Unreachable, read_pins
from api.identity import Caller
from api.problems import NotFound, Unavailable
from api.readmodel import ReadModel, SqlDown
from api.stamp import Now
from db import queries
from domain.access import may_see
from domain.advance import advance
from domain.commands import Actor, load_command
from domain.events import Event
from domain.issue import Issue, load_issue

_MOST_FLOORS: Final = 10_000


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

    def __init__(self, model: ReadModel, gateway: Gateway, now: Now) -> None:
        self._model = model
        self._gateway = gateway
        self._now = now
        self._floors: OrderedDict[str, int] = OrderedDict()

    async def row(self, issue: str) -> Issue | None:
        """The issue as the read model has it. Raises SqlDown."""
        async with self._model.read() as session:
            return await queries.issue(session, issue)

    async def find(self, issue: str) -> Known:
        """The issue, whoever asks. Raises NotFound or Unavailable."""
        try:
            row, is_up = await self.row(issue), True
        except SqlDown:
            row, is_up = None, False
        if row is not None and row.version >= self._floors.get(issue, 0):
            return Known(row, "row")
        try:
            live = await self._from_workflow(issue)
        except Unreachable:
            live = None
            is_up = is_up and row is not None
        if live is not None and (row is None or live.issue.version >= row.version):
            return live
        if row is not None:
            return Known(row, "row")
        if is_up:
            raise NotFound
        # One that Temporal has forgotten may be in the database still.
        raise Unavailable("the record cannot be read")

    async def visible(self, caller: Caller, issue: str) -> Seen:
        """The issue as this caller sees it. Raises NotFound for a foreign one, as for one that does not exist."""
        known = await self.find(issue)
        actor = caller.in_issue(known.issue)
        if actor is not None and may_see(known.issue, actor):
            return Seen(known, actor)
        if known.origin == "row":
            # The row may not know yet that it was given to this org. And so a foreign issue takes as long as none.
            live = await self.live(issue)
            if live is not None and actor is not None and may_see(live, actor):
                return Seen(Known(live, "live"), actor)
        if known.origin == "beginning" and actor is not None:
            raise Unavailable("nobody can say at the moment who may see this issue")
        raise NotFound

    async def readable(self, caller: Caller, issue: str) -> Seen:
        """As `visible`, for those who want to know how it stands: never a state that may be long past."""
        seen = await self.visible(caller, issue)
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

    async def live(self, issue: str, patience: float = 0.9) -> Issue | None:
        """The issue as its workflow has it; None if nobody answers for it or Temporal does not know it (any more)."""
        try:
            return self._shown(await self._gateway.snapshot(issue, patience))
        except (Silent, Unreachable):
            return None

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

    async def _from_workflow(self, issue: str) -> Known | None:
        """From the workflow; where no worker answers, from the input of its run. Raises Unreachable."""
        try:
            found = self._shown(await self._gateway.snapshot(issue))
        except Silent:
            start = await self._gateway.beginning(issue)
            if start is None:
                return None
            return Known(self.began(start), "beginning")
        return None if found is None else Known(found, "live")

    def _shown(self, live: Issue | None) -> Issue | None:
        """Notes a version that may be seen before its row is there: no read shows an earlier one from now on."""
        if live is not None:
            self._floors[live.id] = max(live.version, self._floors.get(live.id, 0))
            self._floors.move_to_end(live.id)
            if len(self._floors) > _MOST_FLOORS:
                self._floors.popitem(last=False)
        return live

    def began(self, start: Start) -> Issue:
        """The state at the beginning of a run: the one it continues, or the one that its report leads to."""
        pins = read_pins(start.policy, start.calendars)
        if start.state is not None:
            return load_issue(start.state, pins.policy, pins.calendars)
        inbox = [load_command("report", start.report)] if start.report is not None else []
        empty = Issue.new(start.issue, pins.policy, pins.calendars, start.rules_version)
        return advance(empty, inbox, self._now())[0]
