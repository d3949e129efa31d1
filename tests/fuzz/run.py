"""Runs one target: input after input, each from its own seed, with a watchdog for those that hang."""

import faulthandler
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

SECONDS: Final = 2.0
"""Of this process's own time for one input: a machine that is busy otherwise makes nothing hang."""
_LAST_RESORT: Final = 120.0
"""Seconds on the wall after which a process that heeds nothing is ended, with its stack."""
_EVERY: Final = 2000
_MOST_FAILURES: Final = 10


class Hang(BaseException):
    """An input takes too long. No `Exception`, so that nothing under test catches it."""


@dataclass(frozen=True)
class Target:
    """What takes inputs: `make` gives one, `take` is given it and says in a word what became of it; any exception fails."""

    name: str
    make: Callable[[Random], Any]
    take: Callable[[Any], str]


@dataclass(frozen=True)
class Failure:
    """An input that was not taken as it should be; the number and the seed give it again."""

    target: str
    seed: int
    number: int
    error: str
    given: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz --target {self.target} --seed {self.seed} --only {self.number}"
        return f"{again}\n  {self.error}\n  {self.given}"


@dataclass
class Tally:
    """What became of the inputs of one target."""

    inputs: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.inputs += other.inputs
        self.seconds = max(self.seconds, other.seconds)
        for name, count in other.outcomes.items():
            self.outcomes[name] = self.outcomes.get(name, 0) + count
        self.failures += other.failures


def given(target: Target, seed: int, number: int) -> Any:
    """The input of this number: the same for the same seed, whichever were taken before."""
    return target.make(Random(f"{seed}:{target.name}:{number}"))


def run(target: Target, seed: int, numbers: range) -> Tally:
    """Takes the inputs of these numbers; stops after some failures, since more would say no more."""
    tally, began = Tally(), time.monotonic()
    with _watched():
        for number in numbers:
            if number % _EVERY == numbers.start % _EVERY:
                faulthandler.dump_traceback_later(_LAST_RESORT, exit=True)
            each = given(target, seed, number)
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                outcome = target.take(each)
            except (Exception, Hang) as error:  # noqa: BLE001  that is what is looked for
                tally.failures.append(
                    Failure(target.name, seed, number, f"{type(error).__name__}: {error!s:.300}", f"{each!r:.600}")
                )
                outcome = "failed"
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            tally.inputs += 1
            tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
            if len(tally.failures) >= _MOST_FAILURES:
                break
    tally.seconds = time.monotonic() - began
    return tally


@contextmanager
def _watched() -> Iterator[None]:
    def too_long(_: int, __: Any) -> None:
        raise Hang(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGVTALRM, too_long)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        faulthandler.cancel_dump_traceback_later()
