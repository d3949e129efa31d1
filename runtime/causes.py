"""Names why a store failed: its disk is full, it is read-only, damaged, missing, locked, or it does not answer."""

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Final

FULL: Final = "disk full"
READ_ONLY: Final = "read-only"
DAMAGED: Final = "damaged"
MISSING: Final = "missing"
LOCKED: Final = "locked by another process"
CLOSED: Final = "cannot be opened"
BROKEN: Final = "disk error"
SLOW: Final = "takes no writes"
OUTDATED: Final = "needs jiesu db upgrade"
AWAY: Final = "does not answer"

_TEXTS: Final[Mapping[str, str]] = {
    FULL: r"disk is full|no space left|os error 28\b|quota exceeded",
    READ_ONLY: r"readonly database|read-only|os error 30\b",
    DAMAGED: r"malformed|not a database|invalid page|: altered$",
    LOCKED: r"database (?:table )?is locked",
    CLOSED: r"unable to open database|permission denied|os error 13\b",
    OUTDATED: r"no such table",
    BROKEN: r"disk i/o error|input/output error|os error 5\b",
}
"""What SQLite, PostgreSQL, Temporal and the blob stores write of each cause, none of which has codes for all of them."""
_CODES: Final[Mapping[object, str]] = {
    # PostgreSQL's, which writes in any language
    "53100": FULL, "25006": READ_ONLY, "XX001": DAMAGED, "XX002": DAMAGED, "58030": BROKEN, "42P01": OUTDATED,
    # the system's
    errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY, errno.ENOENT: MISSING, errno.EACCES: CLOSED,
    errno.EIO: BROKEN,
}  # fmt: skip
_OF: Final[Mapping[str, str]] = {FULL: "the disk of {} is full", BROKEN: "the disk of {} has an error"}
_VERBS: Final = frozenset({CLOSED, SLOW, OUTDATED, AWAY})


def cause_of(error: BaseException) -> str:
    """The cause of an error of a store, as one of the constants above; AWAY if the error tells none of the others."""
    for each in _chain(error):
        code = _CODES.get(getattr(each, "sqlstate", None)) or _CODES.get(getattr(each, "errno", None))
        if code is not None:
            return code
        for cause, text in _TEXTS.items():
            if re.search(text, str(each), re.IGNORECASE):
                return cause
    return AWAY


def sentence(store: str, cause: str) -> str:
    """What people are told: ``the database is read-only``, ``the disk of the database is full``."""
    return _OF.get(cause, "{} " + (cause if cause in _VERBS else f"is {cause}")).format(store)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised for, outermost first."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = getattr(found, "orig", None) or found.__cause__ or found.__context__
