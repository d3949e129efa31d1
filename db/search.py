"""Finds issues by number or by their texts, at a cost that does not grow with the number of issues.

Words are normalised (width and case, without blanks and punctuation) and cut into pairs of neighbouring characters. A
search scans the issues of its rarest pair, newest first, and keeps those whose words contain the whole query.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import IssueRow, SearchTerm

LONGEST: Final = 400
"""Characters of an issue's words that are indexed at most; each one adds a row to the index."""
RARE: Final = 1000
"""Fewer issues than this count as few. Counting stops at this number."""
_FEW: Final = 200
"""How many ids a condition on numbers lists at most. If more issues match, the condition is a range of numbers."""
_LAST: Final = "\U0010ffff"
_NUMBER: Final = re.compile(r"JS([0-9A-Z]{2,10})")
_LOOKALIKES: Final = str.maketrans("OIL", "011")


def fold(text: str) -> str:
    """The letters and digits of a text, normalised, without blanks and punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum())[:LONGEST]


def terms(words: str) -> tuple[str, ...]:
    """The pairs of neighbouring characters in normalised words, each pair once; none for a single character."""
    return tuple(dict.fromkeys(words[at : at + 2] for at in range(len(words) - 1)))


def number_like(query: str) -> str | None:
    """The prefix of an issue's number that a query may mean; None if the query cannot mean a number.

    Corrects lower case, missing hyphens and letters that look like digits.
    """
    typed = query.strip()
    found = _NUMBER.fullmatch(typed.upper().replace("-", "").replace(" ", ""))
    if found is None:
        return typed if typed and typed.isascii() else None
    symbols = found[1].translate(_LOOKALIKES)
    return f"JS-{symbols[:5]}" + (f"-{symbols[5:]}" if len(symbols) > 5 else "")


def begins_with(number: str) -> ColumnElement[bool]:
    """A condition for issues whose number has this prefix, written as a range, so that the database uses its index."""
    return and_(IssueRow.number >= number, IssueRow.number < number + _LAST)


async def numbered(session: AsyncSession, q: str) -> ColumnElement[bool] | None:
    """A condition for the issues whose number the query may mean; None if there are no such issues."""
    number = number_like(q)
    if number is None:
        return None
    query = select(IssueRow.id).where(begins_with(number)).limit(_FEW + 1)
    found = (await session.scalars(query)).all()
    if len(found) > _FEW:
        return begins_with(number)
    return IssueRow.id.in_(found) if found else None


def holds(words: str) -> ColumnElement[bool]:
    """A condition for issues whose words contain these normalised words."""
    return IssueRow.words.contains(words, autoescape=True)


async def rarest(session: AsyncSession, found: Sequence[str]) -> tuple[str, bool]:
    """The term that the fewest issues contain, and whether these issues are fewer than RARE."""
    samples = [
        select(literal(at).label("at")).select_from(SearchTerm).where(SearchTerm.term == term).limit(RARE).subquery()
        for at, term in enumerate(found)
    ]
    counted = Counter((await session.scalars(union_all(*(select(sample.c.at) for sample in samples)))).all())
    at = min(range(len(found)), key=lambda at: counted[at])
    return found[at], counted[at] < RARE
