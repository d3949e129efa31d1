"""Which texts are accepted: those that every database, log line and page can hold unchanged."""

import re
from typing import Final

from texts.catalogue import Wrong

_HALF: Final = re.compile("[\ud800-\udfff]")
_SIGNS: Final = r"\u0000\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""The characters that no text may hold, as part of a pattern: NUL, and bidirectional controls.

Bidirectional controls change the order in which characters are shown, so a text could look like another one.
"""
_FORBIDDEN: Final = re.compile(f"[{_SIGNS}]")
FIT: Final = f"^[^{_SIGNS}]*$"
_UNSEEN: Final = r"\s\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200d\u2060\ufeff"
"""Spaces by any standard's count (Python's and that of JSON Schema differ), control characters, and what has no width."""
FILLED: Final = rf"^[^{_SIGNS}]*[^{_UNSEEN}{_SIGNS}][^{_SIGNS}]*$"
"""For the OpenAPI document: the patterns of accepted texts (`FIT`), and of accepted texts in which there is something to see."""
_SEEN: Final = re.compile(f"[^{_UNSEEN}]")


def blank(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return _SEEN.search(text) is None


def unfit(text: str) -> Wrong | None:
    """Why a text is refused (NUL, a lone surrogate, bidirectional controls); None if it is accepted."""
    if _HALF.search(text):
        return Wrong("half-a-character")
    if _FORBIDDEN.search(text):
        return Wrong("control-characters")
    return None
