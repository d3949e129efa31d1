"""The circuit breaker spares callers a failing service, and tries when it is back."""

from structlog.testing import capture_logs

from runtime.breaker import Breaker


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def make(clock: Clock, busy: float = 0.0) -> Breaker:
    return Breaker(5, opened="down", closed="up", clock=clock, busy=busy)


def test_while_it_is_open_one_caller_in_each_rest_makes_a_trial() -> None:
    breaker = make(clock := Clock())
    assert breaker.allows()
    breaker.trip(OSError())
    assert not breaker.allows()
    clock.seconds = 5
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    clock.seconds = 10
    assert breaker.allows()
    breaker.close()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_trial_that_fails_begins_another_rest() -> None:
    breaker = make(clock := Clock())
    breaker.trip(OSError())
    clock.seconds = 5
    assert breaker.allows()
    clock.seconds = 6
    breaker.trip(OSError())
    clock.seconds = 10.9
    assert not breaker.allows()
    clock.seconds = 11
    assert breaker.allows()


def test_a_slow_call_does_not_open_it_while_others_succeed() -> None:
    breaker = make(clock := Clock(), busy=0.5)
    breaker.close()
    clock.seconds = 0.4
    breaker.trip(TimeoutError())
    assert not breaker.is_open
    clock.seconds = 0.6
    breaker.trip(TimeoutError())
    assert breaker.is_open


def test_an_outage_is_two_lines_in_the_log() -> None:
    breaker = make(Clock())
    with capture_logs() as lines:
        for _ in range(3):
            breaker.trip(OSError())
        for _ in range(3):
            breaker.close()
    assert [(line["event"], line["log_level"]) for line in lines] == [("down", "warning"), ("up", "info")]
