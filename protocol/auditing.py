"""What auditors read, of the issues of their own street. Each read is in the access log before it is answered."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from audit.archive import ArchiveError
from audit.bundle import BundleError
from audit.case import Verdict
from audit.diff import Diff
from audit.holdings import NotYetError, UnknownError
from audit.log_check import LogMismatchError
from audit.mining.ocel import write_ocel
from audit.mining.traces import IssueTrace
from audit.mining.xes import write_xes
from audit.refold import RefoldError
from audit.selection import Selection, SelectionError
from audit.service import AuditService, in_thread
from audit.timeline import MomentError
from audit.whatif.study import Study
from db.tables import IssueRow
from domain.commands import Actor
from domain.policy import Policy
from domain.rules import UnknownRulesError
from policies.loader import PolicyError, load_text
from protocol.clock import Now
from protocol.errors import Invalid, NotFound, Unavailable
from protocol.guards import AccessGuard
from protocol.read_model import ReadModel, SqlDown
from texts.catalogue import Wrong

log: Final = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
_MOST_IN_BUNDLE: Final = 500
_WRITERS: Final[Mapping[str, Callable[..., Any]]] = {"ocel": write_ocel, "xes": write_xes}


@dataclass(frozen=True)
class Auditing:
    """What auditors read. One replay or export runs at a time, since each uses a whole core.

    Methods raise NotFound, Invalid and Unavailable.
    """

    audit_service: AuditService
    model: ReadModel
    access: AccessGuard
    policies: Mapping[str, Policy]
    secret: bytes = field(repr=False)
    now: Now
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1), init=False)

    async def head(self) -> dict[str, Any]:
        """The newest published head of the Merkle log."""
        return await _answered(self.audit_service.head())

    async def verdict(self, who: Actor, issue: str, *, commands: bool) -> Verdict:
        """The verdict of strict replay on one archived issue."""
        await self._permit(who, issue, "verdict")
        async with self._turn:
            return await _answered(self.audit_service.verdict(issue, commands=commands))

    async def verdicts(
        self, who: Actor, words: str, after: str | None, limit: int, *, commands: bool
    ) -> tuple[list[Verdict], str | None]:
        """The verdicts of strict replay on at most `limit` sealed issues that match the query `words`.

        The page begins after the issue `after`. The second value is the last issue of the page if more may follow,
        else None.
        """
        selection = _selection(words, who).sealed
        if after is not None:
            await self._find(who, after)
        issues = await _answered(_list(selection.issues(self.audit_service.holdings.database, after, limit)))
        _note(who, "verdicts", None, words)
        await self.access.read(who, "verdicts", issues or [None])
        async with self._turn:
            found = [await _answered(self.audit_service.verdict(issue, commands=commands)) for issue in issues]
        return found, issues[-1] if len(issues) == limit else None

    async def proof(self, who: Actor, issue: str) -> dict[str, Any]:
        """The proof that the Merkle log contains the issue's record, against the newest published head."""
        await self._permit(who, issue, "proof")
        return await _answered(self.audit_service.proof(issue))

    async def view(self, who: Actor, issue: str, at: str) -> dict[str, Any]:
        """The state of the issue after its event number `at`, or as it was known at the time `at`."""
        await self._permit(who, issue, "timeline")
        return await _answered(self.audit_service.view(issue, at))

    async def difference(self, who: Actor, issue: str) -> Diff:
        """The differences between what Temporal's history, the archive and SQL say of the issue."""
        await self._permit(who, issue, "diff")
        return await _answered(self.audit_service.difference(issue))

    async def bundle(self, who: Actor, words: str, folder: Path) -> Path:
        """Writes a ZIP file into `folder` and returns its path.

        With the file, anybody can verify offline the sealed issues that match the query `words`.
        """
        selection = _selection(words, who).sealed
        issues = await _answered(
            _list(selection.issues(self.audit_service.holdings.database, None, _MOST_IN_BUNDLE + 1))
        )
        if not issues:
            raise NotFound
        if len(issues) > _MOST_IN_BUNDLE:
            raise Invalid(("query", Wrong("bundle-large", most=_MOST_IN_BUNDLE)))
        _note(who, "bundle", None, words)
        await self.access.export(who, "bundle", issues)
        async with self._turn:
            await _answered(self.audit_service.export(issues, folder / "bundle"))
            return Path(await asyncio.to_thread(shutil.make_archive, str(folder / "bundle"), "zip", folder, "bundle"))

    async def whatif(self, who: Actor, pack: str, words: str) -> Study:
        """Folds the recorded commands of the closed issues that match the query `words` under another policy.

        `pack` is the id of a shipped policy, or the TOML text of a policy.
        """
        policy = self.policies.get(pack)
        try:
            policy = policy or await asyncio.to_thread(load_text, pack, "policy")
        except PolicyError as error:
            raise Invalid(("policy", Wrong("policy-faulty", problem=str(error).splitlines()[0]))) from None
        study = Study(policy, None, self.now())
        _note(who, "whatif", None, words)
        await self.access.read(who, "whatif")
        async with self._turn:
            await _answered(in_thread(study.add_all, self.audit_service.closed(_selection(words, who))))
        return study

    async def mining(self, who: Actor, form: str, words: str, folder: Path) -> Path:
        """Writes a file of events for process mining into `folder`, with pseudonyms for people, and returns its path.

        `form` is `ocel` or `xes`; the query `words` selects the issues.
        """
        file = folder / f"issues.{form}"

        def export(traces: Iterator[IssueTrace]) -> None:
            with file.open("wb") as target:
                _WRITERS[form](traces, target, self.secret)

        _note(who, "mining", None, words)
        await self.access.export(who, "mining")
        async with self._turn:
            await _answered(in_thread(export, self.audit_service.traces(_selection(words, who))))
        return file

    async def _permit(self, who: Actor, issue: str, what: str) -> None:
        """Writes the read of an issue into the access log. Raises NotFound for an issue of another street."""
        await self._find(who, issue)
        _note(who, what, issue, "")
        await self.access.read(who, what, [issue])

    async def _find(self, who: Actor, issue: str) -> None:
        try:
            async with self.model.read() as session:
                row = await session.get(IssueRow, issue)
        except SqlDown:
            raise Unavailable("rows-away") from None
        if row is None or row.street != who.org:
            raise NotFound


def _selection(words: str, who: Actor) -> Selection:
    try:
        return Selection.parse(words).within(who.org or "")
    except SelectionError as error:
        raise Invalid(("query", error)) from None


def _note(who: Actor, what: str, issue: str | None, words: str) -> None:
    log.info("audit.read", person=who.person, org=who.org, what=what, issue=issue, query=words)


async def _list(ids: AsyncIterator[str]) -> list[str]:
    return [issue async for issue in ids]


async def _answered(work: Awaitable[T]) -> T:
    """The result of `work`. Errors of `audit/` and of the database become those of `protocol/errors.py`."""
    try:
        return await work
    except UnknownError:
        raise NotFound from None
    except (SelectionError, MomentError) as error:
        raise Invalid(("at", error)) from None
    except NotYetError as error:
        raise NotFound("not-provable", why=error.text) from None
    except (ArchiveError, BundleError, RefoldError, LogMismatchError, UnknownRulesError) as error:
        log.warning("audit.archive_unreadable", error=str(error))
        raise Unavailable("archive-unreadable") from None
    except (SQLAlchemyError, OSError) as error:
        log.warning("audit.database_away", error=type(error).__name__)
        raise Unavailable("rows-away") from None
