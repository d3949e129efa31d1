"""What is sent as a picture is one by its bytes, is made anew without anything else that was in the file, and is no bomb."""

import io

import httpx
import pytest
from PIL import Image

from protocol.pictures import MOST_PIXELS
from support.system import System

HIDDEN = b"<script>alert(document.cookie)</script>"
WEBSITE = b"<!doctype html>" + HIDDEN


def packed(image: Image.Image, kind: str) -> bytes:
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


async def sent(system: System, data: bytes, kind: str) -> tuple[str, dict[str, str], httpx.Response]:
    """A picture of a new issue: the path, who may see it, and the answer."""
    taken = await system.report()
    path, who = f"/v1/issues/{taken['id']}/attachments", {"X-Tracking-Code": taken["tracking_code"]}
    return path, who, await system.client.post(path, content=data, headers={**who, "Content-Type": kind})


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "image/svg+xml"])
@pytest.mark.parametrize(
    "data",
    [
        WEBSITE, b"GIF89a" + HIDDEN, b"\xff\xd8\xff" + HIDDEN, b"\x89PNG\r\n\x1a\n" + HIDDEN, b"<svg onload='alert(1)'/>",
        packed(Image.new("RGB", (8, 8)), "TIFF"), b"%!PS\n(x) run", b"MZ" + HIDDEN,
    ],
)  # fmt: skip
async def test_row_33_what_only_says_that_it_is_a_picture_is_refused(system: System, data: bytes, kind: str) -> None:
    path, who, answer = await sent(system, data, kind)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body")
    assert (await system.get(path, who))["items"] == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_row_33_nothing_else_of_the_file_comes_back(system: System, kind: str) -> None:
    """A file may be a picture and a page at once; what is shown is pixels, under the type of what was made of them."""
    path, who, answer = await sent(system, packed(Image.new("RGB", (8, 8)), kind) + WEBSITE, "image/jpeg")
    assert answer.status_code == 201, answer.text
    shown = await system.client.get(f"{path}/{answer.json()['attachment']}", headers=who)
    assert HIDDEN not in shown.content
    assert shown.headers["content-type"] in ("image/jpeg", "image/png")
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(shown.content)).size == (8, 8)


async def test_row_33_a_few_kilobytes_of_pixels_without_end_are_refused(system: System) -> None:
    image = Image.new("1", (8200, 8000))
    bomb = packed(image, "PNG")
    assert (image.width * image.height > MOST_PIXELS, len(bomb) < 20_000) == (True, True)
    _, _, answer = await sent(system, bomb, "image/png")
    assert answer.status_code == 422
    assert "million pixels" in answer.json()["errors"][0]["reason"]
