"""What workflows run asks no clock, takes no chance, touches nothing outside and shares no state: they run without the
part of the sandbox that would stop it, and a replay must repeat them."""

import pytest

from support.purity import OUTSIDE, ROOT, files, impurities

RULES = "domain/decide.py"
SHELL = "workflows/issue.py"
PLANTED = {
    "a clock": (RULES, "def f():\n    return datetime.now(UTC)", "2: asks a clock: datetime.now"),
    "a day": (RULES, "def f():\n    return date.today()", "2: asks a clock: date.today"),
    "a clock of its own": (RULES, "import time", "1: imports time"),
    "the zone of the machine": (RULES, "def f(at):\n    return at.astimezone()", "2: asks for the zone of this machine"),
    "chance": (RULES, "from random import choice", "1: imports random.choice"),
    "an id by chance": (RULES, "from uuid import uuid4", "1: imports uuid.uuid4"),
    "an order by chance": (RULES, "def f(a):\n    return [x for x in set(a)]", "2: goes through a set, whose order"),
    "a hash by chance": (RULES, "def f(a):\n    return hash(a)", "2: calls hash"),
    "a file": (RULES, "def f():\n    return open('x')", "2: calls open"),
    "a path": (RULES, "from pathlib import Path", "1: imports pathlib.Path"),
    "the environment": (RULES, "import os", "1: imports os"),
    "a database": (RULES, "from db.engine import Database", "1: imports db.engine.Database"),
    "a shell in the rules": (RULES, "from workflows.contract import Start", "1: imports workflows.contract.Start"),
    "a module under another name": (RULES, "import io as x", "1: imports io"),
    "a stream": (RULES, "import io\nfile = io.open('x')", "2: uses io.open"),
    "a list of the module": (RULES, "SEEN = []\ndef f(x):\n    SEEN.append(x)", "3: changes SEEN"),
    "a table of the module": (RULES, "SEEN = {}\ndef f(x):\n    SEEN[x] = 1", "3: changes SEEN"),
    "a table of another module": (RULES, "import domain.rules\ndef f(x):\n    domain.rules.VERSIONS[9] = x", "3: changes domain"),
    "a name of the module": (RULES, "n = 0\ndef f():\n    global n\n    n += 1", "3: changes n"),
    "a value of a class": (RULES, "class A:\n    seen = []", "1: keeps state in the class A"),
    "an attribute of a class": (RULES, "class A: ...\ndef f(x):\n    A.seen = x", "3: changes A"),
    "a shell's clock": (SHELL, "def f():\n    return datetime.now(UTC)", "2: asks a clock: datetime.now"),
    "a shell's loop": (SHELL, "import asyncio\nx = asyncio.to_thread(f)", "2: uses asyncio.to_thread"),
    "a client in a shell": (SHELL, "from temporalio.client import Client", "1: imports temporalio.client.Client"),
    "what only activities run": (SHELL, "from workflows.signals import signal", "1: imports workflows.signals.signal"),
    "a way around the sandbox": (SHELL, "with workflow.unsafe.sandbox_unrestricted(): ...", "1: uses workflow.unsafe.sandbox"),
}  # fmt: skip


def test_what_workflows_run_can_be_repeated() -> None:
    sources = files()
    assert {RULES, SHELL, "workflows/mailbox.py", "domain/advance.py"} <= sources.keys()
    assert [each for name, source in sources.items() for each in impurities(name, source)] == []


def test_what_is_left_out_is_there() -> None:
    assert all((ROOT / name).is_file() for name in OUTSIDE)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named_with_its_place(fault: str) -> None:
    name, source, said = PLANTED[fault]
    (found,) = impurities(name, source)
    assert found.startswith(f"{name}:{said}")


@pytest.mark.parametrize("name", [RULES, SHELL])
def test_a_fault_is_found_in_the_midst_of_the_real_source(name: str) -> None:
    source = files()[name]
    planted = f"{source}\n\ndef _planted() -> object:\n    return datetime.now()\n"
    line = len(planted.splitlines())
    assert impurities(name, planted) == [f"{name}:{line}: asks a clock: datetime.now"]


def test_what_is_pure_is_let_through() -> None:
    source = (
        "import json\nfrom functools import lru_cache\nfrom domain.wire import dump\n"
        "@lru_cache(maxsize=256)\ndef f(a):\n    found = []\n    found.append(json.loads(a))\n    return sorted(set(found))"
    )
    assert impurities(RULES, source) == []
