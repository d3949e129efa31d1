"""Opens `audit.service.AuditService` over this installation's database and archive."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from temporalio.converter import DataConverter

from audit.archive import Archive
from audit.content import places_of
from audit.holdings import Holdings, UnknownError
from audit.selection import Selection
from audit.service import AuditService
from cli.database import opened
from cli.system import run, settings
from runtime.settings import Settings
from security.opening import open_converter


@asynccontextmanager
async def open_service(chosen: Settings, *, rows: bool = True, temporal: bool = False) -> AsyncGenerator[AuditService]:
    """A context with the audit service. With `temporal` the service has a client, if Temporal answers."""
    from runtime.temporal import connect

    async with opened(chosen) as database:
        converter = open_converter(chosen) if temporal else DataConverter.default
        client = await connect(chosen, timeout=2.0, converter=converter) if temporal else None
        yield AuditService(
            Holdings(database, Archive(chosen.archive_url), rows=rows),
            chosen.heads_folder,
            client,
            places_of(chosen)[0],
        )


def with_service(work: Callable[[AuditService], Coroutine[Any, Any, Any]], *, temporal: bool = False) -> Any:
    """Opens the audit service by this process's settings, runs `work` on the service, and returns the result."""

    async def opened_work() -> Any:
        async with open_service(settings(), temporal=temporal) as service:
            return await work(service)

    return run(opened_work())


async def id_of(service: AuditService, issue: str) -> str:
    """The id of an issue, given its id or its number. Raises UnknownError if no issue has this number."""
    if not issue.startswith("JS-"):
        return issue
    found = [each async for each in Selection.parse(f"number={issue}").issues(service.holdings.database)]
    if not found:
        raise UnknownError(f"there is no issue {issue} here")
    return found[0]
