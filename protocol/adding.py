"""Adds a picture to an issue: who may is judged before the picture is read, and that it was added goes on record."""

from collections.abc import Awaitable, Callable

from domain.commands import Attach
from protocol.attachments import Attachments
from protocol.caller import Caller
from protocol.commands import CommandDraft, CommandService
from protocol.guards import AccessGuard
from protocol.reader import Reader
from protocol.time_budget import TimeBudget


async def add_picture(
    caller: Caller, issue: str, read: Callable[[], Awaitable[bytes]], kept: Attachments, access: AccessGuard,
    reader: Reader, commands: CommandService,
) -> str:  # fmt: skip
    """Keeps the picture that `read` gets, and returns the name under which it is kept.

    Raises Forbidden, NotFound, Refused, TooMany, Invalid or Unavailable, and what `read` raises.
    """
    await access.may_write(caller, "attach", issue)
    admitted = await reader.visible(caller, issue, TimeBudget())
    kept.check(admitted)
    await access.may_upload(caller)
    digest = await kept.add(admitted, await read())
    await commands.give(caller, issue, CommandDraft(Attach(digest), key=f"{issue}:{digest}"))
    return digest
