"""Sanitises pictures: decodes, rotates, shrinks and re-encodes them, which drops location, camera and other metadata.

The format is detected from the bytes, not from what the client declares.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image
from PIL.Image import Transpose

from texts.catalogue import Wrong

MOST_BYTES: Final = 8 * 1024 * 1024
"""The most bytes that an uploaded picture may have."""
MOST_PIXELS: Final = 65_000_000
"""What is sold as a camera of 64 million pixels takes up to 9280 × 6944."""
LONGEST: Final = 2560
"""The most pixels that the longer side of a stored picture has."""
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITY: Final = 85
_MOST_AS_PNG: Final = 2 * 1024 * 1024
"""The most bytes of a stored PNG: enough for a drawing or screenshot. A larger PNG is a photo and becomes a JPEG."""
_AVIF: Final = frozenset({"avif", "avis"})
_HEIC: Final = frozenset({"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"})
"""`_AVIF`, `_HEIC`: brands by which a file in boxes (ISO 14496-12) says what it is; all others are films."""
_OTHERS: Final = ((b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"%PDF", "PDF"))
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip

# Pillow raises an error beyond twice this number, before it allocates memory, and warns below that, where `_check_size`
# raises. Its warnings would be unstructured lines in the log.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(Wrong):
    """The bytes are not an accepted picture; the message says why, without content."""


@dataclass(frozen=True)
class Picture:
    """The bytes of a picture and its media type, ``image/jpeg`` or ``image/png``."""

    kind: str
    data: bytes


def clean(data: bytes) -> Picture:
    """The picture without metadata, at most LONGEST pixels on each side. Raises PictureError.

    The largest take up to 2 s of CPU and 650 MB of memory, a usual photo of that size 0.4 s and 120 MB.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as found:
            _check_size(found)
            is_png = found.format == "PNG"
            orientation = _orientation(found)
            found.draft(None, (LONGEST, LONGEST))  # a JPEG is decoded at a half or a quarter, if that is enough
            seen = _upright(found, orientation)
    except Image.DecompressionBombError:
        raise PictureError("picture-large", millions=MOST_PIXELS // 1_000_000) from None
    except Exception:  # noqa: BLE001 - decoders raise errors of any kind on hostile bytes
        raise _why_not(data) from None
    return _written(seen, is_png=is_png)


def _why_not(data: bytes) -> PictureError:
    """What these bytes are instead of a picture that can be read, and what to do."""
    if data[4:8] == b"ftyp":
        names = data[8 : min(int.from_bytes(data[:4]), 256)].decode("latin-1")
        brands = {names[at : at + 4] for at in range(0, len(names), 4)}
        if brands & _AVIF:
            return PictureError("picture-avif")
        return PictureError("picture-heic" if brands & _HEIC else "picture-film")
    for start, kind in _OTHERS:
        if data.startswith(start):
            return PictureError("picture-of-kind", kind=kind)
    return PictureError("picture-unreadable")


def _check_size(found: Image.Image) -> None:
    """Raises DecompressionBombError, before decoding, if the picture has more than MOST_PIXELS pixels."""
    if found.width * found.height > MOST_PIXELS:
        raise Image.DecompressionBombError


def _orientation(found: Image.Image) -> int:
    try:
        return int(found.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - the metadata may be broken in a good picture
        return 1


def _upright(found: Image.Image, orientation: int) -> Image.Image:
    """A new image, turned upright, with the visible pixels of `found` on white and without its metadata."""
    if found.mode.startswith("I"):  # 16-bit greyscale
        found = found.point(lambda value: value / 256).convert("L")  # pyright: ignore[reportUnknownMemberType]
    elif found.mode == "P" or "transparency" in found.info:
        found = found.convert("RGBA")
    elif found.mode not in ("L", "LA", "RGB", "RGBA"):
        found = found.convert("RGB")
    found.thumbnail((LONGEST, LONGEST), reducing_gap=2.0)
    if (turn := _UPRIGHT.get(orientation)) is not None:
        found = found.transpose(turn)
    seen = Image.new("RGB", found.size, "white")
    # Transparent parts may hide pixels that were cut out on purpose.
    alpha = found.convert("RGBA") if found.mode in ("LA", "RGBA") else None
    seen.paste(found.convert("RGB"), mask=alpha and alpha.getchannel("A"))
    return seen


def _written(seen: Image.Image, *, is_png: bool) -> Picture:
    target = io.BytesIO()
    if is_png:
        seen.save(target, "PNG")
        if target.tell() <= _MOST_AS_PNG:
            return Picture("image/png", target.getvalue())
        target = io.BytesIO()
    seen.save(target, "JPEG", quality=_QUALITY)
    return Picture("image/jpeg", target.getvalue())
