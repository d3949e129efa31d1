"""Chromium as the tests use it: its looks, what it must never do, and what stays of a test that failed."""

import contextlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

_BINARIES: Final = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
CHROMIUM: Final = next((each for each in _BINARIES if each.exists()), _BINARIES[0])
"""The shell first: the same engine without a window's surroundings, which take half of a browser's processor time."""
KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "browsers"
"""Where a test that failed leaves pictures and traces; `playwright show-trace FILE` opens one."""
SECONDS: Final = 45
"""How long a page may take on a busy machine."""
expect.set_options(timeout=SECONDS * 1000)
Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
LAN: Final = "jiesu.lan"
"""A name of this machine, as in a local network: browsers trust it less than the loopback."""
_ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    f"--host-resolver-rules=MAP {LAN} 127.0.0.1",
)  # fmt: skip
_MEANT: Final = re.compile(r"^Failed to load resource: |^The Cross-Origin-Opener-Policy header has been ignored")
"""What the console says of every error's status and of a network that is cut, which tests mean, and of a header over plain http."""


@dataclass(frozen=True)
class Look:
    """A screen: a phone that is touched, or a desk."""

    name: str
    width: int
    height: int

    @property
    def size(self) -> Any:
        return {"width": self.width, "height": self.height}


PHONE: Final = Look("phone", 390, 844)
DESK: Final = Look("desk", 1280, 800)
LOOKS: Final = (PHONE, DESK)


@dataclass
class Watch:
    """What pages did that no page may do: to ask another host, to break the CSP, to stumble in a script."""

    origins: list[str]
    faults: list[str] = field(default_factory=list)

    def also(self, origin: str) -> None:
        """Pages of this origin belong to the test."""
        self.origins.append(origin)

    def follow(self, context: BrowserContext) -> None:
        context.on("request", self._asked)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((*(f"{each}/" for each in self.origins), "blob:")):
            self.faults.append(f"asked elsewhere: {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _MEANT.match(message.text):
            self.faults.append(f"console: {message.text}")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser; skips where there is none, and fails there if `.ci/run` is at work."""
    if not CHROMIUM.exists():
        missing = f"no {CHROMIUM}: apt-get install chromium-headless-shell"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        yield browser
        await browser.close()


class Visits:
    """The visits of one test, each in a context of its own, as of another device."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser = browser
        self.origin = origin
        self.watch = Watch([origin])
        self.contexts: list[BrowserContext] = []

    async def page(self, look: Look = PHONE, *, origin: str = "", **options: Any) -> Page:
        """A fresh page on a fresh device."""
        context = await self._browser.new_context(
            base_url=origin or self.origin, viewport=look.size, has_touch=look is PHONE, is_mobile=look is PHONE,
            **{"locale": "zh-CN", "timezone_id": "Asia/Shanghai", **options},
        )  # fmt: skip
        context.set_default_timeout(SECONDS * 1000)
        await context.tracing.start(snapshots=True)
        self.watch.follow(context)
        self.contexts.append(context)
        return await context.new_page()

    async def close(self, name: str, *, has_failed: bool) -> None:
        """Ends the visits; keeps a picture of each page and a trace of each device if the test has failed."""
        for number, context in enumerate(self.contexts):
            if has_failed:
                folder = KEPT / re.sub(r"[^\w.-]+", "-", name)
                folder.mkdir(parents=True, exist_ok=True)
                for at, page in enumerate(context.pages):
                    with contextlib.suppress(Exception):  # a page that hangs must not hide why the test failed
                        await page.screenshot(path=folder / f"{number}-{at}.png", full_page=True, timeout=5000)
                await context.tracing.stop(path=folder / f"{number}-trace.zip")
            await context.close()
