"""The photos of an issue, for the pages of residents and of staff: to look at one, and to add one.

A photo is the body of its request, by the rules of the API (`api/routes/attachments.py`); no multipart form is read. So
only scripts send photos (`static/outbox.js`), and forms say so to whoever has none.
"""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from api.dependencies import Use
from api.identity.session import CSRF_HEADER
from api.routes.attachments import Digest, Pictures, added, shown
from pages.forms import check_ours
from pages.resident import Visiting
from pages.shell import router_of
from pages.who import Signed
from protocol.reader import VisibleIssue

router: Final = router_of()


async def _seen(issue: str, who: Signed, use: Use) -> VisibleIssue:
    return await use.reader.readable(who.caller, issue)


@router.get("/i/{issue}/photo/{digest}")
async def resident_looks(digest: Digest, who: Visiting, use: Use, kept: Pictures) -> Response:
    """A photo of the issue, or of the one that it takes up, for residents who may read it."""
    return shown(await kept.open(digest, who.seen, *await use.reader.before(who.seen)), digest)


@router.get("/work/{issue}/photo/{digest}")
async def staff_looks(
    digest: Digest, seen: Annotated[VisibleIssue, Depends(_seen)], use: Use, kept: Pictures
) -> Response:
    """A photo of the issue, or of the one that it takes up, for staff who may read what people wrote there."""
    return shown(await kept.open(digest, seen, *await use.reader.before(seen)), digest)


@router.post("/i/{issue}/photo")
async def resident_adds(issue: str, who: Visiting, use: Use, kept: Pictures, request: Request) -> Response:
    """Adds a photo. The header X-CSRF-Token bears the token of the page."""
    check_ours(request, request.headers.get(CSRF_HEADER, ""), who.token)
    return _kept(await added(issue, who.caller, use, kept, request))


@router.post("/work/{issue}/photo")
async def staff_adds(issue: str, who: Signed, use: Use, kept: Pictures, request: Request) -> Response:
    """Adds a photo. The header X-CSRF-Token bears the token of the session."""
    return _kept(await added(issue, who.caller, use, kept, request))


def _kept(digest: str) -> Response:
    return JSONResponse({"attachment": digest}, 201)
