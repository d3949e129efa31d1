"""The routes of issues: to hand in an issue, and to read its present state, its next step and its events."""

from typing import Annotated, Final

from fastapi import Body, Response

from api.dependencies import Anybody, IssueId, Known, Use, router_of
from api.http import examples
from api.http.headers import KeyHeader, NoneMatchHeader, uuid_key
from api.http.openapi import ANYBODY, KNOWN, READING, answers, sent
from api.http.problems import KeyMissing, TooLarge
from api.http.requests import ReportBody
from api.http.responses import BeforeView, IssueView, NextView, TakenView, TimelineView, etag
from protocol.errors import Forbidden, Invalid, KeyReused, TooMany, Unauthenticated, Unavailable
from protocol.telling import told, told_before

router: Final = router_of("issues")


@router.post(
    "/issues", status_code=201, operation_id="report", openapi_extra=ANYBODY,
    responses=answers(
        201, TakenView.example, "Taken in", KeyMissing, Unauthenticated, Forbidden, TooLarge, Invalid, KeyReused,
        TooMany, Unavailable, headers=("Location", "ETag"),
    ),
)  # fmt: skip
async def report(
    body: Annotated[ReportBody, Body(openapi_examples={"leak": {"value": examples.REPORT}})], who: Anybody, use: Use,
    answer: Response, key: KeyHeader = None,
) -> TakenView:  # fmt: skip
    """Hand in an issue. Anybody may.

    A request with the same `Idempotency-Key` gives the same issue and the same tracking code for ever. Keep the
    tracking code: it opens the issue to its reporter. Staff who take a report in for somebody get none: `told_by` says
    whether it goes to the phone in `contact`, or the resident can only be answered on the board. `follows` names a closed issue of the same compound whose problem
    has come back. Only who reported or follows that one may name it, by a token or by his code in `X-Tracking-Code`.
    """
    await use.access.may_report(who)
    taken = await use.intake.take(who, body.draft, uuid_key(key))
    answer.headers["Location"] = f"/v1/issues/{taken.issue.id}"
    answer.headers["ETag"] = etag(taken.issue.version)
    return TakenView.from_issue(taken.issue, tracking_code=taken.tracking_code, told_by=taken.told_by)


@router.get(
    "/issues/{issue}", operation_id="issue", openapi_extra=KNOWN, response_model=IssueView,
    responses={
        **answers(200, IssueView.example, "The issue", *READING, headers=("ETag",)),
        304: {"description": "It is as `If-None-Match` says", "headers": sent("ETag")},
    },
)  # fmt: skip
async def read(
    issue: IssueId, who: Known, use: Use, answer: Response, known: NoneMatchHeader = None
) -> IssueView | Response:
    """The present state of the issue. The ETag is the issue's version."""
    seen = await use.reader.readable(who, issue)
    headers = {"ETag": etag(seen.issue.version), "Cache-Control": "private, no-cache"}
    if known is not None and headers["ETag"] in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return IssueView.from_issue(seen.issue, taken_often=await use.reader.taken_often(seen))


@router.get(
    "/issues/{issue}/next", operation_id="next", openapi_extra=KNOWN,
    responses=answers(200, NextView.example, "The next step", *READING, headers=("ETag",)),
)  # fmt: skip
async def following(issue: IssueId, who: Known, use: Use, answer: Response) -> NextView | None:
    """Who must do what next, and by when; null when nothing is due."""
    seen = await use.reader.readable(who, issue)
    answer.headers["ETag"] = etag(seen.issue.version)
    return NextView.from_issue(seen.issue)


@router.get(
    "/issues/{issue}/timeline", operation_id="timeline", openapi_extra=KNOWN,
    responses=answers(200, TimelineView.example, "The events", *READING, headers=("ETag",)),
)  # fmt: skip
async def timeline(issue: IssueId, who: Known, use: Use, answer: Response) -> TimelineView:
    """All events of the issue, how long each holder held it, and the climbs on the accounts of its handlers.

    An event says what happened, who did it in which role, and under which clause. Who has lost the issue or the
    contract sees for a year the record of the own organisation, without personal data.

    Personal data is masked for those who may not see it. That staff saw a phone number goes into the access log, and
    how often they may is limited. Beyond the limit the number is masked, and the header `Jiesu-Masked` says why.

    `before` holds the closed issues that this one takes up or follows, the last first. Who reads this one reads what it
    takes up, and of what it only follows as much as there; a resident in each case what he might read there.
    """
    seen = await use.reader.readable(who, issue, record=True)
    found = await told(seen, use.reader, use.access)
    answer.headers["ETag"] = etag(found.timeline.events[-1].seq)
    if found.masked is not None:
        answer.headers["Jiesu-Masked"] = found.masked
    before = await told_before(seen, use.reader, use.access, use.attachments)
    older = [BeforeView.from_told(each, f"/v1/issues/{issue}/attachments/") for each in before]
    return TimelineView.from_timeline(found.timeline, found.sight, seen.issue.policy, older)
