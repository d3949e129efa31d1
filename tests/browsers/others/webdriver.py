"""Commands of W3C WebDriver, which WebKit takes over HTTP and Firefox over a socket."""

import base64
from abc import abstractmethod
from typing import Any, Final

from browsers.others.device import Device

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which the standard hands out elements."""


class WebDriver(Device):
    @abstractmethod
    async def ask(self, command: str, **fields: Any) -> Any:
        """The value that a command was answered. Raises UnableError."""

    async def open(self, url: str) -> None:
        await self.ask("open", url=url)

    async def run(self, script: str, *values: Any) -> Any:
        return await self.ask("run", script=script, args=list(values))

    async def type(self, css: str, words: str) -> None:
        await self.ask("type", id=await self._found(css), text=words)

    async def tap(self, css: str) -> None:
        await self.ask("tap", id=await self._found(css))

    async def picture(self) -> bytes:
        return base64.b64decode(await self.ask("picture"))

    async def _found(self, css: str) -> str:
        """The first such element that can be seen, once it takes a tap."""
        await self.until_free(css)
        find = "return [...document.querySelectorAll(arguments[0])].find(it => it.getClientRects().length)"
        return (await self.run(find, css))[_ELEMENT]
