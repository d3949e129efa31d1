"""What a signal may weigh and hold. Temporal takes anything, and the API is not the only one who can send:
one text that no database takes, or one event that fits into no activity, would stall its issue for ever.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from domain.wire import WireError

MOST_BYTES: Final = 256 * 1024
"""A batch of events travels as one payload of at most 2 MB; the largest command is a change of policy, some 10 KB."""
DEEPEST: Final = 32
"""Far below what any interpreter reads: how deep it can go depends on where it stands, and replay stands elsewhere."""
MOST_COMMANDS: Final = 500
"""After so many commands an issue takes no more talk: each one stays in its state and its history for ever."""
MOST_PICTURES: Final = 20
"""Of one issue."""
LONGEST_ID: Final = 200
"""Of a command; indexes have limits, too."""
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNSHOWABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_weight(data: bytes) -> None:
    """Raises WireError for JSON that is too large, or too deep, to be looked at."""
    if len(data) > MOST_BYTES:
        raise WireError(f"{len(data)} bytes are too many: at most {MOST_BYTES}")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _depth(data) > DEEPEST:
        raise WireError(f"nested deeper than {DEEPEST}")


def check_text(plain: Any) -> None:
    """Raises WireError for text, in names or values, that not every database can hold: NUL, half a surrogate pair."""
    if isinstance(plain, str):
        if _UNSTORABLE.search(plain):
            raise WireError("text with NUL or half a surrogate pair")
    elif isinstance(plain, (dict, Mapping)):
        for pair in cast("Mapping[Any, Any]", plain).items():
            for each in pair:
                # What is printable holds neither, and `isprintable` is quicker than a call and a pattern.
                if not (isinstance(each, str) and each.isprintable()):
                    check_text(each)
    elif isinstance(plain, (list, tuple)):
        for value in cast("list[Any]", plain):
            check_text(value)


def check_id(command: str) -> None:
    """Raises WireError for what cannot be a command's id: without one a repeat would act twice."""
    if not 1 <= len(command) <= LONGEST_ID:
        raise WireError(f"an id has 1 to {LONGEST_ID} characters")


def shown(text: str, most: int) -> str:
    """The beginning of a text from outside, fit for a record."""
    return _UNSHOWABLE.sub("?", text[:most])


def _depth(data: bytes) -> int:
    deepest = level = 0
    quoted = escaped = False
    for sign in data:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = sign == 0x5C, sign != 0x22
        elif sign == 0x22:
            quoted = True
        elif sign in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif sign in b"]}":
            level -= 1
    return deepest
