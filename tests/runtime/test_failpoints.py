"""A failpoint kills the process that reaches it at its count; unset, it does nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.failpoints import VARIABLE, Armed, hit
from runtime.settings import TEST_PREFIX

CHECKOUT = Path(__file__).resolve().parents[2]
PASSES = """
from runtime.failpoints import hit
for n in range(5):
    hit("before-signal")
    print(n, flush=True)
"""


def passes(value: str | None) -> tuple[int, list[str]]:
    """Exit code and output of a process that comes to one failpoint five times."""
    env = {"PYTHONPATH": str(CHECKOUT)} | ({} if value is None else {VARIABLE: value})
    done = subprocess.run([sys.executable, "-c", PASSES], env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


def test_an_unset_failpoint_does_nothing() -> None:
    hit("after-commit")
    assert passes(None) == (0, ["0", "1", "2", "3", "4"])


@pytest.mark.parametrize(("value", "before"), [("before-signal", []), ("before-signal:3", ["0", "1"])])
def test_a_failpoint_kills_at_its_count(value: str, before: list[str]) -> None:
    assert passes(value) == (-signal.SIGKILL, before)


def test_a_failpoint_does_not_fire_at_another_place() -> None:
    assert passes("after-signal")[0] == 0


def test_a_failpoint_with_a_file_fires_once(tmp_path: Path) -> None:
    file = tmp_path / "armed"
    file.touch()
    value = f"before-signal:2@{file}"
    assert passes(value) == (-signal.SIGKILL, ["0"])
    assert passes(value)[0] == 0


def test_a_misspelt_failpoint_stops_the_start() -> None:
    assert passes("before-singal")[0] == 1
    with pytest.raises(ValueError, match="before-singal"):
        Armed("before-singal")


def test_the_variable_is_a_tests_own() -> None:
    assert VARIABLE.startswith(TEST_PREFIX)
