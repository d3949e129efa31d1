"""The clock of this host, which stamps commands, and its difference from the clock of the database."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.wire import truncate
from domain.worktime import SHANGHAI

Now = Callable[[], datetime]

MOST_SKEW: Final = timedelta(seconds=1)


def now() -> datetime:
    """The present time in UTC, in whole milliseconds, as commands are stamped with it."""
    return truncate(datetime.now(UTC))


def today(moment: datetime) -> date:
    """The date in Shanghai, where the residents live, at the given moment."""
    return moment.astimezone(SHANGHAI).date()


class Skew:
    """The difference between the clocks of this host and of the database. Beyond MOST_SKEW no command is stamped."""

    def __init__(self) -> None:
        self._found = timedelta()

    def compare(self, before: datetime, theirs: datetime, after: datetime) -> timedelta:
        """Remembers and returns the difference of this host's clock from `theirs`, the time that the database answered.

        `before` and `after` are this host's times around the question. A difference that the latency between them
        may explain does not count.
        """
        middle = before + (after - before) / 2
        uncertain = (after - before) / 2
        apart = abs(theirs - middle)
        self._found = max(apart - uncertain, timedelta())
        return self._found

    @property
    def is_bad(self) -> bool:
        return self._found > MOST_SKEW
