"""Chromium 83 and 88, which stand in for the engines of old phones. npm packs them for servers that make pictures.

Playwright starts them, but the scripts that it brings into pages are too new for them: what is done in a page is said in
the protocol of that time.
"""

import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from playwright._impl._driver import compute_driver_executable
from playwright.async_api import CDPSession, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

from browsers.engine import KEPT, PHONE
from browsers.others.device import SECONDS, Device, UnableError, absent

PACKED: Final = {
    "83": ("3.1.1", "ikOcpFgobiiUvDXtBft+jxVz2CsauRV58owDtVyF1ocl/YN+/eqdIrrmbItm3yeJGnb9RtKxzFAqGcpBTQbTCA=="),
    "88": ("5.5.0", "nYSDzTsVEVsvIFaUUAUN53ulXBLKSRXFS+eVYZOLZD5SA1If59rqBAiy4raMgorQwXWqjSsjK1SF4As+qzPLqA=="),
}
"""The version of the npm package `chrome-aws-lambda` that holds a Chromium, and its SHA-512."""
FOLDER: Final = KEPT.parent / "engines"
"""Where they are kept once they are fetched."""
_ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
_UNPACK: Final = """
const fs = require("fs"), [from, to] = process.argv.slice(1);
fs.writeFileSync(to, require("zlib").brotliDecompressSync(fs.readFileSync(from)));
"""


class OldChromium(Device):
    def __init__(self, page: Page, client: CDPSession) -> None:
        self._page, self._client = page, client

    async def open(self, url: str) -> None:
        await self._page.goto(url)

    async def run(self, script: str, *values: Any) -> Any:
        asked = f"(function () {{ {script} }}).apply(null, {json.dumps(values)})"
        with _said():
            answer = await self._client.send("Runtime.evaluate", {"expression": asked, "returnByValue": True})
        if "exceptionDetails" in answer:
            raise UnableError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def type(self, css: str, words: str) -> None:
        await self.tap(css)
        with _said():
            await self._client.send("Input.insertText", {"text": words})

    async def tap(self, css: str) -> None:
        x, y = await self.until_free(css)
        for kind in ("mousePressed", "mouseReleased"):
            asked = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            with _said():
                await self._client.send("Input.dispatchMouseEvent", asked)

    async def picture(self) -> bytes:
        return await self._page.screenshot()


@contextlib.contextmanager
def _said() -> Any:
    try:
        yield
    except PlaywrightError as error:
        raise UnableError(str(error)) from error


@contextlib.asynccontextmanager
async def old_chromium(version: str, *, scripts: bool = True) -> AsyncIterator[OldChromium]:
    """A fresh phone with this version, which is fetched if need be; skips where it cannot be had."""
    program = await asyncio.to_thread(_program, version)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        try:
            assert browser.version.startswith(f"{version}."), browser.version
            context = await browser.new_context(viewport=PHONE.size, locale="zh-CN", java_script_enabled=scripts)
            context.set_default_timeout(SECONDS * 1000)
            page = await context.new_page()
            yield OldChromium(page, await context.new_cdp_session(page))
        finally:
            await browser.close()


def _program(version: str) -> Path:
    """The program of this version."""
    program = FOLDER / f"chromium-{version}" / "chromium"
    if not program.exists():
        packed = _fetched(*PACKED[version])
        whole = program.with_suffix(".part")
        node, _ = compute_driver_executable()
        subprocess.run([node, "-e", _UNPACK, packed / "chromium.br", whole], check=True)
        whole.chmod(0o755)
        whole.rename(program)
    return program


def _fetched(package: str, digest: str) -> Path:
    """The folder of what the package holds, once its digest fits."""
    version = next(each for each, (known, _) in PACKED.items() if known == package)
    folder = FOLDER / f"chromium-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        absent("no npm, which brings old versions of Chromium")
    asked = [npm, "pack", "--silent", f"chrome-aws-lambda@{package}", "--pack-destination", str(folder)]
    done = subprocess.run(asked, check=False, capture_output=True, text=True)
    if done.returncode:
        absent(f"npm has no chrome-aws-lambda {package}: {done.stderr.strip()[-200:]}")
    archive = folder / f"chrome-aws-lambda-{package}.tgz"
    found = b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == digest, f"chrome-aws-lambda {package} is not what it was: sha512 {found}"
    shutil.unpack_archive(archive, folder, filter="data")
    archive.unlink()
    return folder / "package" / "bin"
