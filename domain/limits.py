"""Limits on the size and content of signals.

Temporal accepts any signal, and others than the API can send one. A text that the database rejects, or an event too
large for an activity, would block its issue for ever.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast

from domain.wire import WireError

MOST_BYTES: Final = 256 * 1024
"""The most bytes of one command. The largest honest one, a change of policy, has some 10 KB; a batch of events travels
as one payload of at most 2 MB."""
DEEPEST: Final = 32
"""The most levels of nesting in a command. That is far below Python's recursion limit, since the depth that is left of
the limit differs between first run and replay."""
MOST_COMMANDS: Final = 500
"""The number of commands of one party (an organisation, or a resident) to one issue after which it takes of this party only
what the work needs, since every command stays in its state and history for ever."""
MOST_OF_FOLLOWER: Final = 25
"""The same number for a resident who follows the issue, since there may be many of them."""
MOST_RECEIPTS: Final = 2 * MOST_COMMANDS
"""The number after which it takes of this party nothing more that the party could repeat by itself without end."""
MOST_URGES: Final = 5
"""The number of urges of one resident within `URGED_WITHIN` of which staff are notified; further ones are only counted."""
URGED_WITHIN: Final = timedelta(hours=1)
FARTHEST: Final = timedelta(days=3660)
"""How far ahead a date in a command may lie: as far as the longest limit. Adding pauses to such a date does not
overflow the year 9999."""
MOST_PICTURES: Final = 20
"""The most pictures that one issue may have."""
LONGEST_ID: Final = 200
"""The most characters in the id of a command, since the keys of a database index are limited."""
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_UNSHOWABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_weight(data: bytes) -> None:
    """Raises WireError for JSON that is larger than `MOST_BYTES` or nested deeper than `DEEPEST`."""
    if len(data) > MOST_BYTES:
        raise WireError(f"{len(data)} bytes are too many: at most {MOST_BYTES}")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _depth(data) > DEEPEST:
        raise WireError(f"nested deeper than {DEEPEST}")


def check_text(plain: Any) -> None:
    """Raises WireError for text, in names or values, that a database may reject: NUL or a lone surrogate."""
    if isinstance(plain, str):
        if _UNSTORABLE.search(plain):
            raise WireError("text with NUL or half a surrogate pair")
    elif isinstance(plain, (dict, Mapping)):
        for pair in cast("Mapping[Any, Any]", plain).items():
            for each in pair:
                # Printable text has neither, and `isprintable` is faster than a call and a pattern.
                if not (isinstance(each, str) and each.isprintable()):
                    check_text(each)
    elif isinstance(plain, (list, tuple)):
        for value in cast("list[Any]", plain):
            check_text(value)


def check_id(command: str) -> None:
    """Raises WireError for an empty or too long id of a command: without an id a repeat would act twice."""
    if not 1 <= len(command) <= LONGEST_ID:
        raise WireError(f"an id has 1 to {LONGEST_ID} characters")


def shown(text: str, most: int) -> str:
    """The first `most` characters of a foreign text, with control characters replaced, to be stored and shown."""
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
