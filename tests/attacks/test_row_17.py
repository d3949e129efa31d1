"""Whatever people are called, what is logged of them is one line, and no field of it is theirs to write."""

import io
import json
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime.observability import configure_logging

NAMES = [
    "王\n2027-01-01T00:00:00Z error event=all_issues_deleted", "王\r\nlevel=critical", "\x1b[2J\x1b[31m王", "\x9b31m王",
    '王"}\n{"level":"critical","event":"all_issues_deleted"}', "王\u2028\u2029\x85\x0b\x0c", "\u202e王", "\x00", "\ud800",
]  # fmt: skip


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(style: Any, logger: str, name: str) -> list[str]:
    """What is logged of a person of that name, split wherever any reader might see a new line."""
    stream = io.StringIO()
    configure_logging("info", style, stream)
    if logger == "ours":
        structlog.stdlib.get_logger("ours").warning("reported", reporter=name, detail={"who": [name]})
    else:
        logging.getLogger(logger).warning("%s has reported", name)
    return stream.getvalue().removesuffix("\n").splitlines()


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("logger", ["ours", "uvicorn.error", "temporalio.activity", "temporalio.workflow", "asyncio"])
@pytest.mark.parametrize("name", NAMES)
def test_row_17_a_name_is_part_of_one_line(style: str, logger: str, name: str) -> None:
    (line,) = lines(style, logger, name)
    assert all(sign.isprintable() or unicodedata.category(sign) == "Zs" for sign in line)
    if style == "json":
        entry = json.loads(line)
        assert entry["level"] == "warning"
        assert name in (entry["reporter"] if logger == "ours" else entry["event"])


@pytest.mark.parametrize("name", NAMES)
def test_row_17_an_error_that_quotes_a_name_starts_no_new_event(name: str) -> None:
    for style in ("json", "console"):
        stream = io.StringIO()
        configure_logging("info", style, stream)
        structlog.stdlib.get_logger("ours").error("failed", exc_info=ValueError(name))
        head, *trace = stream.getvalue().removesuffix("\n").splitlines()
        assert "failed" in head
        assert all(line.startswith("    | ") for line in trace)
        assert style == "console" or not trace
