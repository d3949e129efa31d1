"""``jiesu calendar publish``: sends a year's working days to the open issues as recorded commands."""

from datetime import UTC, datetime
from pathlib import Path

import structlog
from temporalio.service import RPCError

import calendars
from audit.runs import issues_of
from cli.database import opened
from cli.errors import Failure
from db import queries
from domain.commands import calendar_command_id
from domain.wire import dump, format_time, truncate
from runtime.settings import Settings
from runtime.temporal import connect
from security.opening import open_converter, open_signer
from workflows.signals import signal

log = structlog.get_logger("calendar")


async def publish(settings: Settings, file: Path) -> int:
    """Sends the command `calendar_published` to every open issue without this calendar. Returns how many were sent.

    The id of each command is derived from issue and calendar, so publishing again after a failure has no second effect.
    Raises Failure if the file is no calendar, or Temporal does not answer.
    """
    try:
        calendar = calendars.load_file(file)
    except (ValueError, OSError) as error:
        raise Failure(str(error)) from None
    signer = open_signer(settings)
    client = await connect(settings, timeout=10.0, converter=open_converter(settings))
    if client is None:
        raise Failure(f"no Temporal at {settings.address}")
    sent = 0
    async with opened(settings) as database:
        async for issue in issues_of(client, "ExecutionStatus='Running'"):
            async with database.read() as session:
                known = await queries.issue(session, issue)
            if known is None or known.is_closed or calendar in known.calendars:
                continue
            actor = {"person": "operator", "role": "admin", "org": known.place.street}
            command = {
                "id": calendar_command_id(issue, calendar),
                "at": format_time(truncate(datetime.now(UTC))),
                "actor": actor,
                "body": {"calendar": dump(calendar)},
                "grants": [{"role": "admin", "org": known.place.street, "by": "order"}],
            }
            command = signer.sign(known.root, issue, "calendar_published", command)
            try:
                await signal(client, issue, "calendar_published", command)
                sent += 1
            except RPCError as error:  # closed in the meantime, or Temporal is down
                log.warning("calendar_not_sent", issue=issue, reason=error.message)
    return sent
