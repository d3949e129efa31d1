"""`jiesu` loads what the command needs that was asked for, and knows every command before it loads it."""

import subprocess
import sys

import pytest

from cli.app import COMMANDS, GROUPS, loaded

HEAVY = {"sqlalchemy", "temporalio", "audit", "db", "api", "worker"}
LIGHT = ("token --help", "policy list", "report --help", "do --help", "show --help", "worklist --help", "up --help")
LOADS = """
import sys
from cli.main import main
sys.argv = ["jiesu", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sys.modules))
"""


@pytest.mark.parametrize("module", [*GROUPS, *COMMANDS])
def test_each_module_holds_the_commands_by_which_it_is_found(module: str) -> None:
    assert set(loaded(module).commands) == {*COMMANDS.get(module, (module,))}


@pytest.mark.parametrize("words", LIGHT)
def test_a_command_loads_no_database_and_no_temporal_that_it_does_not_need(words: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOADS, *words.split()], capture_output=True, text=True, check=True)
    assert done.stdout
    assert HEAVY & set(done.stderr.split()) == set()
