"""Firefox ESR by Marionette, its own remote control: JSON over a socket. No geckodriver is packed for Debian."""

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from browsers.others.device import SECONDS, UnableError, end, needed
from browsers.others.webdriver import WebDriver

FIREFOX: Final = Path(os.environ.get("JIESU_TEST_FIREFOX", "/usr/bin/firefox-esr"))
_COMMANDS: Final = {
    "open": "WebDriver:Navigate", "run": "WebDriver:ExecuteScript", "type": "WebDriver:ElementSendKeys",
    "tap": "WebDriver:ElementClick", "picture": "WebDriver:TakeScreenshot",
}  # fmt: skip
_SETTINGS: Final = {
    "marionette.port": 0, "intl.accept_languages": "zh-CN", "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "browser.shell.checkDefaultBrowser": False,
    "browser.safebrowsing.update.enabled": False, "extensions.update.enabled": False, "app.normandy.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1", "toolkit.telemetry.server": "",
}  # fmt: skip
"""A free port, Chinese, and no talk with anybody but the pages."""


class Firefox(WebDriver):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._last = 0

    async def ask(self, command: str, **fields: Any) -> Any:
        self._last += 1
        message = json.dumps([0, self._last, _COMMANDS.get(command, command), fields])
        self._writer.write(f"{len(message.encode())}:{message}".encode())
        async with asyncio.timeout(SECONDS):
            _, _, error, result = await self.heard()
        if error:
            raise UnableError(f"{error['error']}: {error['message']}")
        return result.get("value") if isinstance(result, dict) else result

    async def heard(self) -> Any:
        length = await self._reader.readuntil(b":")
        return json.loads(await self._reader.readexactly(int(length[:-1])))


@contextlib.asynccontextmanager
async def firefox() -> AsyncIterator[Firefox]:
    """A browser with a profile of its own; skips where there is none."""
    needed(FIREFOX, package="firefox-esr")
    with tempfile.TemporaryDirectory(prefix="jiesu-firefox-", ignore_cleanup_errors=True) as folder:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _SETTINGS.items()]
        await asyncio.to_thread(Path(folder, "user.js").write_text, "".join(lines))
        process = await asyncio.create_subprocess_exec(
            FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", folder, "about:blank",
            env={**os.environ, "HOME": folder, "MOZ_HEADLESS_WIDTH": "500", "MOZ_HEADLESS_HEIGHT": "900"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            device = await _connected(Path(folder, "MarionetteActivePort"))
            await device.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
            yield device
        finally:
            await end(process)


async def _connected(told: Path) -> Firefox:
    """Speaks to the port that the browser writes down once it listens."""
    async with asyncio.timeout(SECONDS):
        while not (port := _read(told)):
            await asyncio.sleep(0.1)
        device = Firefox(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))
        await device.heard()  # its greeting
    return device


def _read(told: Path) -> int:
    """The port; 0 until it is written down."""
    return int(told.read_text().strip() or 0) if told.exists() else 0
