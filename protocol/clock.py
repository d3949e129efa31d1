"""The clock of this host, which stamps commands, and its difference from the clock of the database."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from domain.wire import truncate
from domain.worktime import SHANGHAI
from protocol.errors import Unavailable
from texts.catalogue import Told

Now = Callable[[], datetime]

MOST_SKEW: Final = timedelta(seconds=1)


def now() -> datetime:
    """The present time in UTC, in whole milliseconds, as commands are stamped with it."""
    return truncate(datetime.now(UTC))


def today(moment: datetime) -> date:
    """The date in Shanghai, where the residents live, at the given moment."""
    return moment.astimezone(SHANGHAI).date()


class Skew:
    """The difference of this host's clock from the database's and Temporal's. Beyond MOST_SKEW no command is stamped."""

    def __init__(self) -> None:
        self._found: dict[str, timedelta] = {}

    def compare(self, before: datetime, theirs: datetime, after: datetime, store: str = "database") -> timedelta:
        """Remembers and returns the difference of this host's clock from `theirs`, the time that the other answered.

        `before` and `after` are this host's times around the question. A difference that the latency between them
        may explain does not count. `store`: whose clock it is, by its name in the table `stores` of `texts/`.
        """
        middle = before + (after - before) / 2
        uncertain = (after - before) / 2
        apart = abs(theirs - middle)
        self._found[store] = max(apart - uncertain, timedelta())
        return self._found[store]

    @property
    def is_bad(self) -> bool:
        return bool(self.apart)

    @property
    def apart(self) -> list[Told]:
        """Those from whose clock this host's differs too much."""
        return [Told("stores", store) for store, found in self._found.items() if found > MOST_SKEW]

    @property
    def wrong(self) -> str:
        """What is wrong, for operators; empty if nothing is."""
        whose = " and ".join(f"{store}'s" for store in self.apart)
        return f"differs from {whose} by more than {MOST_SKEW.seconds} s" if whose else ""

    def check(self) -> None:
        """Raises Unavailable while no command is stamped."""
        if self.is_bad:
            raise Unavailable("clock-wrong", store=self.apart[0], seconds=MOST_SKEW.seconds)
