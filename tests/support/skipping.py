"""Issues under the real workflow and records on a time-skipping server: months pass in a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.notices import Deliverer, TableChannel
from audit.archive import Archive
from cli.install import EXAMPLE, read_directory
from db import queries
from db.engine import Database
from db.upgrade import upgrade
from domain.commands import Authority
from domain.directory import Directory
from domain.events import Event
from domain.issue import RULES_VERSION, Issue
from domain.minutes import totals
from domain.pins import pins_digest
from domain.place import Place
from domain.wire import dump, format_time, truncate
from domain.worktime import SHANGHAI, YearCalendar
from policies.loader import load_pack
from security.keys import Keys
from support.keys import ephemeral_keys
from support.signers import lasting_signer
from support.temporal import find_test_server
from worker import build, handlers
from workflows.contract import PREFIX, TASK_QUEUE, Start
from workflows.signals import signal

DAY_ENDS: Final = time(23, 59, 59)


@dataclass
class SkippedTime:
    """One server, one worker, one database. Everything is told with moments, which may lie months ahead."""

    environment: WorkflowEnvironment
    database: Database
    directory: Directory
    deliverer: Deliverer
    keys: Keys
    places: dict[str, Place] = field(default_factory=dict)
    open: dict[str, WorkflowHandle[Any, Any]] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: count(1))

    async def now(self) -> datetime:
        return truncate(await self.environment.get_current_time())

    async def next(self, weekday: int, clock: str) -> datetime:
        """The next such moment in Shanghai, Monday being 0, at least a minute from now."""
        hour, minute = map(int, clock.split(":"))
        soonest = (await self.now() + timedelta(minutes=1)).astimezone(SHANGHAI)
        found = soonest.replace(hour=hour, minute=minute, second=0, microsecond=0)
        found += timedelta(days=(weekday - found.weekday()) % 7)
        return found if found >= soonest else found + timedelta(days=7)

    async def until(self, moment: datetime) -> None:
        """Lets time pass; what the clocks do meanwhile is on record afterwards."""
        left = moment - await self.now()
        if left > timedelta():
            await self.environment.sleep(left)
        await self.settle()

    async def report(
        self,
        at: datetime,
        compound: str,
        body: Mapping[str, Any],
        calendars: Sequence[YearCalendar],
        policy: str | None = None,
    ) -> str:
        """An issue, resolved by the example directory as the API does it (but for a given `policy`); its id."""
        issue = f"skipped-{next(self.ids)}"
        day = at.astimezone(SHANGHAI).date()
        place = self.directory.place(compound, day)
        policy = policy or self.directory.policy_for(compound, body["category"], day)
        assert place is not None
        assert policy is not None
        pack, root = load_pack(policy), self.keys.signer.root
        covers = pins_digest(pack, tuple(calendars), RULES_VERSION)
        report = {
            "id": f"report-{issue}",
            "at": format_time(at),
            "actor": {"person": f"reporter-{issue}", "role": "resident"},
            "body": {**body, "number": issue, "place": dump(place), "root": root, "pins": covers},
            "grants": [{"role": "resident", "by": "report"}],
        }
        start = Start(
            issue=issue,
            policy=dump(pack),
            calendars=[dump(calendar) for calendar in calendars],
            rules_version=RULES_VERSION,
            report=self.keys.signer.sign(root, issue, "report", report),
        )
        self.places[issue] = place
        self.open[issue] = await self.environment.client.start_workflow(
            "Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE
        )
        await self.settle()
        return issue

    async def give(
        self, issue: str, at: datetime, name: str, actor: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> None:
        """A command, with what the API resolves for it; what follows from it elsewhere is done as well."""
        await self.send(issue, at, name, actor, body)
        await self.settle()
        await self.deliverer.deliver_pending()
        await self.settle()

    async def send(
        self, issue: str, at: datetime, name: str, actor: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> None:
        """The command alone, signed."""
        plain = dict(body or {})
        if "handler" in plain:
            org = self.directory.org(plain["handler"])
            assert org is not None
            plain["handler_kind"] = org.kind
            plain["handler_streets"] = self.directory.reach(org.code, at.astimezone(SHANGHAI).date())
        if name == "complete":
            plain["pictures"] = [
                {"digest": each, "person": actor["person"], "org": actor.get("org"), "at": format_time(at)}
                for each in plain.get("evidence", ())
            ]
        held = Authority(actor["role"], actor.get("org"))
        grants = self.directory.grants_in(self.places[issue], [held], at.astimezone(SHANGHAI).date())
        command = {
            "id": f"command-{next(self.ids)}", "at": format_time(at), "actor": dict(actor), "body": plain,
            "grants": dump(grants),
        }  # fmt: skip
        signer = self.keys.signer
        await signal(self.environment.client, issue, name, signer.sign(signer.root, issue, name, command))

    async def settle(self) -> None:
        """Returns when every open issue has folded what it was told, and the record shows it."""
        for issue, handle in list(self.open.items()):
            snapshot: dict[str, Any] = await handle.query("snapshot")
            async with asyncio.timeout(90):
                while (await self.issue(issue)).version < snapshot["state"]["version"]:
                    await asyncio.sleep(0.002)
            if (await self.issue(issue)).is_closed:
                del self.open[issue]

    async def issue(self, issue: str) -> Issue:
        async with self.database.read() as session:
            found = await queries.issue(session, issue)
        return found or Issue.new(issue, load_pack("demo"), ())

    async def events(self, issue: str) -> tuple[Event, ...]:
        async with self.database.read() as session:
            return await queries.timeline(session, issue)

    async def clear(self) -> None:
        """Ends what is still open, so that its timers do not hold up what comes next."""
        for handle in self.open.values():
            await handle.terminate()
        self.open.clear()


@contextlib.asynccontextmanager
async def skipped_time(folder: Path) -> AsyncIterator[SkippedTime]:
    """The server, its worker and a database of its own. Time stands still but in `until`."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'skipping.db'}")
    await asyncio.to_thread(upgrade, f"sqlite+aiosqlite:///{folder / 'skipping.db'}")
    archive = Archive((folder / "archive").as_uri())
    server = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=find_test_server())
    try:
        async with server as environment, build(environment.client, database):
            with environment.auto_time_skipping_disabled():
                keys = replace(ephemeral_keys(), signer=lasting_signer())
                jobs = handlers(environment.client, database, archive, keys)
                deliverer = Deliverer(database, TableChannel(database), jobs)
                yield SkippedTime(environment, database, read_directory(EXAMPLE), deliverer, keys)
    finally:
        await database.close()


def weekdays_work(around: datetime, *, off: Sequence[Any] = (), on: Sequence[Any] = ()) -> tuple[YearCalendar, ...]:
    """Calendars that do not depend on the day on which the tests run: weekdays work, but for `off`, and `on` does."""
    return tuple(
        YearCalendar(
            year,
            1,
            off=tuple(day for day in off if day.year == year),
            on=tuple(day for day in on if day.year == year),
            source="made up for a test",
        )
        for year in range(around.year, around.year + 3)
    )


def told(events: Sequence[Event], since: datetime) -> str:
    """Each event on a line: day (0 is that of `since`), time in Shanghai, kind, level, clause, and when that was due.

    Seconds are left out: clocks that run from a climb run from its record, a grace later.
    """
    return "\n".join(" ".join(_parts(event, since)) for event in events)


def _parts(event: Event, since: datetime) -> list[str]:
    parts = [_moment(event.at, since), event.kind, event.level]
    if event.clause is not None:
        parts.append(event.clause)
    if event.was_due is not None:
        parts.append("due " + _moment(event.was_due, since))
    return parts


def _moment(moment: datetime, since: datetime) -> str:
    local = moment.astimezone(SHANGHAI)
    if local.time() != DAY_ENDS:
        # Part of the way to a day's last second lies just before a full minute, and after it a grace later.
        local += timedelta(seconds=5)
    return f"{(local.date() - since.astimezone(SHANGHAI).date()).days} {local:%H:%M}"


def minutes(events: Sequence[Event]) -> dict[str, int]:
    """Whole minutes by holder, or by organisation where the holder is one."""
    return {org or holder: round(ms / 60_000) for (holder, org), ms in totals(events).items() if round(ms / 60_000)}
