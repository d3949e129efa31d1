"""For auditors: what `jiesu audit` says, over HTTP. They see the issues of their street, and write nothing.

Histories hold what people wrote, so each of these reads is in the access log before it is answered: who, what, which
issue.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from fastapi import Body, Depends, FastAPI, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask

from api.container import Services
from api.http import examples
from api.http.answers import DiffView, FiguresView, HeadView, ProofView, ThenView, VerdictsView, VerdictView
from api.http.bodies import FIT, unfit
from api.http.openapi import STAFF, answers
from api.http.problems import TooLarge
from api.routes.issues import IssueId, Known, Use
from audit.archive import ArchiveError
from audit.bundle import BundleError
from audit.holdings import UnknownError
from audit.log_check import LogMismatchError
from audit.mining.ocel import write_ocel
from audit.mining.traces import IssueTrace
from audit.mining.xes import write_xes
from audit.refold import RefoldError
from audit.selection import Selection, SelectionError
from audit.service import AuditService, NotYetError, in_thread
from audit.timeline import MomentError
from audit.whatif.report import as_json
from audit.whatif.study import Study
from db.tables import IssueRow
from domain.access import audits
from domain.commands import Actor
from policies.loader import PolicyError, load_text
from protocol.errors import Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from protocol.read_model import SqlDown

log: Final = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
MOST_IN_BUNDLE: Final = 500
_LONGEST: Final = 500
_ID: Final = "^[0-9a-z-]{1,64}$"
_READING: Final = (Unauthenticated, NotFound, Invalid, TooMany, Unavailable)
_BINARY: Final = {"type": "string", "format": "binary"}
_FILES: Final = {"application/json": {"type": "object"}}
_WRITERS: Final[Mapping[str, tuple[Callable[..., Any], str]]] = {
    "ocel": (write_ocel, "application/json"),
    "xes": (write_xes, "application/xml"),
}
_VIEWS: Final[Mapping[str, type[BaseModel]]] = {
    "head": HeadView, "verdict": VerdictView, "verdicts": VerdictsView, "proof": ProofView, "timeline": ThenView,
    "diff": DiffView,
}  # fmt: skip

Words = Annotated[str, Query(alias="query", max_length=_LONGEST, json_schema_extra={"pattern": FIT})]
Many = Annotated[int, Query(ge=1, le=50)]
"""Strict replays take tens of milliseconds each."""


class WhatIfBody(BaseModel):
    """`policy` is the id of a pack of this installation, or the text of one in TOML."""

    model_config = ConfigDict(extra="forbid")

    policy: Annotated[str, Field(min_length=1, max_length=20_000)]
    query: Annotated[str, Field(max_length=_LONGEST, json_schema_extra={"pattern": FIT})] = ""


_WhatIf = Annotated[WhatIfBody, Body(openapi_examples={"pack": {"value": examples.WHAT_IF}})]


def auditor(who: Known) -> Actor:
    """The auditor who asks; for anybody else there is nothing here."""
    if not audits(who.staff.role):
        raise NotFound
    return who.staff


def desk(use: Use) -> AuditService:
    """Unavailable where the composition root has set none up."""
    if use.desk is None:
        raise Unavailable("this process has no archive to read")
    return use.desk


Auditor = Annotated[Actor, Depends(auditor)]
AtDesk = Annotated[AuditService, Depends(desk)]


async def head(at: AtDesk) -> Response:
    """The newest published head of the log: a signed note, and what it says."""
    return JSONResponse(await _answered(at.head()))


async def verdict(issue: IssueId, who: Auditor, use: Use, at: AtDesk, fold_only: bool = False) -> Response:
    """Strict replay of one archived issue: what was compared, and everything that does not hold."""
    await _permit(use, who, issue, "verdict")
    async with use.audits:
        found = await _answered(at.verdict(issue, commands=not fold_only))
    return JSONResponse(found.plain())


async def verdicts(
    who: Auditor, use: Use, at: AtDesk, words: Words = "", after: Annotated[str | None, Query(pattern=_ID)] = None,
    limit: Many = 20, fold_only: bool = False,
) -> Response:  # fmt: skip
    """The same of all sealed issues that `query` means, page by page: go on with `next_after`."""
    selection = _selection(words, who).sealed
    if after is not None:
        await _find(use, who, after)
    issues = await _answered(_list(selection.issues(at.holdings.database, after, limit)))
    _note(who, "verdicts", None, words)
    await use.access.read(who, "verdicts", issues or [None])
    async with use.audits:
        found = [await _answered(at.verdict(issue, commands=not fold_only)) for issue in issues]
    items = [each.plain() for each in found]
    return JSONResponse({"items": items, "next_after": issues[-1] if len(issues) == limit else None})


async def proof(issue: IssueId, who: Auditor, use: Use, at: AtDesk) -> Response:
    """That the issue is in the log of the newest published head."""
    await _permit(use, who, issue, "proof")
    return JSONResponse(await _answered(at.proof(issue)))


async def as_it_was(
    issue: IssueId, who: Auditor, use: Use, at_desk: AtDesk, at: Annotated[str, Query(min_length=1, max_length=40)]
) -> Response:
    """The issue after event number `at`, or as it was known at the time `at`: state, who was responsible, what was due."""
    await _permit(use, who, issue, "timeline")
    return JSONResponse(await _answered(at_desk.view(issue, at)))


async def difference(issue: IssueId, who: Auditor, use: Use, at: AtDesk) -> Response:
    """Temporal's history, the archive and SQL beside each other, event by event."""
    await _permit(use, who, issue, "diff")
    return JSONResponse((await _answered(at.difference(issue))).plain())


async def bundle(who: Auditor, use: Use, at: AtDesk, words: Words) -> Response:
    """A ZIP file with which a stranger can verify the issues offline; read its README.md."""
    issues = await _answered(
        _list(_selection(words, who).sealed.issues(at.holdings.database, None, MOST_IN_BUNDLE + 1))
    )
    if not issues:
        raise NotFound
    if len(issues) > MOST_IN_BUNDLE:
        raise Invalid(("query", f"more than {MOST_IN_BUNDLE} issues: `jiesu audit export` takes any number"))
    _note(who, "bundle", None, words)
    await use.access.export(who, "bundle", issues)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="jiesu-bundle-"))
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        async with use.audits:
            await _answered(at.export(issues, folder / "bundle"))
            packed = await asyncio.to_thread(shutil.make_archive, str(folder / "bundle"), "zip", folder, "bundle")
    except BaseException:
        await gone()
        raise
    return FileResponse(packed, media_type="application/zip", filename="bundle.zip", background=gone)


async def whatif(body: _WhatIf, who: Auditor, use: Use, at: AtDesk) -> Response:
    """What people really did, folded again under another policy: what would have been late, and would have climbed."""
    if (reason := unfit(body.query)) is not None:
        raise Invalid(("query", reason))
    policy = use.policies.get(body.policy)
    try:
        policy = policy or await asyncio.to_thread(load_text, body.policy, "policy")
    except PolicyError as error:
        raise Invalid(("policy", str(error).splitlines()[0])) from None
    study = Study(policy, None, use.now())
    _note(who, "whatif", None, body.query)
    await use.access.read(who, "whatif")
    async with use.audits:
        await _answered(in_thread(study.add_all, at.closed(_selection(body.query, who))))
    return JSONResponse(as_json(study))


async def mining(
    who: Auditor,
    use: Use,
    at: AtDesk,
    words: Words = "",
    form: Annotated[Literal["ocel", "xes"], Query(alias="format")] = "ocel",
) -> Response:
    """Events for process mining, as OCEL 2.0 JSON or XES; people appear under pseudonyms."""
    write, media = _WRITERS[form]
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="jiesu-mining-"))
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    file = folder / f"issues.{form}"

    def export(told: Iterator[IssueTrace]) -> None:
        with file.open("wb") as target:
            write(told, target, use.secret)

    _note(who, "mining", None, words)
    try:
        await use.access.export(who, "mining")
        async with use.audits:
            await _answered(in_thread(export, at.traces(_selection(words, who))))
    except BaseException:
        await gone()
        raise
    return FileResponse(file, media_type=media, filename=file.name, background=gone)


def _selection(words: str, who: Actor) -> Selection:
    if (reason := unfit(words)) is not None:
        raise Invalid(("query", reason))
    try:
        return Selection.parse(words).within(who.org or "")
    except SelectionError as error:
        raise Invalid(("query", str(error))) from None


async def _permit(use: Services, who: Actor, issue: str, what: str) -> None:
    """Puts the read on record. NotFound for an issue of another street."""
    await _find(use, who, issue)
    _note(who, what, issue, "")
    await use.access.read(who, what, [issue])


async def _find(use: Services, who: Actor, issue: str) -> None:
    try:
        async with use.model.read() as session:
            row = await session.get(IssueRow, issue)
    except SqlDown:
        raise Unavailable("the read model cannot be read at the moment") from None
    if row is None or row.street != who.org:
        raise NotFound


def _note(who: Actor, what: str, issue: str | None, words: str) -> None:
    log.info("audit.read", person=who.person, org=who.org, what=what, issue=issue, query=words)


async def _list(ids: AsyncIterator[str]) -> list[str]:
    return [issue async for issue in ids]


async def _answered(work: Awaitable[T]) -> T:
    """The result; what cannot be given becomes a problem."""
    try:
        return await work
    except UnknownError:
        raise NotFound from None
    except (SelectionError, MomentError) as error:
        raise Invalid(("at", str(error))) from None
    except (NotYetError, BundleError) as error:
        raise NotFound(str(error)) from None
    except (ArchiveError, RefoldError, LogMismatchError) as error:
        log.warning("audit.archive_unreadable", error=str(error))
        raise Unavailable("the archive cannot be read: an operator must look") from None
    except (SQLAlchemyError, OSError) as error:
        log.warning("audit.database_away", error=type(error).__name__)
        raise Unavailable("the read model cannot be read at the moment") from None


def register(app: FastAPI) -> None:
    """Adds the routes."""
    options: dict[str, Any] = {"tags": ["audit"], "openapi_extra": STAFF}
    shown = {name: answers(200, example, text, *_READING, model=_VIEWS[name]) for name, example, text in examples.AUDIT}
    files = {"bundle": ("application/zip",), "mining": tuple(media for _, media in _WRITERS.values())}
    for name, media in files.items():
        shown[name] = answers(200, None, "A file", *_READING)
        shown[name][200]["content"] = {each: {"schema": _FILES.get(each, _BINARY)} for each in media}
    app.get(
        "/v1/audit/head", responses=shown["head"], operation_id="audit_head", dependencies=[Depends(auditor)], **options
    )(head)
    app.get("/v1/audit/verdicts", responses=shown["verdicts"], operation_id="audit_verdicts", **options)(verdicts)
    app.get("/v1/audit/bundle", responses=shown["bundle"], operation_id="audit_bundle", **options)(bundle)
    app.get("/v1/audit/mining", responses=shown["mining"], operation_id="audit_mining", **options)(mining)
    given = answers(200, examples.FIGURES, "The figures", *_READING, TooLarge, model=FiguresView)
    app.post("/v1/audit/whatif", responses=given, operation_id="audit_whatif", **options)(whatif)
    one = "/v1/audit/issues/{issue}"
    app.get(f"{one}/verdict", responses=shown["verdict"], operation_id="audit_verdict", **options)(verdict)
    app.get(f"{one}/proof", responses=shown["proof"], operation_id="audit_proof", **options)(proof)
    app.get(f"{one}/timeline", responses=shown["timeline"], operation_id="audit_timeline", **options)(as_it_was)
    app.get(f"{one}/diff", responses=shown["diff"], operation_id="audit_diff", **options)(difference)
