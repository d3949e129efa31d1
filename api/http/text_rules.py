"""Which texts are accepted: those that every database, log line and page can hold unchanged."""

import re
from typing import Final

_HALF: Final = re.compile("[\ud800-\udfff]")
_SIGNS: Final = r"\u0000\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""NUL, and the characters that reorder what is read around them: the text would look like another one."""
_FORBIDDEN: Final = re.compile(f"[{_SIGNS}]")
FIT: Final = f"^[^{_SIGNS}]*$"
FILLED: Final = rf"^[^{_SIGNS}]*[^\s{_SIGNS}][^{_SIGNS}]*$"
"""The patterns of accepted texts, and of those that are not blank, for the OpenAPI document."""


def unfit(text: str) -> str | None:
    """Why a text is refused (NUL, a lone surrogate, bidirectional controls); None if it is accepted."""
    if _HALF.search(text):
        return "it holds half a character (a lone surrogate)"
    if _FORBIDDEN.search(text):
        return "NUL and bidirectional control characters are not allowed"
    return None
