"""Admits a caller to an issue: finds as which actor the caller acts there, and with which authorities.

The rules judge every command by this actor and these authorities.
"""

from dataclasses import dataclass

from domain.commands import Authority
from protocol.caller import Caller
from protocol.clock import Now, today
from protocol.directory_cache import DirectoryCache
from protocol.reader import Reader, VisibleIssue
from protocol.time_budget import TimeBudget


@dataclass(frozen=True)
class Admitted(VisibleIssue):
    """An issue that the caller may act in, and the authorities that the caller has there now."""

    grants: tuple[Authority, ...]


class Admission:
    """Admits callers to issues."""

    def __init__(self, reader: Reader, directory: DirectoryCache, now: Now) -> None:
        self._reader = reader
        self._directory = directory
        self._now = now

    async def admit(self, caller: Caller, issue: str, budget: TimeBudget, key: str | None = None) -> Admitted:
        """The issue as the caller sees it, with the authorities that the caller has in it now.

        With `key`, an issue that is read from SQL comes with the caller's command under this idempotency key, as long
        as that command waits for its receipt (`loaded.pending`). Raises NotFound if the issue does not exist or the
        caller may not see it, Unavailable if the issue or the directory cannot be read.
        """
        seen = await self._reader.visible(caller, issue, budget, key)
        if caller.actor is None:
            grants = (Authority("resident", None, "code"),)
        elif seen.actor.role != "property":
            grants = caller.grants
        else:
            grants = (await self._directory.get()).grants_in(seen.issue.place, caller.grants, today(self._now()))
        return Admitted(seen.loaded, seen.actor, grants)
