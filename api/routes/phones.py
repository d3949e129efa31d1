"""Residents prove a phone: a code is sent to it, and buys a token. Optional: a tracking code opens an issue as well."""

from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from api.container import anybody
from api.http import examples
from api.http.answers import CodeSentView, ProvenView
from api.http.openapi import answers
from api.http.problems import TooLarge
from api.identity.phones import Phones, normalised
from api.identity.tokens import LIFETIME
from api.routes.issues import Use
from protocol.errors import Invalid, TooMany, Unauthenticated, Unavailable


class PhoneBody(BaseModel):
    """A Chinese mobile number, as people write it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    phone: Annotated[str, Field(min_length=11, max_length=24)]


class ProofBody(PhoneBody):
    """The number, and the code that was sent to it."""

    code: Annotated[str, Field(pattern="^[0-9]{6}$")]


_Phone = Annotated[PhoneBody, Body(openapi_examples={"phone": {"value": examples.PHONE}})]
_Proof = Annotated[ProofBody, Body(openapi_examples={"proof": {"value": examples.PROOF}})]


def phones(use: Use) -> Phones:
    """Unavailable where no SMS gateway is set, or no tokens are made."""
    if use.phones is None:
        raise Unavailable("phones cannot be verified here")
    return use.phones


Proving = Annotated[Phones, Depends(phones)]


async def send(body: _Phone, proving: Proving) -> Response:
    """Ask for a code for this phone. The answer is the same for every number; a code is valid for five minutes."""
    phone = normalised(body.phone)
    await proving.admit()
    # Afterwards, so that not even the time that it takes tells anything.
    return JSONResponse(
        {"valid_for": examples.CODE_SENT["valid_for"]}, 202, background=BackgroundTask(proving.send, phone)
    )


async def verify(body: _Proof, use: Use, proving: Proving) -> Response:
    """Give the code: the answer is a resident's token, with which all that is reported belongs to whoever has the phone."""
    phone = normalised(body.phone)
    await use.access.may_guess()
    token = await proving.verify(phone, body.code)
    if token is None:
        await use.access.guessed()
        raise Invalid(("code", "it is wrong, was used, or is too old"))
    return JSONResponse({"token": token, "expires_in": int(LIFETIME.total_seconds())})


def register(app: FastAPI) -> None:
    """Adds the routes."""
    options: dict[str, Any] = {
        "tags": ["phones"], "openapi_extra": {"security": [{}]}, "dependencies": [Depends(anybody)],
    }  # fmt: skip
    problems = (Unauthenticated, TooLarge, Invalid, TooMany, Unavailable)
    text = "A code is sent, unless there were too many"
    taken = answers(202, examples.CODE_SENT, text, *problems, model=CodeSentView)
    app.post("/v1/phones", status_code=202, responses=taken, operation_id="phone", **options)(send)
    shown = answers(200, examples.PROVEN, "The token", *problems, model=ProvenView)
    app.post("/v1/phones/verify", responses=shown, operation_id="phone_verify", **options)(verify)
