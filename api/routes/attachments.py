"""The routes for pictures of an issue: to add a picture, to list all, and to read one."""

import asyncio
import contextlib
import re
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from fastapi import Depends, Request, Response
from starlette.types import Receive

from api.container import Services
from api.dependencies import IssueId, Known, Use, part, router_of
from api.http.middleware import read_body
from api.http.openapi import BINARY, KNOWN, READING, answers
from api.http.problems import TooLarge
from api.http.responses import ActorView, Answer, Moment
from domain.access import Sight
from protocol.adding import add_picture
from protocol.attachments import Attachment, Attachments
from protocol.caller import Caller
from protocol.errors import Forbidden, Invalid, NotFound, Refused, TooMany, Unauthenticated, Unavailable
from protocol.masking import mask_person
from protocol.pictures import MOST_BYTES, Picture
from texts.catalogue import Wrong

router: Final = router_of("attachments")

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SECONDS: Final = 60.0
"""How many seconds the body with a picture may take to arrive."""
_MOST_DROPPED: Final = 4 * MOST_BYTES
_SHUT: Final = {
    # Opened by itself, a picture is a page of ours: one that can do nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PATH: Final = "/issues/{issue}/attachments"
_KINDS: Final = ("image/*", "application/octet-stream")
_ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png"}


class KeptView(Answer):
    """The name under which a picture is kept."""

    attachment: str

    example: ClassVar[Any] = {"attachment": "5f0c1e7b2d9a4c3f" * 4}


class PictureView(KeptView):
    """What is known of a picture of an issue: its name, type and size in bytes, who added it and when."""

    kind: Literal["image/jpeg", "image/png"]
    size: int
    actor: ActorView
    at: Moment

    example: ClassVar[Any] = KeptView.example | {
        "kind": "image/jpeg", "size": 481_200, "actor": ActorView.example, "at": "2026-11-21T08:04:00.000Z",
    }  # fmt: skip

    @classmethod
    def from_attachment(cls, each: Attachment, sight: Sight) -> Self:
        actor = ActorView.of(each, person=mask_person(each.person, each.role, sight))
        return cls.of(each, attachment=each.digest, actor=actor, at=each.added_at)


class PicturesView(Answer):
    """The pictures of an issue."""

    items: list[PictureView]


async def digest_of(digest: str) -> str:
    """The digest of a picture, from the path. Raises NotFound for a text that is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise NotFound
    return digest


Pictures = Annotated[Attachments, part("attachments", lambda: Unavailable("no-pictures"))]
Digest = Annotated[str, Depends(digest_of)]


@router.post(
    _PATH, status_code=201, operation_id="attach",
    openapi_extra={**KNOWN, "requestBody": {"required": True, "content": dict.fromkeys(_KINDS, BINARY)}},
    responses=answers(
        201, KeptView.example, "Kept", Unauthenticated, Forbidden, NotFound, Refused, TooLarge, Invalid, TooMany,
        Unavailable, headers=("Location",),
    ),
)  # fmt: skip
async def add(issue: IssueId, who: Known, use: Use, kept: Pictures, request: Request, answer: Response) -> KeptView:
    """Add a picture: a JPEG, PNG or WebP of at most 8 MB and 65 million pixels as the body; its bytes say which it is.

    Whoever may comment on the issue may add pictures, at most 20 to an issue. A picture is kept without what cameras
    write into it, such as where it was taken, and is made no larger than 2560 pixels. The answer is the name under
    which the picture is kept; commands take this name in `evidence`. The same picture always has the same name. That it
    was added goes on record in the issue's history.
    """
    view = KeptView(attachment=await added(issue, who, use, kept, request))
    answer.headers["Location"] = f"/v1/issues/{issue}/attachments/{view.attachment}"
    return view


async def added(issue: str, who: Caller, use: Services, kept: Attachments, request: Request) -> str:
    """Takes the picture that is the body of the request, and returns the name under which it is kept."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared and declared != _KINDS[1] and not declared.startswith("image/"):
        raise Invalid(("Content-Type", Wrong("not-a-picture", kinds=", ".join(_KINDS))))
    return await add_picture(who, issue, partial(_body, request), kept, use.access, use.reader, use.commands)


@router.get(
    _PATH, operation_id="attachments", openapi_extra=KNOWN,
    responses=answers(200, {"items": [PictureView.example]}, "The pictures", *READING),
)  # fmt: skip
async def listed(issue: IssueId, who: Known, use: Use, kept: Pictures) -> PicturesView:
    """The issue's pictures, oldest first: their names, who added them and when."""
    seen = await use.reader.readable(who, issue)
    return PicturesView(items=[PictureView.from_attachment(each, seen.sight) for each in await kept.of_issue(seen)])


@router.get(
    _PATH + "/{digest}", operation_id="attachment", openapi_extra=KNOWN, response_class=Response,
    responses=answers(200, None, "The picture", *READING, files=dict.fromkeys(_ENDINGS, BINARY)),
)  # fmt: skip
async def read(issue: IssueId, digest: Digest, who: Known, use: Use, kept: Pictures) -> Response:
    """The picture itself, of the issue or of one `before` it. Only for those who may read what people wrote there."""
    seen = await use.reader.readable(who, issue)
    return shown(await kept.open(digest, seen, *await use.reader.before(seen)), digest)


def shown(picture: Picture, digest: str) -> Response:
    """The answer with a picture."""
    name = f"{digest[:16]}.{_ENDINGS[picture.kind]}"
    headers = {**_SHUT, "Content-Disposition": f'inline; filename="{name}"'}
    return Response(picture.data, media_type=picture.kind, headers=headers)


async def _body(request: Request) -> bytes:
    try:
        body = await read_body(request.scope, request.receive, MOST_BYTES)
    except TooLarge:
        # Cut off while they send, most clients would never read the answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await _drop(request.receive)
        raise
    if not body:
        raise Invalid(("body", Wrong("no-picture")))
    return body


async def _drop(receive: Receive) -> None:
    left = _MOST_DROPPED
    while left > 0 and (message := await receive()).get("more_body", False):
        left -= len(message.get("body", b""))
