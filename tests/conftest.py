"""What every test may use. The real servers are in `support`."""

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

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
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares something costly runs in one process: the tests of a file, and all of the audit, which share a crowd."""
    for item in items:
        folder = "tests/audit/"
        item.add_marker(
            pytest.mark.xdist_group(folder if item.nodeid.startswith(folder) else item.nodeid.split("::")[0])
        )
