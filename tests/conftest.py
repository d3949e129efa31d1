"""What every test may use. The real servers are in `support`."""

from collections import Counter
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from support.durations import kept, seconds

if TYPE_CHECKING:
    from support.installation import Installation

# The same examples in every run: what fails once fails until it is mended. `make night` searches for new ones.
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


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the tests of a file into one process, and into the same one all that look at the crowd, which takes a minute.

    Where several processes share the work, the groups that took longest the last time begin: one that began late would
    keep everybody waiting for it.
    """
    groups = [_group(item) for item in items]
    for item, group in zip(items, groups, strict=True):
        item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        took, work = seconds(kept()), Counter[str]()
        for group, file in set(zip(groups, map(_file, items), strict=True)):
            work[group] += took.get(file, 0)
        order = sorted(range(len(items)), key=lambda n: -work[groups[n]])
        items[:] = [items[n] for n in order]


def _group(item: pytest.Item) -> str:
    shared = {"crowd", "great_crowd"} & set(getattr(item, "fixturenames", ()))
    return "the crowd" if shared else _file(item)


def _file(item: pytest.Item) -> str:
    return item.nodeid.split("::")[0]
