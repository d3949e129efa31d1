"""How commands of the audit sit down at the desk: over this installation's database and archive, errors on one line."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from temporalio.converter import DataConverter

from audit.archive import Archive, ArchiveError
from audit.bundle import BundleError
from audit.heads import LogAlteredError
from audit.holdings import Holdings, UnknownError
from audit.log_check import LogMismatchError
from audit.log_keys import LogKeysError
from audit.notes import NoteError
from audit.refold import RefoldError
from audit.restore import RestoreError
from audit.selection import Selection, SelectionError
from audit.service import AuditService, NotYetError
from audit.timeline import MomentError
from audit.verify_all import ResumeError
from cli.database import opened
from cli.errors import Failure
from cli.system import run, settings
from db.pinned import MissingError
from runtime.settings import Settings
from security.opening import open_converter

_EXPECTED: Final = (
    UnknownError, NotYetError, BundleError, ArchiveError, RefoldError, LogKeysError, NoteError, ResumeError,
    SelectionError, MomentError, LogAlteredError, RestoreError, LogMismatchError, MissingError,
)  # fmt: skip


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

    return asking(sit())


def asking(work: Coroutine[Any, Any, Any]) -> Any:
    """The result; what the auditor can mend becomes one line."""
    try:
        return run(work)
    except _EXPECTED as error:
        raise Failure(str(error)) from None


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
