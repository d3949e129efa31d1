"""Finds issues by number or by their texts.

Texts are folded (width and case, traditional letters, radicals; without blanks and punctuation) and cut into pairs of
neighbouring characters. A search looks through the issues of one of its pairs, or through those that its viewer may see,
so many for a page (`db.walks`): its cost does not grow with the number of issues.
"""

import re
import unicodedata
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from db.tables import IssueRow, SearchTerm
from db.walks import Walk

BREAK: Final = " "
"""Stands in folded texts between two digits that a sign parts (flat 1-101 is not 11-01), and ends place and text."""
_FEW: Final = 200
"""How many ids a condition on numbers lists at most. If more issues match, the condition is a range of numbers."""
_AT_ONCE: Final = 500
_LAST: Final = "\U0010ffff"
_SIGNS: Final = re.compile(r"[\W_]+")
_NUMBER: Final = re.compile(r"JS([0-9A-Z]{2,10})", re.ASCII)
_WHOLE: Final = re.compile(r"JS-[0-9A-Z]{5}-[0-9A-Z]{5}", re.ASCII)
_LOOKALIKES: Final = str.maketrans("OIL", "011")
_LETTERS: Final = str.maketrans(
    {
        old: line[0]
        for line in (Path(__file__).parent / "letters.txt").read_text("utf-8").splitlines()
        for old in line[1:]
    }
)
"""Letters that are read as another one: traditional ones, radicals as in texts copied from PDFs, circles for the
numeral 〇. `tests/support/letters.py` writes the file."""


def fold(text: str) -> str:
    """The letters and digits of a text, normalised, without blanks and punctuation, which leave a BREAK between digits."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SIGNS.sub(_break, plain.translate(_LETTERS))


def _break(signs: re.Match[str]) -> str:
    start, end, text = signs.start(), signs.end(), signs.string
    return BREAK if text[:start][-1:].isdecimal() and text[end : end + 1].isdecimal() else ""


def words(place: str, text: str) -> str:
    """What of an issue can be found: its place first, then all of the text of its report, each ended by a BREAK."""
    return "".join(part + BREAK for part in map(fold, (place, text)) if part)


def drop(session: Session, row: IssueRow) -> None:
    """Takes the words of an issue out of the index and the row. The row must be locked."""
    found = terms(row.words)
    of_issue = (SearchTerm.opened_at == row.opened_at, SearchTerm.issue == row.id)
    for at in range(0, len(found), _AT_ONCE):
        session.execute(delete(SearchTerm).where(SearchTerm.term.in_(found[at : at + _AT_ONCE]), *of_issue))
    row.words = ""
    session.flush()


def terms(words: str) -> tuple[str, ...]:
    """The pairs of neighbouring characters in folded words, each pair once; of a single character itself."""
    return tuple(dict.fromkeys(words[at : at + 2] for at in range(max(1, len(words) - 1)))) if words else ()


def walk(term: str) -> Walk:
    """The entries of the index whose pair is the term or, if that is a single character, begins with it."""
    is_one = len(term) == 1
    where = and_(SearchTerm.term >= term, SearchTerm.term < term + _LAST) if is_one else SearchTerm.term == term
    return Walk(where, (SearchTerm.opened_at, SearchTerm.issue), is_one)


def number_like(query: str) -> str | None:
    """The prefix of an issue's number that a query may mean; None if the query cannot mean a number.

    Corrects lower case, full width, blanks and signs of any kind, and letters that look like digits.
    """
    typed = query.strip()
    found = _NUMBER.fullmatch(_SIGNS.sub("", unicodedata.normalize("NFKC", typed)).upper())
    if found is None:
        return typed if typed and typed.isascii() else None
    symbols = found[1].translate(_LOOKALIKES)
    return f"JS-{symbols[:5]}" + (f"-{symbols[5:]}" if len(symbols) > 5 else "")


def whole_number(typed: str) -> str | None:
    """The number of an issue, as it is stored, that was typed; None if that is no whole number."""
    number = number_like(typed)
    return number if number is not None and _WHOLE.fullmatch(number) else None


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
    """A condition for issues whose words contain these folded words."""
    return IssueRow.words.contains(words, autoescape=True)
