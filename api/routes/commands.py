"""One route for each command, made from the domain's list of commands, and the route for receipts."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Body, Depends, Request, Response
from fastapi.responses import JSONResponse

from api.container import Services
from api.dependencies import IssueId, Known, Use, router_of
from api.http import examples
from api.http.headers import CommandKeyHeader, MatchHeader, command_key, expected_version
from api.http.openapi import ANYBODY, KNOWN, READING, answers
from api.http.problems import KeyMissing, TooLarge, problem_of
from api.http.requests import COMMANDS, CommandShape, Shape
from api.http.responses import AppliedView, IssueView, QueuedView, ReceiptView, etag, said_of
from protocol import errors as e
from protocol.caller import Caller
from protocol.commands import Applied, CommandDraft
from protocol.pending import Queued

router: Final = router_of("commands")

_PROBLEMS: Final = (
    KeyMissing, e.Unauthenticated, e.Forbidden, e.NotFound, e.Refused, e.Stale, TooLarge, e.Invalid, e.KeyReused,
    e.TooMany, e.Unavailable,
)  # fmt: skip
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Route = Callable[..., Awaitable[AppliedView | Response]]


async def writer(request: Request, issue: IssueId, who: Known, use: Use) -> Caller:
    """The caller. Raises Forbidden, before the body is validated, for a role that writes nothing."""
    name = request.scope["route"].path.rpartition("/")[2]
    await use.access.may_write(who, f"command.{name}", issue)
    return who


@dataclass(frozen=True)
class _Sent:
    """What every request with a command has besides its body: issue, caller, idempotency key and expected version."""

    issue: IssueId
    who: Annotated[Caller, Depends(writer)]
    key: CommandKeyHeader = None
    match: MatchHeader = None


Sent = Annotated[_Sent, Depends()]


def _route(shape: CommandShape) -> Route:
    """The function of one command's route. Its signature names the model of the body, from which FastAPI works."""
    example = Body(openapi_examples={shape.name: {"value": examples.COMMANDS[shape.name]}})

    async def give(sent: Sent, use: Use, answer: Response, body: Any) -> AppliedView | Response:
        return await _give(shape, sent, use, answer, body or shape.model())

    give.__annotations__["body"] = Annotated[shape.model, example]
    if shape.may_be_empty:
        give.__annotations__["body"], give.__defaults__ = Annotated[shape.model | None, example], (None,)
    return give


async def given(
    use: Services, who: Caller, issue: str, shape: CommandShape, draft: Callable[[], CommandDraft]
) -> Applied | Queued:
    """What becomes of a command, for routes and pages alike: counted towards limits and outcomes. Raises what giving does."""
    try:
        sent = draft()
        await use.access.may_give(who)
        done = await use.commands.give(who, issue, sent)
    except e.ProtocolError as error:
        use.meters.commands.labels(shape.name, problem_of(error).type).inc()
        if isinstance(error, e.NotFound):
            await use.access.turned_away(who, f"command.{shape.name}", issue)
        raise
    use.meters.commands.labels(shape.name, "applied" if isinstance(done, Applied) else "queued").inc()
    return done


async def _give(
    shape: CommandShape, sent: _Sent, use: Services, answer: Response, body: Shape
) -> AppliedView | Response:
    def draft() -> CommandDraft:
        return CommandDraft(shape.read(body), command_key(sent.key, sent.who), expected_version(sent.match))

    done = await given(use, sent.who, sent.issue, shape, draft)
    if not isinstance(done, Applied):
        queued = QueuedView(outcome="queued", command_id=done.command_id)
        return JSONResponse(queued.model_dump(), 202, {"Location": f"/v1/commands/{done.command_id}"})
    answer.headers["ETag"] = etag(done.issue.version)
    view = IssueView.from_issue(done.issue)
    applied = AppliedView(outcome="applied", command_id=done.command_id, issue=view, **said_of(done.receipt))
    if done.tracking_code is not None:
        applied.tracking_code = done.tracking_code
    return applied


for _shape in COMMANDS.values():
    router.add_api_route(
        f"/issues/{{issue}}/commands/{_shape.name}", _route(_shape), methods=["POST"], operation_id=_shape.name,
        summary=_shape.name, description=_shape.model.__doc__, openapi_extra=ANYBODY if _shape.name == "follow" else KNOWN,
        response_model=AppliedView, response_model_exclude_unset=True,
        responses={
            **answers(200, AppliedView.example, "It took effect", *_PROBLEMS, headers=("ETag",)),
            **answers(
                202, QueuedView.example, "It is durable and will be dealt with; ask for its receipt", model=QueuedView,
                headers=("Location",),
            ),
        },
    )  # fmt: skip


async def command_id(command: str) -> str:
    """The id of the command, from the path. Raises NotFound for a text that no command can have as its id."""
    if not _UUID.fullmatch(command):
        raise e.NotFound
    return command


@router.get(
    "/commands/{command}", operation_id="receipt", openapi_extra=KNOWN, response_model_exclude_unset=True,
    responses=answers(200, ReceiptView.example, "The receipt", *READING),
)  # fmt: skip
async def receipt(command: Annotated[str, Depends(command_id)], who: Known, use: Use) -> ReceiptView:
    """What became of a command: queued, applied or refused. Only for those who may see the command's issue."""
    found = await use.commands.receipt(who, command)
    if isinstance(found, Queued):
        return ReceiptView(outcome="queued", command_id=command, issue_id=found.issue)
    view = ReceiptView.from_issue(command, found.issue)
    if found.tracking_code is not None:
        view.tracking_code = found.tracking_code
    return view
