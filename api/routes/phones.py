"""The routes by which residents prove a phone: a code is sent to the phone, and whoever enters it gets a token.

Proving a phone is optional, since a tracking code opens an issue as well.
"""

from typing import Annotated, Any, ClassVar, Final

from fastapi import BackgroundTasks, Body
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.container import Services
from api.dependencies import Use, anybody, part, router_of
from api.http import examples
from api.http.openapi import NOBODY, answers
from api.http.problems import TooLarge
from api.http.responses import Answer
from api.identity.phones import Phones, normalised
from api.identity.tokens import LIFETIME
from protocol.errors import Invalid, TooMany, Unauthenticated, Unavailable
from security.ids import typed
from texts.catalogue import Wrong

router: Final = router_of("phones", anybody)

_PROBLEMS: Final = (Unauthenticated, TooLarge, Invalid, TooMany, Unavailable)


class PhoneBody(BaseModel):
    """A Chinese mobile number, as people write it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    phone: Annotated[str, Field(min_length=11, max_length=40)]


class ProofBody(PhoneBody):
    """A phone number, and the code that was sent to that number."""

    code: Annotated[str, Field(pattern="^[0-9０-９]{6}$"), AfterValidator(typed)]


class CodeSentView(Answer):
    """For how many seconds a code is valid."""

    valid_for: int

    example: ClassVar[Any] = {"valid_for": 300}


class ProvenView(Answer):
    """A resident's token, and for how many seconds it is valid."""

    token: str
    expires_in: int

    example: ClassVar[Any] = {
        "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJwaG9uZTo1ZjBjIn0.c2lnbmF0dXJl",
        "expires_in": 43_200,
    }


_Phone = Annotated[PhoneBody, Body(openapi_examples={"phone": {"value": examples.PHONE}})]
_Proof = Annotated[ProofBody, Body(openapi_examples={"proof": {"value": examples.PROOF}})]


Proving = Annotated[Phones, part("phones", lambda: Unavailable("no-phones"))]


@router.post(
    "/phones", status_code=202, operation_id="phone", openapi_extra=NOBODY,
    responses=answers(202, CodeSentView.example, "A code is sent, unless there were too many", *_PROBLEMS),
)  # fmt: skip
async def send(body: _Phone, proving: Proving, afterwards: BackgroundTasks) -> CodeSentView:
    """Ask for a code for this phone. The answer is the same for every number; a code is valid for five minutes."""
    phone = normalised(body.phone)
    await proving.admit()
    # Afterwards, so that not even the time that it takes tells anything.
    afterwards.add_task(proving.send, phone)
    return CodeSentView(**CodeSentView.example)


@router.post(
    "/phones/verify", operation_id="phone_verify", openapi_extra=NOBODY,
    responses=answers(200, ProvenView.example, "The token", *_PROBLEMS),
)  # fmt: skip
async def verify(body: _Proof, use: Use, proving: Proving) -> ProvenView:
    """Give the code that was sent to a phone: the answer is a resident's token.

    Every issue that is reported with this token belongs to the owner of the phone.
    """
    subject = await proven(use, proving, body.phone, body.code)
    return ProvenView(token=proving.token(subject), expires_in=int(LIFETIME.total_seconds()))


async def proven(use: Services, proving: Phones, phone: str, code: str) -> str:
    """The subject of the owner of a phone. Raises Invalid for a wrong code, and TooMany after too many of these."""
    number = normalised(phone)
    await use.access.may_guess()
    subject = await proving.prove(number, typed(code.strip()))
    if subject is None:
        await use.access.guessed()
        raise Invalid(("code", Wrong("code-wrong")))
    return subject
