"""Publishes calendars: stores them for new issues, then sends them to the open issues that they concern."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from audit.runs import issues_of
from cli.database import opened
from cli.errors import Failure
from db import published, queries
from db.engine import Database
from domain.commands import calendar_command_id
from domain.issue import Issue
from domain.pins import Calendars, newest
from domain.wire import dump, truncate
from domain.worktime import YearCalendar
from protocol.cached import FRESH
from protocol.clock import today
from runtime.executions import OPEN
from runtime.settings import Settings
from runtime.temporal import connect
from security.credentials import CredentialsError, Signer
from security.opening import open_converter, open_signer
from workflows.signals import ordered, signal

log = structlog.get_logger("calendar")

_SETTLED: Final = timedelta(seconds=2 * FRESH)
"""After which every API process pins a stored calendar: open issues are listed then, so that none falls between."""


@dataclass
class Publication:
    """What came of it: the calendars known before, whether one is new, how many issues were told, and how many not reached."""

    known: Calendars
    is_new: bool
    told: int = 0
    unreached: int = 0


async def publish(
    settings: Settings, calendars: Sequence[YearCalendar], files: Sequence[YearCalendar], by: str | None
) -> Publication:
    """Stores the calendars, all or none, then sends `calendar_published` to each open issue that lacks one of them.

    `files` are the calendars of this installation's files. The id of each command is derived from issue and calendar,
    so a second run goes on where the first one broke off. Raises Failure if a calendar is not new, or if Temporal does
    not answer; then the calendars are stored all the same.
    """
    async with opened(settings) as database:
        signer = open_signer(settings)
        async with database.read() as session:
            known = newest([*files, *await published.published(session)])
        at = truncate(datetime.now(UTC))
        try:
            stored = await database.transact(lambda session: published.publish(session, calendars, files, at, by))
            since = max(each.at for each in stored)
        except published.NotNewError as error:
            raise Failure(f"nothing was published\n{error}") from None
        client = await connect(settings, timeout=10.0, converter=open_converter(settings))
        if client is None:
            raise Failure(f"new issues get it, but no Temporal at {settings.address}: run the same again for open ones")
        await asyncio.sleep((since + _SETTLED - datetime.now(UTC)).total_seconds())
        done = Publication(known, since == at)
        async for issue in issues_of(client, OPEN):
            await _tell(client, database, signer, issue, calendars, done)
    return done


async def _tell(
    client: Client, database: Database, signer: Signer, issue: str, calendars: Sequence[YearCalendar], done: Publication
) -> None:
    """Sends the issue the calendars that it lacks, and counts that in `done`."""
    async with database.read() as session:
        known = await queries.issue(session, issue)
    if known is None:  # not recorded yet
        done.unreached += 1
        return
    lacking = [calendar for calendar in calendars if not known.is_closed and _lacks(known, calendar)]
    try:
        for calendar in lacking:
            known_as, body = calendar_command_id(issue, calendar), {"calendar": dump(calendar)}
            command = ordered(known_as, known.place.street, body, truncate(datetime.now(UTC)))
            await signal(
                client, issue, "calendar_published", signer.sign(known.root, issue, "calendar_published", command)
            )
        done.told += bool(lacking)
    except (RPCError, RuntimeError, CredentialsError) as error:
        if not (isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND):  # closed in the meantime
            log.warning("calendar_not_sent", issue=issue, reason=str(error))
            done.unreached += 1


def _lacks(issue: Issue, calendar: YearCalendar) -> bool:
    """Whether the issue needs the calendar: it began in that year or before, and knows nothing as new."""
    known = next((each for each in issue.calendars if each.year == calendar.year), None)
    is_newer = known is None or (known != calendar and known.version <= calendar.version)
    return is_newer and today(issue.opened_at).year <= calendar.year
