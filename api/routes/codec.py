"""The codec server, by which Temporal's user interface shows the encrypted payloads to auditors and administrators.

It speaks Temporal's remote codec protocol. It decrypts the payloads only: the personal texts inside a payload stay
sealed under the key of their issue.
"""

import base64
from collections.abc import Sequence
from typing import Annotated, Final, Self

import structlog
from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.api.common.v1 import Payload

from api.dependencies import Use
from api.http.openapi import STAFF, answers
from api.http.problems import TooLarge
from domain.access import DECODERS, decodes
from domain.commands import Actor
from protocol.errors import Forbidden, Invalid, TooMany, Unauthenticated, Unavailable
from security.codec import Decoder
from security.namespace import NamespaceError

log: Final = structlog.stdlib.get_logger(__name__)

router: Final = APIRouter(tags=["codec"])

PATH: Final = "/codec/decode"
_MOST: Final = 1000
_EXAMPLE: Final = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImFjY2VwdGVkIg=="}]}


Encoded = Annotated[str, Field(pattern=r"^([0-9A-Za-z+/]{4})*([0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?$")]
"""Bytes, written in base64."""


class PayloadBody(BaseModel):
    """A payload in protobuf's JSON form. Unknown fields are ignored, since later versions of Temporal may add some."""

    metadata: dict[str, Encoded] = {}
    data: Encoded = ""

    @classmethod
    def from_payload(cls, payload: Payload) -> Self:
        metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
        return cls(metadata=metadata, data=base64.b64encode(payload.data).decode())

    @property
    def payload(self) -> Payload:
        metadata = {name: base64.b64decode(value) for name, value in self.metadata.items()}
        return Payload(metadata=metadata, data=base64.b64decode(self.data))


class PayloadsBody(BaseModel):
    payloads: Annotated[list[PayloadBody], Field(max_length=_MOST)]


_Payloads = Annotated[PayloadsBody, Body(openapi_examples={"one": {"value": _EXAMPLE}})]


async def permitted(request: Request, use: Use) -> Actor:
    """The caller, who must be an auditor or an administrator. Raises Forbidden for everybody else.

    Temporal's page cannot say in which role a person acts. So for a person with several roles, a role that may decode
    is taken.
    """
    who = (await use.authenticator.caller(request, prefer=DECODERS)).staff
    if not decodes(who.role):
        raise Forbidden("payloads-of-auditors")
    return who


@router.post(
    PATH, openapi_extra=STAFF,
    responses=answers(
        200, _EXAMPLE, "The payloads", Unauthenticated, Forbidden, TooLarge, Invalid, TooMany, Unavailable
    ),
)  # fmt: skip
async def decode(body: _Payloads, who: Annotated[Actor, Depends(permitted)], use: Use) -> PayloadsBody:
    """Decrypts the payloads for which this process has a key. The other payloads come back as they are.

    The request is in the access log before it is answered. How often one person may decode is limited.
    """
    await use.access.decode(who)
    given = [each.payload for each in body.payloads]
    log.info("payloads.read", person=who.person, org=who.org, role=who.role, number=len(given))
    found = [await _decoded(payload, use.codec) for payload in given]
    return PayloadsBody(payloads=[PayloadBody.from_payload(payload) for payload in found])


@router.options(PATH, include_in_schema=False)
async def preflight(request: Request, use: Use) -> Response:
    """Answers the browser's question (CORS preflight) whether a page of another origin may send a token here.

    Only pages of `codec_origins`, which are those of Temporal's user interface, may.
    """
    if request.headers.get("origin") not in use.codec_origins:
        return Response(status_code=204)
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Namespace, X-Acting-Role, X-Acting-Org",
        "Access-Control-Max-Age": "600",
    }
    return Response(status_code=204, headers=headers)


async def _decoded(payload: Payload, codec: Decoder | None) -> Payload:
    if codec is None:
        return payload
    try:
        (found,) = await codec.decode([payload])
    except NamespaceError:
        return payload
    return found


class Cors:
    """Middleware that lets pages of the given origins read every answer of the codec server, errors included."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if origin is not None and origin in self._origins:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Allow-Credentials"] = "true"
            await send(message)

        await self._app(scope, receive, with_headers)
