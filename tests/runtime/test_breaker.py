"""The circuit breaker spares callers a failing service, and tries when it is back."""

import asyncio

import pytest
from structlog.testing import capture_logs

from runtime.breaker import Breaker
from support import logs


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def make(clock: Clock, busy: float = 0.0) -> Breaker:
    return Breaker(5, opened="down", closed="up", clock=clock, busy=busy)


def allows(breaker: Breaker) -> bool:
    with breaker.attempt() as allowed:
        return allowed


def test_while_it_is_open_one_caller_in_each_rest_makes_a_trial() -> None:
    breaker = make(clock := Clock())
    with breaker.attempt() as allowed:
        assert allowed
        breaker.trip(OSError())
    assert not allows(breaker)
    clock.seconds = 5
    with breaker.attempt() as allowed:
        assert allowed
        assert [allows(breaker) for _ in range(2)] == [False, False]
        clock.seconds = 10
        with breaker.attempt() as later:
            assert later, "the first trial takes longer than a rest"
            breaker.close()
    assert [allows(breaker) for _ in range(3)] == [True, True, True]


def test_a_trial_that_fails_begins_another_rest() -> None:
    breaker = make(clock := Clock())
    breaker.trip(OSError())
    clock.seconds = 5
    with breaker.attempt() as allowed:
        assert allowed
        breaker.trip(OSError())
    clock.seconds = 9.9
    assert not allows(breaker)
    clock.seconds = 10
    assert allows(breaker)


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyError])
def test_after_a_trial_without_a_result_the_next_caller_may_try_at_once(error: type[BaseException]) -> None:
    breaker = make(clock := Clock())
    breaker.trip(OSError())
    clock.seconds = 5
    with pytest.raises(error), breaker.attempt():
        raise error
    assert breaker.is_open
    assert allows(breaker)


def test_a_late_end_of_a_trial_does_not_allow_a_second_one_beside_its_successor() -> None:
    breaker = make(clock := Clock())
    breaker.trip(OSError())
    clock.seconds = 5
    first = breaker.attempt()
    assert first.__enter__()
    clock.seconds = 10
    with breaker.attempt() as second:
        assert second
        first.__exit__(None, None, None)
        assert not allows(breaker)


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
    assert logs.of(lines, ("down", "up")) == [("down", "warning"), ("up", "info")]
