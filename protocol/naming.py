"""Finds the issue that somebody names: by its id, by its number as people type it, or by the tracking code alone."""

import re
from contextlib import suppress
from typing import Final

from db import queries, search
from protocol.caller import Caller
from protocol.errors import Invalid, NotFound, Unavailable
from protocol.read_model import ReadModel, SqlDown
from protocol.reader import Reader
from protocol.time_budget import TimeBudget
from security import ids
from texts.catalogue import Wrong

_ID: Final = re.compile(r"[0-9a-z-]{1,64}")


async def issue_named(model: ReadModel, reader: Reader, caller: Caller, name: str) -> str:
    """The id of the issue with this name. Whether the caller may see the issue is not decided here.

    Raises NotFound if there is none, Invalid for a number of several issues that the caller sees, Unavailable if only
    ids are known at the moment.
    """
    budget, number = TimeBudget(), search.whole_number(name)
    if name != ids.MINE and number is None:
        if not _ID.fullmatch(name):
            raise NotFound
        return name
    try:
        async with model.read() as session:
            if number is not None:
                found = await queries.by_number(session, number)
            else:
                found = await queries.by_code(session, ids.tracking_hash(caller.tracking_code or ""))
    except SqlDown:
        raise Unavailable("by-id-only") from None
    if len(found) > 1:
        found = [each for each in found if await _is_visible(reader, caller, each)]
    if len(found) > 1:
        raise Invalid(("issue", Wrong("number-of-several")))
    if not found:
        await reader.hold(budget)
        raise NotFound
    return found[0]


async def _is_visible(reader: Reader, caller: Caller, issue: str) -> bool:
    with suppress(NotFound):
        await reader.visible(caller, issue, TimeBudget())
        return True
    return False
