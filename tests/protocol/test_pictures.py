"""A cleaned picture keeps what one sees and loses its metadata."""

import io
import os
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from protocol.pictures import LONGEST, MOST_PIXELS, PictureError, clean

CANARY = b"canary-5f3a"


def packed(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = CANARY.decode()  # the maker of the camera
    found[0x8825] = {1: "N", 2: (31.0, 13.0, 49.0), 29: CANARY.decode()}  # where it was taken
    return found


def bomb(width: int, height: int) -> bytes:
    """A PNG that only says that it is large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.attack(33)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_clean_removes_metadata(kind: str):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", CANARY.decode(), zip=False)
    text.add_itxt("XML:com.adobe.xmp", CANARY.decode())
    more: dict[str, Any] = {
        "JPEG": {"comment": CANARY, "xmp": CANARY}, "PNG": {"pnginfo": text}, "WEBP": {"xmp": CANARY},
    }[kind]  # fmt: skip
    sent = packed(halves(), kind, exif=exif(), icc_profile=CANARY * 20, **more) + CANARY
    assert sent.count(CANARY) >= 3
    kept = clean(sent).data
    assert CANARY not in kept
    found = opened(kept)
    assert not found.getexif()
    assert not set(found.info) & {"exif", "icc_profile", "comment", "xmp", "Comment", "XML:com.adobe.xmp"}


@pytest.mark.parametrize(("kind", "kept"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/jpeg")])
def test_clean_keeps_size_and_colours(kind: str, kept: str):
    picture = clean(packed(halves(), kind))
    assert picture.kind == kept
    found = opened(picture.data)
    assert found.size == (40, 20)
    red, green, blue = found.convert("RGB").getpixel((3, 3))
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


@pytest.mark.attack(33)
def test_clean_recognises_the_format_by_content():
    assert clean(packed(halves(), "PNG")).kind == "image/png"
    for kind in ("GIF", "BMP", "TIFF", "PPM"):
        with pytest.raises(PictureError):
            clean(packed(halves(), kind))


def boxed(brand: bytes, *others: bytes) -> bytes:
    """The head of a file in boxes, as phones write HEIC, AVIF and MP4."""
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(200)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (boxed(b"heic", b"mif1", b"heic"), "HEIC"),
        (boxed(b"mif1", b"mif1", b"heic", b"hevc"), "HEIC"),
        (boxed(b"heix"), "HEIC"),
        (packed(halves(), "AVIF"), "AVIF"),
        (boxed(b"mif1", b"avif"), "AVIF"),
        (packed(halves(), "GIF"), "GIF"),
        (packed(halves(), "BMP"), "BMP"),
        (packed(halves(), "TIFF"), "TIFF"),
        (boxed(b"isom", b"mp41"), "film"),
        (boxed(b"qt  "), "film"),
        (b"%PDF-1.7 ...", "PDF"),
    ],
)
def test_a_refusal_names_what_was_sent_and_says_what_to_do(data: bytes, said: str):
    with pytest.raises(PictureError) as refused:
        clean(data)
    assert said in str(refused.value)
    assert "JPEG" in str(refused.value)
    if said == "HEIC":
        assert "Most Compatible" in str(refused.value)


@pytest.mark.parametrize("size", [(8064, 6048), (9248, 6936), (9280, 6944)])
def test_what_a_camera_of_64_million_pixels_takes_is_taken(size: tuple[int, int]):
    kept = opened(clean(packed(Image.new("RGB", size, "red"), "JPEG")).data)
    assert (kept.width, abs(kept.height - LONGEST * size[1] / size[0]) < 1) == (LONGEST, True)


@pytest.mark.parametrize(
    ("orientation", "red_at"),
    [(1, (5, 10)), (2, (35, 10)), (3, (35, 10)), (4, (5, 10)), (5, (10, 5)), (6, (10, 5)), (7, (10, 35)), (8, (10, 35))],
)  # fmt: skip
def test_clean_applies_the_orientation(orientation: int, red_at: tuple[int, int]):
    found = opened(clean(packed(halves(), "PNG", exif=exif(orientation))).data)
    assert found.size == ((40, 20) if orientation < 5 else (20, 40))
    assert found.getpixel(red_at) == (255, 0, 0)


def test_clean_scales_a_picture_to_the_longest_side():
    assert opened(clean(packed(halves((5200, 2600)), "JPEG")).data).size == (LONGEST, LONGEST // 2)


@pytest.mark.attack(33)
@pytest.mark.parametrize("size", [(MOST_PIXELS // 1000 + 1, 1000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]):
    with pytest.raises(PictureError, match=r"million pixels|cannot be read"):
        clean(bomb(*size))


@pytest.mark.attack(33)
def test_what_is_hidden_under_transparent_parts_is_gone():
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert opened(clean(packed(image, "PNG")).data).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_pictures_of_all_modes_are_taken(mode: str):
    grey = {"1": 1, "I;16": 40_000, "CMYK": (0, 0, 0, 100), "LA": (150, 255)}.get(mode)
    image = Image.new(mode, (4, 4), grey) if grey is not None else halves((4, 4)).convert(mode)
    found = opened(clean(packed(image, "JPEG" if mode == "CMYK" else "PNG")).data).convert("L")
    if mode in ("I;16", "CMYK", "LA"):
        assert 130 < found.getpixel((2, 2)) < 175


def test_a_photo_is_not_kept_as_png():
    noise = Image.frombytes("RGB", (1100, 1100), os.urandom(3 * 1100 * 1100))
    assert clean(packed(noise, "PNG")).kind == "image/jpeg"


_GOOD = packed(halves(), "JPEG", exif=exif(6)), packed(halves(), "PNG"), packed(halves(), "WEBP", exif=exif())


@given(st.sampled_from(_GOOD), st.data())
def test_any_altered_picture_is_cleaned_or_raises_picture_error(good: bytes, data: st.DataObject):
    broken = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = clean(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    except PictureError as error:
        assert str(error)
    else:
        assert opened(picture.data).format in ("JPEG", "PNG")
