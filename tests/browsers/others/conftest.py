"""Devices with other engines, and what stays of a test that failed on one."""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
import pytest_asyncio

from browsers.engine import KEPT
from browsers.others.device import Device
from browsers.others.firefox import firefox
from browsers.others.old_chromium import PACKED, old_chromium
from browsers.others.webkit import webkit

_ENGINES: Final[dict[str, Any]] = {"firefox": firefox, "webkit": webkit}
Old = Callable[..., Awaitable[Device]]


@pytest_asyncio.fixture(params=_ENGINES, loop_scope="session")
async def device(
    place: object, has_failed: Callable[[], bool], request: pytest.FixtureRequest
) -> AsyncIterator[Device]:
    """A fresh device, once with each engine."""
    async with _ENGINES[request.param]() as made:
        yield made
        await _kept(made, request.node.name, has_failed)


@pytest_asyncio.fixture(params=PACKED, loop_scope="session")
async def old(place: object, has_failed: Callable[[], bool], request: pytest.FixtureRequest) -> AsyncIterator[Old]:
    """Makes fresh devices with an old Chromium, once with each version."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*, scripts: bool = True) -> Device:
            made = await stack.enter_async_context(old_chromium(request.param, scripts=scripts))
            stack.push_async_callback(_kept, made, request.node.name, has_failed)
            return made

        yield make


async def _kept(made: Device, name: str, has_failed: Callable[[], bool]) -> None:
    """Keeps a picture and the source of the page if the test has failed."""
    if not has_failed():
        return
    folder = KEPT / re.sub(r"[^\w.-]+", "-", name)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Exception):  # a page that hangs must not hide why the test failed
        (folder / "page.png").write_bytes(await made.picture())
        source = await made.run("return location.href + '\\n' + document.documentElement.outerHTML")
        (folder / "page.html").write_text(source, "utf-8")
