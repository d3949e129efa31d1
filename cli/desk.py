"""Opens the audit service (`audit.desk`) over this installation's database and archive."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.converter import DataConverter

from audit.archive import Archive
from audit.holdings import Holdings, UnknownError
from audit.selection import Selection
from audit.service import AuditService
from cli.database import opened
from cli.errors import Failure
from cli.system import run, settings
from runtime.settings import Settings
from security.opening import open_converter


@asynccontextmanager
async def sitting(chosen: Settings, *, rows: bool = True, temporal: bool = False) -> AsyncGenerator[AuditService]:
    from runtime.temporal import connect

    async with opened(chosen) as database:
        converter = open_converter(chosen) if temporal else DataConverter.default
        client = await connect(chosen, timeout=2.0, converter=converter) if temporal else None
        yield AuditService(Holdings(database, Archive(chosen.archive_url), rows=rows), chosen.heads_folder, client)


def at_desk(work: Callable[[AuditService], Coroutine[Any, Any, Any]], *, temporal: bool = False) -> Any:
    async def sit() -> Any:
        async with sitting(settings(), temporal=temporal) as desk:
            return await work(desk)

    return run(sit())


async def id_of(desk: AuditService, issue: str) -> str:
    """The id, where a number was given."""
    if not issue.startswith("JS-"):
        return issue
    found = [each async for each in Selection.parse(f"number={issue}").issues(desk.holdings.database)]
    if not found:
        raise UnknownError(f"there is no issue {issue} here")
    return found[0]


def write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from None
