"""The routes of event streams: an issue, and a worklist, told whenever they change."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from fastapi import Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.container import Services
from api.dependencies import IssueId, Known, Use, router_of
from api.http.openapi import KNOWN, READING, STAFF, answers
from api.http.responses import Answer, IssueView, Moment
from api.routes.lists import WorklistOrg, worklist_org
from protocol.caller import Caller
from protocol.errors import ProtocolError
from protocol.hub import Watched

router: Final = router_of("streams")

RETRY: Final = 2000
"""Milliseconds after which a client asks again once a stream has ended."""
LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=200, description="What came last: it is not sent again.")
]


class ClockView(Answer):
    """The time of this server, and when it last looked whether something has changed."""

    at: Moment
    looked_at: Moment

    example: ClassVar[Any] = {"at": "2026-11-21T08:00:00.000Z", "looked_at": "2026-11-21T07:59:59.800Z"}


def _answers(event: str, example: Any) -> dict[int | str, dict[str, Any]]:
    sample = f"id: 0.4\nevent: {event}\ndata: {example}\n\n"
    files = {"text/event-stream": {"example": sample}}
    return answers(200, None, "Events until the connection ends", *READING, files=files)


async def _readable(issue: IssueId, who: Known, use: Use) -> str:
    """The id of the issue. Raises what reading it does: once a stream has begun it is too late for another status."""
    await use.reader.readable(who, issue)
    return issue


@router.get(
    "/issues/{issue}/events", operation_id="issue_events", openapi_extra=KNOWN, response_class=EventSourceResponse,
    responses=_answers("issue", "{...}"),
)  # fmt: skip
async def of_issue(
    issue: Annotated[str, Depends(_readable)], use: Use, request: Request, last: LastId = None
) -> AsyncIterator[ServerSentEvent]:
    """An event stream: `issue`, now and whenever the issue changes, as `GET` of the issue; and `clock` every 10 seconds.

    The stream ends when the caller may no longer read the issue: who asks again is told why.
    """

    async def told(who: Caller) -> str:
        seen = await use.reader.readable(who, issue)
        return IssueView.from_issue(seen.issue, taken_often=await use.reader.taken_often(seen)).model_dump_json()

    async with aclosing(
        events(use, Watched("issue", issue), partial(use.authenticator.again, request), told, last)
    ) as found:
        async for event in found:
            yield event


@router.get(
    "/worklist/events", operation_id="worklist_events", openapi_extra=STAFF, response_class=EventSourceResponse,
    responses=_answers("org", '{"org": "demo-property"}'),
)  # fmt: skip
async def of_worklist(
    org: WorklistOrg, use: Use, request: Request, last: LastId = None
) -> AsyncIterator[ServerSentEvent]:  # fmt: skip
    """An event stream: `org`, now and whenever an issue of this worklist changes; and `clock` every 10 seconds."""

    async def told(who: Caller) -> str:
        return json.dumps({"org": await worklist_org(who, use, org)})

    async with aclosing(
        events(use, Watched("org", org), partial(use.authenticator.again, request), told, last)
    ) as found:
        async for event in found:
            yield event


async def events(
    use: Services, what: Watched, again: Callable[[], Awaitable[Caller]], told: Callable[[Caller], Awaitable[str]],
    last: str | None, *, is_named: bool = True,
) -> AsyncGenerator[ServerSentEvent]:  # fmt: skip
    """The events of a stream: for each change what is `told` to this caller, and the clock.

    The caller is authenticated `again` for each event, since sessions end and codes are renewed meanwhile. Ends if that
    fails, or when the server stops. An event has the name of what is watched, if any.
    """
    yield ServerSentEvent(retry=RETRY)
    name = what.kind if is_named else None
    async with aclosing(use.hub.watch(what, last)) as watching:
        async for news in watching:
            try:
                who = await again()
                if news.is_new:
                    yield ServerSentEvent(event=name, id=news.stamp, raw_data=await told(who))
            except ProtocolError:
                return
            clock = ClockView(at=use.now(), looked_at=news.looked_at)
            yield ServerSentEvent(event="clock", raw_data=clock.model_dump_json())
