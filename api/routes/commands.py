"""Commands: one route for each, made from the domain's own list, and the receipts that say what became of them."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from api.container import Services
from api.http import examples, views
from api.http.answers import AppliedView, QueuedView, ReceiptView
from api.http.headers import CommandKeyHeader, MatchHeader, command_key, expected_version
from api.http.openapi import KNOWN, answers
from api.http.problems import KeyMissing, TooLarge, problem_of
from api.http.requests import COMMANDS, CommandShape, Shape
from api.routes.issues import IssueId, Known, Use
from protocol import ids
from protocol.caller import Caller
from protocol.commands import Applied, CommandDraft
from protocol.errors import (
    Forbidden,
    Invalid,
    KeyReused,
    NotFound,
    ProtocolError,
    Refused,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from protocol.pending import Queued

_PROBLEMS: Final = (
    KeyMissing, Unauthenticated, Forbidden, NotFound, Refused, Stale, TooLarge, Invalid, KeyReused, TooMany, Unavailable,
)  # fmt: skip
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Route = Callable[..., Awaitable[Response]]


async def writer(request: Request, issue: IssueId, who: Known, use: Use) -> Caller:
    """Who gives the command; 403 for those who never give one, whatever is in the body."""
    await use.access.may_write(who, _name(request), issue)
    return who


def _name(request: Request) -> str:
    """The command, from the route's own path."""
    return f"command.{request.scope['route'].path.rpartition('/')[2]}"


@dataclass(frozen=True)
class _Sent:
    """What comes with every command, whatever its body."""

    issue: IssueId
    who: Annotated[Caller, Depends(writer)]
    key: CommandKeyHeader = None
    match: MatchHeader = None


Sent = Annotated[_Sent, Depends()]


def _route(shape: CommandShape) -> Route:
    """The route of one command, with its body's model in its signature."""
    example = Body(openapi_examples={shape.name: {"value": examples.COMMANDS[shape.name]}})

    async def give(sent: Sent, use: Use, body: Any) -> Response:
        return await _give(shape, sent, use, body)

    async def maybe_without(sent: Sent, use: Use, body: Any = None) -> Response:
        return await _give(shape, sent, use, body or shape.model())

    if shape.may_be_empty:
        maybe_without.__annotations__["body"] = Annotated[shape.model | None, example]
        return maybe_without
    give.__annotations__["body"] = Annotated[shape.model, example]
    return give


async def _give(shape: CommandShape, sent: _Sent, use: Services, body: Shape) -> Response:
    outcomes = use.meters.commands
    try:
        draft = CommandDraft(shape.read(body), command_key(sent.key, sent.who), expected_version(sent.match))
        await use.access.may_give(sent.who)
        done = await use.commands.give(sent.who, sent.issue, draft)
    except ProtocolError as error:
        outcomes.labels(shape.name, problem_of(error).type).inc()
        if isinstance(error, NotFound):
            await use.access.turned_away(sent.who, f"command.{shape.name}", sent.issue)
        elif isinstance(error, (Refused, Stale)):
            await use.access.given(sent.issue)
        raise
    await use.access.given(sent.issue)
    if isinstance(done, Applied):
        outcomes.labels(shape.name, "applied").inc()
        view = {"outcome": "applied", "command_id": done.command_id, "issue": views.issue_view(done.issue)}
        if shape.name == "renew_code":  # only whoever reported the issue may give it
            view["tracking_code"] = ids.tracking_code(use.secret, done.issue.id, done.issue.generation)
        return JSONResponse(view, headers={"ETag": views.etag(done.issue.version)})
    outcomes.labels(shape.name, "queued").inc()
    view = {"outcome": "queued", "command_id": done.command_id}
    return JSONResponse(view, 202, {"Location": f"/v1/commands/{done.command_id}"})


def command_id(command: str) -> str:
    if not _UUID.fullmatch(command):
        raise NotFound
    return command


async def receipt(command: Annotated[str, Depends(command_id)], who: Known, use: Use) -> Response:
    """What became of a command: queued, applied or refused. Only for those who may see its issue."""
    found = await use.commands.receipt(who, command)
    if isinstance(found, Queued):
        return JSONResponse({"outcome": "queued", "command_id": command, "issue_id": found.issue})
    view = views.receipt_view(command, found.issue)
    return JSONResponse(view if found.tracking_code is None else {**view, "tracking_code": found.tracking_code})


def register(app: FastAPI) -> None:
    """Adds the routes."""
    given = answers(200, examples.APPLIED, "It took effect", *_PROBLEMS, model=AppliedView, headers=("ETag",))
    later = answers(
        202, examples.QUEUED, "It is durable and will be dealt with; ask for its receipt", model=QueuedView,
        headers=("Location",),
    )  # fmt: skip
    for name, shape in COMMANDS.items():
        app.post(
            f"/v1/issues/{{issue}}/commands/{name}", responses={**given, **later}, tags=["commands"],
            operation_id=name, summary=name, description=shape.model.__doc__, openapi_extra=KNOWN,
        )(_route(shape))  # fmt: skip
    problems = (Unauthenticated, NotFound, Invalid, TooMany, Unavailable)
    shown = answers(200, examples.RECEIPT, "The receipt", *problems, model=ReceiptView)
    app.get("/v1/commands/{command}", responses=shown, tags=["commands"], operation_id="receipt", openapi_extra=KNOWN)(
        receipt
    )
