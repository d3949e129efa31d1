"""What every test may use. The real servers are in `support`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

import domain
from support.durations import kept, seconds

# A defence is taken out in a copy of the tree: attacked there must be the copy, not what is installed.
assert Path(domain.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[1]), domain.__file__

if TYPE_CHECKING:
    from support.installation import Installation

# The same examples in every run of the same code: what fails once fails until it is mended. A literal that changes anywhere
# in the code gives other ones (findings/), and `make night` searches for new ones.
settings.register_profile(
    "jiesu", deadline=None, print_blob=True, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("jiesu")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> "Installation":
    """What an auditor finds, once for all tests. Nobody changes it."""
    from support.installation import build

    return await build(tmp_path_factory.mktemp("installation"))


# Several processes share the work by files, but for those that look at the crowd, which takes a minute to gather.
CROWD = ("tests/audit/test_crowd.py", "tests/audit/test_tampers.py")


def group(nodeid: str) -> str:
    """What runs in one process: marks of xdist are not used, since they have no effect with the pytest that is locked."""
    file = nodeid.partition("::")[0]
    return "the crowd" if file in CROWD else file


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
