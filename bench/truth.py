"""Asks the one checker whether everything that was measured so far is also right."""

from datetime import UTC, datetime, timedelta
from typing import Final

from audit.invariants import check
from bench.figures import Figure, Goal, Result
from bench.run import Run
from db.engine import Database
from domain.wire import truncate

ABOUT: Final = (
    "Every issue of the measurements above, by the checker that fault tests and the audit use (I1-I5, I8-I10)."
)
_BOUND: Final = timedelta(seconds=30)
_SHOWN: Final = 5


async def truth(run: Run) -> Result:
    """How many violations there are: none, or the figures above are worth nothing."""
    database = Database(run.stage.settings.database)
    try:
        now = truncate(datetime.now(UTC))
        # Without the workflows' own snapshots: nearly all are closed, and each would be replayed once more for it.
        found = await check(run.stage.protected, database, now=now, bound=_BOUND, workflow=False)
    finally:
        await database.close()
    result = Result("truth", ABOUT)
    result.figures = [Figure("violations of what must always hold", (len(found),), goal=Goal("==", 0))]
    result.remarks = [str(each) for each in found[:_SHOWN]]
    return result
