"""What every test may use. The real servers are in `support`."""

import gc
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import domain
from support.durations import kept, seconds

# Whoever forbids Python to keep compiled code makes every process that a test starts compile all of Jiesu, and each of the
# processes that share the tests rewrite every assertion: both are most of what the suite would do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The command line speaks the language of whoever runs it; whoever runs the tests reads English.
os.environ["LC_ALL"] = "C.UTF-8"

# A defence is taken out in a copy of the tree: attacked there must be the copy, not what is installed.
assert Path(domain.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[1]), domain.__file__

# The same examples in every run of the same code: what fails once fails until it is mended. A literal that changes anywhere
# in the code gives other ones (findings/), and `make night` searches for new ones.
settings.register_profile(
    "jiesu", deadline=None, print_blob=True, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("jiesu")


# Several processes share the work by files, but for files and folders that look at the same, which takes long to make.
TOGETHER = {
    "tests/browsers": "the browser",
    "tests/pages": "the pages",
    "tests/audit/test_crowd.py": "the crowd",
    "tests/audit/test_content.py": "the crowd",
    "tests/audit/test_tampers.py": "the crowd",
    "tests/audit/test_bundle.py": "the installation",
    "tests/audit/test_installation.py": "the installation",
    "tests/audit/test_service.py": "the installation",
    "tests/cli/test_audit.py": "the installation",
}


def group(nodeid: str) -> str:
    """What runs in one process: marks of xdist are not used, since they have no effect with the pytest that is locked."""
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return TOGETHER.get(folder) or TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False
    return ByGroups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The groups that took longest the last time begin: one that began late would keep everybody waiting for it."""
    if hasattr(config, "workerinput"):
        took, work = seconds(kept()), Counter[str]()
        for file in {item.nodeid.partition("::")[0] for item in items}:
            work[group(file)] += took.get(file, 0)
        items.sort(key=lambda item: -work[group(item.nodeid)])


def pytest_collection_finish() -> None:
    """What was collected stays to the end: tests that call the garbage collector need not have it walk through all of it."""
    gc.freeze()
