"""Routes for auditors, with the results of `jiesu audit`.

Auditors see the issues of their street, and write nothing.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import Body, Depends, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from api.dependencies import IssueId, Known, part, router_of
from api.http import examples
from api.http.audit_responses import DiffView, FiguresView, HeadView, ProofView, ThenView, VerdictsView, VerdictView
from api.http.openapi import BINARY, READING, STAFF, answers
from api.http.problems import TooLarge
from api.http.requests import Fit
from audit.whatif.report import as_json
from domain import access
from domain.commands import Actor
from protocol.auditing import Auditing
from protocol.errors import NotFound, Unavailable
from protocol.text_rules import FIT

router: Final = router_of("audit")

_LONGEST: Final = 500
_MEDIA: Final = {"ocel": "application/json", "xes": "application/xml"}

Words = Annotated[str, Fit, Query(alias="query", max_length=_LONGEST, json_schema_extra={"pattern": FIT})]
Many = Annotated[int, Query(ge=1, le=50)]
"""How many verdicts a page may have; at most 50, since each strict replay takes tens of milliseconds."""


class WhatIfBody(BaseModel):
    """`policy`: the id of a pack of this installation, or a pack in TOML. `query` selects the issues to fold under it."""

    model_config = ConfigDict(extra="forbid")

    policy: Annotated[str, Field(min_length=1, max_length=20_000)]
    query: Annotated[str, Field(max_length=_LONGEST, json_schema_extra={"pattern": FIT})] = ""


async def auditor(who: Known) -> Actor:
    """The caller, who must be an auditor. Raises NotFound for everybody else."""
    if not access.audits(who.staff.role):
        raise NotFound
    return who.staff


Auditor = Annotated[Actor, Depends(auditor)]
Audits = Annotated[Auditing, part("auditing", lambda: Unavailable("no-archive"))]


@router.get(
    "/audit/head", operation_id="audit_head", openapi_extra=STAFF, response_model=HeadView,
    responses=answers(200, HeadView.example, "The head", *READING), dependencies=[Depends(auditor)],
)  # fmt: skip
async def head(audits: Audits) -> Response:
    """The newest published head of the Merkle log: the signed note, and the size, root and time that it states."""
    return JSONResponse(await audits.head())


@router.get(
    "/audit/issues/{issue}/verdict", operation_id="audit_verdict", openapi_extra=STAFF, response_model=VerdictView,
    responses=answers(200, VerdictView.example, "The verdict", *READING),
)  # fmt: skip
async def verdict(issue: IssueId, who: Auditor, audits: Audits, fold_only: bool = False) -> Response:
    """The verdict of strict replay on one archived issue: how much was compared, and everything that does not hold."""
    found = await audits.verdict(who, issue, commands=not fold_only)
    return JSONResponse(found.plain())


@router.get(
    "/audit/verdicts", operation_id="audit_verdicts", openapi_extra=STAFF, response_model=VerdictsView,
    responses=answers(200, VerdictsView.example, "A page of verdicts", *READING),
)  # fmt: skip
async def verdicts(
    who: Auditor, audits: Audits, words: Words = "",
    after: Annotated[str | None, Query(pattern="^[0-9a-z-]{1,64}$")] = None, limit: Many = 20, fold_only: bool = False,
) -> Response:  # fmt: skip
    """The verdicts of strict replay on all sealed issues that match `query`, page by page.

    Pass `next_after` as `after` for the next page.
    """
    found, next_after = await audits.verdicts(who, words, after, limit, commands=not fold_only)
    return JSONResponse({"items": [each.plain() for each in found], "next_after": next_after})


@router.get(
    "/audit/issues/{issue}/proof", operation_id="audit_proof", openapi_extra=STAFF, response_model=ProofView,
    responses=answers(200, ProofView.example, "The proof", *READING),
)  # fmt: skip
async def proof(issue: IssueId, who: Auditor, audits: Audits) -> Response:
    """The proof that the issue's record is in the Merkle log, under the newest published head."""
    return JSONResponse(await audits.proof(who, issue))


@router.get(
    "/audit/issues/{issue}/timeline", operation_id="audit_timeline", openapi_extra=STAFF, response_model=ThenView,
    responses=answers(200, ThenView.example, "The issue then", *READING),
)  # fmt: skip
async def as_it_was(
    issue: IssueId, who: Auditor, audits: Audits, at: Annotated[str, Query(min_length=1, max_length=40)]
) -> Response:
    """The issue as it was at `at`: its state, who was responsible, and what was due.

    `at` is the number of an event, for the issue after that event, or a time, for the issue as it was known then.
    """
    return JSONResponse(await audits.view(who, issue, at))


@router.get(
    "/audit/issues/{issue}/diff", operation_id="audit_diff", openapi_extra=STAFF, response_model=DiffView,
    responses=answers(200, DiffView.example, "The witnesses", *READING),
)  # fmt: skip
async def difference(issue: IssueId, who: Auditor, audits: Audits) -> Response:
    """What Temporal's history, the archive and SQL each hold of the issue, compared event by event."""
    return JSONResponse((await audits.difference(who, issue)).plain())


@router.get(
    "/audit/bundle", operation_id="audit_bundle", openapi_extra=STAFF,
    responses=answers(200, None, "A file", *READING, files={"application/zip": BINARY}),
)  # fmt: skip
async def bundle(who: Auditor, audits: Audits, words: Words) -> Response:
    """A ZIP file with which a stranger can verify the matching issues offline. The README.md in the file says how."""
    async with _scratch() as (folder, gone):
        packed = await audits.bundle(who, words, folder)
        return FileResponse(packed, media_type="application/zip", filename="bundle.zip", background=gone)


@router.post(
    "/audit/whatif", operation_id="audit_whatif", openapi_extra=STAFF, response_model=FiguresView,
    responses=answers(200, FiguresView.example, "The figures", *READING, TooLarge),
)  # fmt: skip
async def whatif(
    body: Annotated[WhatIfBody, Body(openapi_examples={"pack": {"value": examples.WHAT_IF}})],
    who: Auditor, audits: Audits,
) -> Response:  # fmt: skip
    """What would have happened to past issues under another policy: what would have been late, what would have climbed.

    The commands that people really gave are folded again under that policy.
    """
    return JSONResponse(as_json(await audits.whatif(who, body.policy, body.query)))


@router.get(
    "/audit/mining", operation_id="audit_mining", openapi_extra=STAFF,
    responses=answers(
        200, None, "A file", *READING,
        files={"application/json": {"schema": {"type": "object"}}, "application/xml": BINARY},
    ),
)  # fmt: skip
async def mining(
    who: Auditor, audits: Audits, words: Words = "",
    form: Annotated[Literal["ocel", "xes"], Query(alias="format")] = "ocel",
) -> Response:  # fmt: skip
    """A file of the issues' events for process mining, as OCEL 2.0 JSON or XES. People appear under pseudonyms."""
    async with _scratch() as (folder, gone):
        file = await audits.mining(who, form, words, folder)
        return FileResponse(file, media_type=_MEDIA[form], filename=file.name, background=gone)


@asynccontextmanager
async def _scratch() -> AsyncGenerator[tuple[Path, BackgroundTask]]:
    """A temporary folder for a file to be sent, and the background task that removes the folder after the answer.

    An error removes the folder at once.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="jiesu-audit-"))
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    try:
        yield folder, gone
    except BaseException:
        await gone()
        raise
