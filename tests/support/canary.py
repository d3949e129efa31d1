"""Canaries: marker texts in personal and secret fields, and a search for them in every encoding."""

import base64
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

HEAD: Final = "金丝雀"
_DIGITS: Final = 3
_BESIDE: Final = 24
"""Bytes shown on either side of what was found."""


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """The bytes by which a text is known, whatever stands around it."""
    yield "UTF-8", text.encode()
    yield "UTF-16", text.encode("utf-16-le")
    yield "UTF-16 BE", text.encode("utf-16-be")
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in text)
    yield "JSON", escaped.encode()
    yield "JSON", escaped.upper().replace("\\U", "\\u").encode()
    yield "URL", urllib.parse.quote(text).encode()
    yield "URL", urllib.parse.quote(text).lower().encode()
    yield from forms_of_bytes(text.encode())


def forms_of_bytes(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The same of bytes that are no text, as keys are."""
    yield "raw", raw
    yield "hexadecimal", raw.hex().encode()
    yield "hexadecimal", raw.hex().upper().encode()
    for shift in range(3):
        # Of the first and the last group of three bytes, what stands beside has its share.
        inner = base64.b64encode(bytes(shift) + raw)[4 if shift else 0 :]
        kept = inner[: (len(raw) - (3 - shift if shift else 0)) // 3 * 4]
        yield f"base64, {shift}", kept
        yield f"base64url, {shift}", kept.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Canaries:
    """Distinct ones that know where they were planted. Letters, digits and Chinese, as searching folds them."""

    mark: str = field(default_factory=lambda: f"cnry{secrets.token_hex(6)}")
    planted: dict[str, str] = field(default_factory=dict[str, str])
    """Text -> where."""
    keys: dict[bytes, str] = field(default_factory=dict[bytes, str])
    """The same of bytes."""

    def plant(self, where: str) -> str:
        text = f"{HEAD}{self.mark}x{len(self.planted):0{_DIGITS}}"
        self.planted[text] = where
        return text

    def phone(self, where: str) -> str:
        """A mobile number."""
        number = f"139{secrets.randbelow(10**8):08}"
        self.planted[number] = where
        return number

    def secret(self, where: str, text: str) -> None:
        """A secret that was not made here."""
        self.planted[text] = where

    @property
    def patterns(self) -> Mapping[bytes, str]:
        own = {text for text in self.planted if not text.startswith(HEAD)}
        found: dict[bytes, str] = {}
        for text in {HEAD, self.mark, *own}:
            for form, data in forms(text):
                found.setdefault(data, form if text in (HEAD, self.mark) else f"{form} of {self.planted[text]}")
        for raw, where in self.keys.items():
            for form, data in forms_of_bytes(raw):
                found.setdefault(data, f"{form} of {where}")
        return found

    def found(self, data: bytes) -> list[str]:
        """What of them is in the data, and where it was planted, as far as that can be told."""
        hits: list[str] = []
        for pattern, form in self.patterns.items():
            at = data.find(pattern)
            while at >= 0 and len(hits) < 20:
                around = data[max(0, at - _BESIDE) : at + len(pattern) + _BESIDE]
                hits.append(f"{self._where(around)}: {form}: {around!r}")
                at = data.find(pattern, at + len(pattern))
        return hits

    def _where(self, around: bytes) -> str:
        texts = ((text.removeprefix(HEAD).encode(), where) for text, where in self.planted.items())
        return next((where for text, where in texts if text in around), "?")
