"""Lines of the log that a test captured."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any


def of(lines: Iterable[Mapping[str, Any]], events: Collection[str]) -> list[tuple[str, str]]:
    """Event and level of those lines that are of one of these events: workers of other tests in this process log too."""
    return [(line["event"], line["log_level"]) for line in lines if line["event"] in events]
