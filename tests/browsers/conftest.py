"""One Chromium and one running system for all tests of browsers in a process."""

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from browsers.engine import Visits, chromium
from browsers.place import Place, running_place

_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with running_place(tmp_path_factory.mktemp("browsers")) as running:
        running.silent = await running.completed(category="noise", description="楼上半夜搬家具")
        yield running


@pytest.fixture
def has_failed(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Whether this test has failed: its devices keep pictures then."""
    return lambda: request.node.stash.get(_FAILED, False)


@pytest_asyncio.fixture(loop_scope="session")
async def visits(
    browser: Browser, place: Place, has_failed: Callable[[], bool], request: pytest.FixtureRequest
) -> AsyncIterator[Visits]:
    """Pages of the running system. A page that asked another host or stumbled fails the test."""
    made = Visits(browser, place.origin)
    yield made
    await made.close(request.node.name, has_failed=has_failed() or bool(made.watch.faults))
    assert not made.watch.faults
