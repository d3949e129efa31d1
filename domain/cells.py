"""Protects CSV exports against formula injection: a spreadsheet must not run text that people typed."""

import re
from typing import Final

_FORMULA: Final = re.compile(r"[\s\ufeff\u200b]*[=+\-@\t\r\n＝＋－﹣−＠]")


def neutral(cell: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet could read it as a formula (full-width signs count)."""
    return f"'{cell}" if _FORMULA.match(cell) or cell[:1] in ("\t", "\r", "\n") else cell
