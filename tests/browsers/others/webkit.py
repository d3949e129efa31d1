"""WebKitGTK by its own driver: WebDriver over HTTP, in a window on a screen that nobody sees. It stands in for iPhones."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx

from browsers.others.device import SECONDS, UnableError, end, needed
from browsers.others.webdriver import WebDriver
from support.ports import free_port

DRIVER: Final = Path(os.environ.get("JIESU_TEST_WEBKIT", "/usr/bin/WebKitWebDriver"))
XVFB: Final = Path("/usr/bin/Xvfb")
_COMMANDS: Final = {"open": "url", "run": "execute/sync", "type": "element/{id}/value", "tap": "element/{id}/click"}


class WebKit(WebDriver):
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._session = ""

    async def begin(self) -> None:
        """Waits for the driver, and lets it start the browser."""
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await self._http.get("/status")
                    break
                await asyncio.sleep(0.1)
        value = await self._value("POST", "/session", {"capabilities": {"alwaysMatch": {}}})
        self._session = f"/session/{value['sessionId']}"
        await self._value("POST", f"{self._session}/window/rect", {"width": 500, "height": 900})

    async def ask(self, command: str, **fields: Any) -> Any:
        if command == "picture":
            return await self._value("GET", f"{self._session}/screenshot")
        path = _COMMANDS[command].format(id=fields.pop("id", ""))
        return await self._value("POST", f"{self._session}/{path}", fields)

    async def finish(self) -> None:
        with contextlib.suppress(UnableError, httpx.TransportError):
            await self._value("DELETE", self._session)

    async def _value(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, path, json=body)
        value = answer.json()["value"]
        if answer.is_error:
            raise UnableError(f"{value['error']}: {value['message']}")
        return value


@contextlib.asynccontextmanager
async def webkit() -> AsyncIterator[WebKit]:
    """A browser that forgets everything; skips where there is none."""
    needed(DRIVER, XVFB, package="webkit2gtk-driver xvfb")
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jiesu-webkit-", ignore_cleanup_errors=True))
        port, screen = free_port(), await _screen(stack)
        surroundings = {**os.environ, "DISPLAY": screen, "HOME": folder, "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
        process = await asyncio.create_subprocess_exec(
            DRIVER, f"--port={port}", "--host=127.0.0.1", env={**surroundings, "GDK_BACKEND": "x11"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        stack.push_async_callback(end, process)
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, trust_env=False)
        device = WebKit(await stack.enter_async_context(http))
        await device.begin()
        stack.push_async_callback(device.finish)
        yield device


async def _screen(stack: contextlib.AsyncExitStack) -> str:
    """The name of a new screen; Xvfb finds a free number and writes it down."""
    ours, its = os.pipe()
    process = await asyncio.create_subprocess_exec(
        XVFB, "-displayfd", str(its), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", pass_fds=(its,),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    stack.push_async_callback(end, process)
    with os.fdopen(ours) as told:
        async with asyncio.timeout(SECONDS):
            return f":{(await asyncio.to_thread(told.readline)).strip()}"
