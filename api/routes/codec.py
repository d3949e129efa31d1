"""The codec server: Temporal's user interface shows in plain text what it holds, to those who may see it.

It speaks Temporal's remote codec protocol and takes off the encryption of Temporal's payloads only: what people wrote
stays sealed in them by the key of its issue.
"""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Final

import structlog
from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from temporalio.api.common.v1 import Payload

from api.openapi import STAFF, answers
from api.problems import Forbidden, Invalid, TooLarge, TooMany, Unauthenticated
from api.routes.issues import Known, Use
from domain.commands import Actor
from domain.vocabulary import Role
from security.codec import Decoder
from security.namespace import NamespaceError

log: Final = structlog.stdlib.get_logger(__name__)

PATH: Final = "/codec/decode"
MAY: Final[frozenset[Role]] = frozenset({"admin", "auditor"})
_MOST: Final = 1000
_EXAMPLE: Final = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImFjY2VwdGVkIg=="}]}


Encoded = Annotated[str, Field(pattern=r"^([0-9A-Za-z+/]{4})*([0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?$")]
"""Bytes in base64."""


class PayloadBody(BaseModel):
    """A payload in protobuf's JSON form. Servers add fields to it with time, so others are passed over."""

    metadata: dict[str, Encoded] = {}
    data: Encoded = ""

    @property
    def payload(self) -> Payload:
        metadata = {name: base64.b64decode(value) for name, value in self.metadata.items()}
        return Payload(metadata=metadata, data=base64.b64decode(self.data))


class PayloadsBody(BaseModel):
    payloads: Annotated[list[PayloadBody], Field(max_length=_MOST)]


_Payloads = Annotated[PayloadsBody, Body(openapi_examples={"one": {"value": _EXAMPLE}})]


def permitted(who: Known, request: Request, use: Use) -> Actor:
    """Who may read this; Forbidden for anybody else."""
    if who.staff.role not in MAY:
        # With those headers, or the page of another origin may not even know why.
        headers = _cors(request, use.codec_origins)
        raise Forbidden("auditors and administrators read what Temporal holds", headers=headers)
    return who.staff


async def decode(
    body: _Payloads, who: Annotated[Actor, Depends(permitted)], request: Request, use: Use
) -> Response:  # fmt: skip
    """The payloads, those decrypted for which this process has a key; the others come back as they are."""
    given = [each.payload for each in body.payloads]
    log.info("payloads.read", person=who.person, org=who.org, role=who.role, number=len(given))
    found = [await _decoded(payload, use.codec) for payload in given]
    return JSONResponse({"payloads": [_plain(payload) for payload in found]}, headers=_cors(request, use.codec_origins))


async def preflight(request: Request, use: Use) -> Response:
    """What a browser asks before a page of another origin may send its token here."""
    headers = _cors(request, use.codec_origins)
    if len(headers) > 1:
        headers |= {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Namespace",
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


def _cors(request: Request, origins: Sequence[str]) -> dict[str, str]:
    """The headers that let this page read the answer; none for a page from elsewhere."""
    origin = request.headers.get("origin")
    if origin is None or origin not in origins:
        return {"Vary": "Origin"}
    return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}


def _plain(payload: Payload) -> dict[str, Any]:
    metadata = {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()}
    return {"metadata": metadata, "data": base64.b64encode(payload.data).decode()}


def register(app: FastAPI) -> None:
    """Adds the routes."""
    problems = (Unauthenticated, Forbidden, TooLarge, Invalid, TooMany)
    described = answers(200, _EXAMPLE, "The payloads", *problems, model=PayloadsBody)
    app.post(PATH, responses=described, tags=["codec"], openapi_extra=STAFF)(decode)
    app.options(PATH, include_in_schema=False)(preflight)
