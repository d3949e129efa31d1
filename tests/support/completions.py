"""Completions that show what they must: an answer, and a picture."""

from datetime import datetime
from typing import Final

from domain.commands import Complete, Upload
from domain.vocabulary import CompletionKind

ANSWER: Final = "换了阀门,试水一小时,不再漏水"
"""Long enough for a resident to know what was done."""


def completed(org: str, now: datetime, kind: CompletionKind = "solved", answer: str = ANSWER) -> Complete:
    """A completion as the protocol sends it, with a picture that somebody of the organisation has just uploaded."""
    picture = Upload("0" * 64, f"{org}-staff", org, now)
    return Complete(kind, answer, (picture.digest,), "收拾干净", True, (picture,))
