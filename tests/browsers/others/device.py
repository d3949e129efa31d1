"""What a test does on a device, whichever engine draws the page: opens, types, taps, looks."""

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

SECONDS: Final = 60
"""How long an engine may take on a busy machine."""


_FREE: Final = """
const it = [...document.querySelectorAll(arguments[0])].find(it => it.getClientRects().length);
if (!it) return null;
it.scrollIntoView({block: 'center'});
const at = it.getBoundingClientRect(), x = at.left + at.width / 2, y = at.top + at.height / 2;
return it.contains(document.elementFromPoint(x, y)) && [x, y];
"""


class UnableError(Exception):
    """The engine did not do what it was asked, perhaps since the page was just being exchanged."""


class Device(ABC):
    """One browser with its own cookies."""

    @abstractmethod
    async def open(self, url: str) -> None: ...

    @abstractmethod
    async def run(self, script: str, *values: Any) -> Any:
        """What the body of a function returns in the page; it finds `values` in `arguments`."""

    @abstractmethod
    async def type(self, css: str, words: str) -> None: ...

    @abstractmethod
    async def tap(self, css: str) -> None: ...

    @abstractmethod
    async def picture(self) -> bytes:
        """The page as PNG."""

    async def until_free(self, css: str) -> list[float]:
        """Where the first such element that can be seen is, once it takes a tap: buttons that have just come wait a second."""
        return await self.until(_FREE, css)

    async def choose(self, css: str, value: str) -> None:
        """Selects an option."""
        await self.until("return document.querySelector(arguments[0])", css)
        await self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}));"
            "field.dispatchEvent(new Event('change', {bubbles: true}))",
            css, value,
        )  # fmt: skip

    async def sends(self, css: str) -> None:
        """Sends a form past all scripts, as a browser without script does."""
        await self.run("HTMLFormElement.prototype.submit.call(document.querySelector(arguments[0]))", css)

    async def until(self, script: str, *values: Any) -> Any:
        """What the script returns once that is something."""
        seen: object = None
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    with contextlib.suppress(UnableError):
                        seen = await self.run(script, *values)
                    if seen:
                        return seen
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{script} {values}: {seen!r} at {await self.run('return location.href')}") from None

    async def until_it_says(self, css: str, words: str) -> None:
        """Waits until such an element holds the words."""
        await self.until(
            "return [...document.querySelectorAll(arguments[0])].some(it => it.innerText.includes(arguments[1]))",
            css, words,
        )  # fmt: skip

    async def until_at(self, ending: str) -> str:
        """The address, once its path ends so and the page is whole."""
        return await self.until(
            "return document.readyState === 'complete' && location.pathname.endsWith(arguments[0]) && location.href",
            ending,
        )


def needed(*programs: Path, package: str) -> None:
    """Skips the test where a program is missing; `make browsers` under CI fails there."""
    missing = [str(each) for each in programs if not each.exists()]
    if missing:
        absent(f"no {', '.join(missing)}: apt-get install {package}")


def absent(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


async def end(process: asyncio.subprocess.Process) -> None:
    """Ends a process that began a session of its own, and all that it started."""
    for kind in (15, 9):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
            return
