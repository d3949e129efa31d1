"""A circuit breaker: while a service is down, calls to the service are refused at once instead of waiting for it."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import structlog

log: Final = structlog.stdlib.get_logger(__name__)


class Breaker:
    """The circuit breaker of one service: closed while calls are allowed, open after a call failed.

    While it is open, it allows one trial call every `rest` seconds; the first call that succeeds closes it. A timeout
    within `busy` seconds of a success does not open it: then the service is busy, not down. `opened` and `closed` are
    the names of the log events.
    """

    def __init__(
        self, rest: float, *, opened: str, closed: str, clock: Callable[[], float] = time.monotonic, busy: float = 0.0
    ) -> None:
        self._rest = rest
        self._opened = opened
        self._closed = closed
        self._clock = clock
        self._busy = busy
        self._open_until: float | None = None
        self._trial: object | None = None
        """The latest trial, until a call has a result."""
        self._succeeded_at = -busy

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    @contextmanager
    def attempt(self) -> Generator[bool]:
        """Whether a call may be made now, which the caller makes within the context and ends by `trip` or `close`.

        While it is open, one caller at a time is allowed a trial. A trial without a result, such as a cancelled one,
        lets the next caller try at once.
        """
        if self._open_until is None:
            yield True
        elif self._clock() < self._open_until:
            yield False
        else:
            self._open_until = self._clock() + self._rest
            trial = self._trial = object()
            try:
                yield True
            finally:
                if self._trial is trial:
                    self._open_until = self._clock()

    def trip(self, error: BaseException) -> None:
        """Opens the breaker, after a call that failed with `error`."""
        too_slow = isinstance(error, TimeoutError | asyncio.CancelledError)
        if too_slow and self._clock() - self._succeeded_at < self._busy:
            return
        if self._open_until is None:
            log.warning(self._opened, error=type(error).__name__)
        self._trial = None
        self._open_until = self._clock() + self._rest

    def close(self) -> None:
        """Closes the breaker, after a call that succeeded."""
        if self._open_until is not None:
            log.info(self._closed)
        self._trial = self._open_until = None
        self._succeeded_at = self._clock()
