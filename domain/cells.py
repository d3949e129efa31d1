"""Text in the cells of a CSV file: a spreadsheet must not take what people typed for a formula and run it."""

import re
from typing import Final

_FORMULA: Final = re.compile(r"[\s\ufeff\u200b]*[=+\-@\t\r\n＝＋－﹣−＠]")


def neutral(cell: str) -> str:
    """The text so that no spreadsheet takes it for a formula; full-width signs count as well."""
    return f"'{cell}" if _FORMULA.match(cell) or cell[:1] in ("\t", "\r", "\n") else cell
