"""Which texts can be taken: those that any database, log line or page can carry as they are."""

import re
from typing import Final

_HALF: Final = re.compile("[\ud800-\udfff]")
_SIGNS: Final = r"\u0000\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""NUL, and the characters that reorder what is read around them: the text would look like another one."""
_FORBIDDEN: Final = re.compile(f"[{_SIGNS}]")
FIT: Final = f"^[^{_SIGNS}]*$"
FILLED: Final = rf"^[^{_SIGNS}]*[^\s{_SIGNS}][^{_SIGNS}]*$"
"""The patterns of texts that can be taken, and that are not blank either, for the OpenAPI document."""


def unfit(text: str) -> str | None:
    """Why a text cannot be taken, None if it can: NUL, half a character, or signs that reorder what is read."""
    if _HALF.search(text):
        return "it holds half a character (a lone surrogate)"
    if _FORBIDDEN.search(text):
        return "NUL and bidirectional control characters are not allowed"
    return None
