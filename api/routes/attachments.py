"""Pictures of an issue: adding one, listing them, looking at one."""

import asyncio
import contextlib
import re
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive

from api.http import examples, views
from api.http.answers import KeptView, PicturesView
from api.http.bodies import read_body
from api.http.openapi import KNOWN, answers
from api.http.problems import TooLarge
from api.routes.issues import IssueId, Known, Use
from domain.access import Sight, sight
from domain.wire import format_time
from protocol.attachments import Attachment, Attachments
from protocol.errors import Forbidden, Invalid, NotFound, Refused, TooMany, Unauthenticated, Unavailable
from protocol.pictures import KINDS, MOST_BYTES
from protocol.time_budget import TimeBudget

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SECONDS: Final = 60.0
"""For a picture to arrive."""
_MOST_DROPPED: Final = 4 * MOST_BYTES
_READING: Final = (Unauthenticated, NotFound, Invalid, TooMany, Unavailable)
_SHUT: Final = {
    # Opened by itself, a picture is a page of ours: one that can do nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png"}


def pictures(use: Use) -> Attachments:
    """Unavailable where the composition root has set up no place for them."""
    if use.attachments is None:
        raise Unavailable("this process keeps no pictures")
    return use.attachments


def digest_of(digest: str) -> str:
    """The digest in the path; what cannot be one is not looked for."""
    if not _DIGEST.fullmatch(digest):
        raise NotFound
    return digest


Pictures = Annotated[Attachments, Depends(pictures)]
Digest = Annotated[str, Depends(digest_of)]


async def add(issue: IssueId, who: Known, use: Use, kept: Pictures, request: Request) -> Response:
    """Add a picture: a JPEG, PNG or WebP of at most 8 MB as the body. Whoever may comment may; 20 an issue.

    It is kept without what cameras write into it, such as where it was taken, and no larger than 2560 pixels. The
    answer is the name under which it is kept, for `evidence`; the same picture has the same name.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in KINDS:
        raise Invalid(("Content-Type", "send " + ", ".join(KINDS)))
    await use.access.may_write(who, "attach", issue)
    admitted = await use.admission.admit(who, issue, TimeBudget())
    kept.check(admitted)
    await use.access.may_upload(who)
    digest = await kept.add(admitted, await _body(request))
    return JSONResponse({"attachment": digest}, 201, {"Location": f"/v1/issues/{issue}/attachments/{digest}"})


async def listed(issue: IssueId, who: Known, use: Use, kept: Pictures) -> Response:
    """The issue's pictures, oldest first: their names, who added them and when."""
    seen = await use.reader.readable(who, issue)
    sees = sight(seen.issue, seen.actor)
    return JSONResponse({"items": [_view(each, sees) for each in await kept.of_issue(seen.issue.id)]})


async def read(issue: IssueId, digest: Digest, who: Known, use: Use, kept: Pictures) -> Response:
    """The picture itself, for those who may read what people wrote."""
    seen = await use.reader.readable(who, issue)
    picture = await kept.open(seen, digest)
    name = f"{digest[:16]}.{_ENDINGS[picture.kind]}"
    headers = {**_SHUT, "Content-Disposition": f'inline; filename="{name}"'}
    return Response(picture.data, media_type=picture.kind, headers=headers)


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_SECONDS):
            body = await read_body(request.scope, request.receive, MOST_BYTES)
    except TimeoutError:
        raise Invalid(("body", f"it did not arrive within {_SECONDS:.0f} seconds")) from None
    except TooLarge:
        # Cut off while they send, most clients would never read the answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await _drop(request.receive)
        raise
    if not body:
        raise Invalid(("body", "there is no picture in it"))
    return body


async def _drop(receive: Receive) -> None:
    left = _MOST_DROPPED
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _view(each: Attachment, sees: Sight) -> dict[str, Any]:
    person = each.person if sees.text or each.role != "resident" else views.MASK
    return {
        "attachment": each.digest, "kind": each.kind, "size": each.size,
        "actor": {"person": person, "role": each.role, "org": each.org}, "at": format_time(each.added_at),
    }  # fmt: skip


def register(app: FastAPI) -> None:
    """Adds the routes."""
    options: dict[str, Any] = {"tags": ["attachments"]}
    path = "/v1/issues/{issue}/attachments"
    binary = {"schema": {"type": "string", "format": "binary"}}
    body = {"required": True, "content": dict.fromkeys(KINDS, binary)}
    taken = answers(
        201, {"attachment": examples.PICTURE}, "Kept", Unauthenticated, Forbidden, NotFound, Refused, TooLarge, Invalid,
        TooMany, Unavailable, model=KeptView, headers=("Location",),
    )  # fmt: skip
    app.post(
        path, status_code=201, responses=taken, operation_id="attach",
        openapi_extra={**KNOWN, "requestBody": body}, **options,
    )(add)  # fmt: skip
    shown = answers(200, examples.PICTURES, "The pictures", *_READING, model=PicturesView)
    app.get(path, responses=shown, operation_id="attachments", openapi_extra=KNOWN, **options)(listed)
    shown = answers(200, None, "The picture", *_READING)
    shown[200]["content"] = dict.fromkeys(_ENDINGS, binary)
    app.get(
        f"{path}/{{digest}}", responses=shown, operation_id="attachment", openapi_extra=KNOWN,
        response_class=Response, **options,
    )(read)  # fmt: skip
