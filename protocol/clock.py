"""The clock that stamps commands, and how far it differs from the database's clock."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.wire import truncate
from domain.worktime import SHANGHAI

Now = Callable[[], datetime]

MOST_SKEW: Final = timedelta(seconds=1)


def now() -> datetime:
    """The present in UTC, in whole milliseconds, as in commands."""
    return truncate(datetime.now(UTC))


def today(moment: datetime) -> date:
    """The date at that moment in Shanghai, where the residents live."""
    return moment.astimezone(SHANGHAI).date()


class Skew:
    """The difference between this host's clock and the database's; beyond a second no commands are stamped."""

    def __init__(self) -> None:
        self._found = timedelta()

    def compare(self, before: datetime, theirs: datetime, after: datetime) -> timedelta:
        """Records the difference to `theirs`, given our time before and after asking; latency does not count."""
        middle = before + (after - before) / 2
        uncertain = (after - before) / 2
        apart = abs(theirs - middle)
        self._found = max(apart - uncertain, timedelta())
        return self._found

    @property
    def is_bad(self) -> bool:
        return self._found > MOST_SKEW
