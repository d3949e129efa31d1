"""Tells caller and operators that somebody deleted or ended the workflow of an issue, so that nobody acts on it any more."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy.orm import Session

from db.alarms import put_alarm_once
from domain.wire import truncate
from protocol.clock import Now
from protocol.errors import Unavailable
from protocol.gateway import TemporalDown, TemporalGateway
from protocol.read_model import ReadModel, SqlDown

log: Final = structlog.stdlib.get_logger(__name__)


async def check_attended(gateway: TemporalGateway, model: ReadModel, issue: str, now: Now) -> None:
    """Raises Unavailable if the issue has no workflow any more or it was ended from outside, after raising the alarm.

    The alarm is the one that the worker's look from outside and the reconciler raise, if they were not first.
    """
    with suppress(TemporalDown):
        run = await gateway.newest_run(issue)
        if run is None:
            await _tell(model, "gone-from-temporal", issue, {}, now)
        elif run.was_ended:
            await _tell(model, "ended-from-outside", issue, {"run": run.run_id, "status": run.status}, now)


async def _tell(model: ReadModel, kind: str, issue: str, detail: Mapping[str, str], now: Now) -> None:
    def work(session: Session) -> None:
        put_alarm_once(session, kind, issue, detail, truncate(now()), ever=True)

    try:
        await model.write(work)
    except SqlDown:
        log.error("issue_abandoned", kind=kind, issue=issue, **detail)  # noqa: TRY400 - the message says it all
    raise Unavailable("abandoned")
