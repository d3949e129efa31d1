"""A small part of `make fuzz` in every run, and checks that the fuzz finds planted faults."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload

from tests.fuzz import targets
from tests.fuzz.run import Hang, Target, given, run
from tests.fuzz.targets import SHARES, TARGETS

SEED = 20261127
SMALL = {"policies": 600, "queries": 500, "workbooks": 400}
"""Inputs of those targets that take their time; of the others, a thousand."""


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_inputs_give_clear_errors_only(name: str) -> None:
    tally = run(TARGETS[name], SEED, range(SMALL.get(name, 1000)))
    assert [str(failure) for failure in tally.failures] == []
    assert len(tally.outcomes) > 1, "some are taken, and some are not"


@pytest.mark.parametrize("name", TARGETS)
def test_an_input_follows_from_seed_and_number(name: str) -> None:
    assert given(TARGETS[name], SEED, 7) == given(TARGETS[name], SEED, 7)
    assert len({repr(given(TARGETS[name], SEED, number)) for number in range(50)}) > 25


class Wrong:
    """A codec that opens nothing, or one thing whatever it is given."""

    def __init__(self, found: Payload | None) -> None:
        self.found = found

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self.found or payload for payload in payloads]


@pytest.mark.parametrize("found", [None, Payload(data=b"x"), targets._CLEAR[0]])
def test_a_codec_that_gives_something_else_fails(monkeypatch: pytest.MonkeyPatch, found: Payload | None) -> None:
    monkeypatch.setattr(targets, "_CODEC", Wrong(found))
    assert run(TARGETS["payloads"], SEED, range(100)).failures


def test_a_night_takes_a_million_inputs() -> None:
    assert SHARES.keys() == TARGETS.keys()
    assert sum(SHARES.values()) >= 1_000_000


def ends_never(_: Any) -> str:
    while True:
        pass


def is_caught(_: Any) -> str:
    try:
        return ends_never(None)
    except Exception:  # noqa: BLE001  as much as the code under test may do
        return "caught"


def raises(_: Any) -> str:
    raise KeyError("x")


@pytest.mark.parametrize(("take", "error"), [(ends_never, Hang), (is_caught, Hang), (raises, KeyError)])
def test_the_fuzz_reports_hanging_and_crashing_targets(
    monkeypatch: pytest.MonkeyPatch, take: Callable[[Any], str], error: type[BaseException]
) -> None:
    monkeypatch.setattr("tests.fuzz.run.SECONDS", 0.05)
    tally = run(Target("x", Random.random, take), 1, range(2))
    assert [failure.error.partition(":")[0] for failure in tally.failures] == [error.__name__] * 2
