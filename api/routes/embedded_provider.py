"""Routes of the demo identity provider: discovery, keys, the page on which one chooses who to be, and tokens.

The OpenAPI document leaves these routes out.
"""

from typing import Annotated, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from api.dependencies import Use
from api.identity.embedded_provider import PATH, Asked, EmbeddedProvider, chosen, page
from api.identity.tokens import public_jwk
from protocol.clock import today
from protocol.errors import NotFound

router: Final = APIRouter(prefix=PATH, include_in_schema=False)

_MOST_FIELDS: Final = 20


async def own(request: Request, use: Use) -> EmbeddedProvider:
    """The demo identity provider. Raises NotFound for a request under another host name than the provider's own.

    A foreign page may have made such a host name point to this machine (DNS rebinding).
    """
    found = use.embedded_provider
    if found is None or request.headers.get("host", "") != urlsplit(found.origin).netloc:
        raise NotFound
    return found


async def agreed(provider: Annotated[EmbeddedProvider, Depends(own)], asked: Annotated[Asked, Query()]) -> Asked:
    """The parameters of an authorization request. Raises Invalid unless they are those that Jiesu's own pages send.

    So nobody is sent on to the redirect URI of a foreign page.
    """
    provider.check(asked)
    return asked


_Own = Annotated[EmbeddedProvider, Depends(own)]
_Agreed = Annotated[Asked, Depends(agreed)]


@router.get("/.well-known/openid-configuration")
async def discovery(provider: _Own) -> Response:
    """The provider's discovery document."""
    return JSONResponse(provider.discovery)


@router.get("/jwks")
async def jwks(provider: _Own) -> Response:
    """The public key of the provider, which is the key of local tokens."""
    return JSONResponse({"keys": [public_jwk(provider.home)]})


@router.get("/authorize")
async def authorize(use: Use, asked: _Agreed) -> Response:
    """The page on which one chooses who to be."""
    day, directory = today(use.now()), await use.directory.get()
    return HTMLResponse(page(asked, [each for each in directory.appointments if each.period.covers(day)]))


@router.get("/authorize/as")
async def authorize_as(
    provider: _Own, use: Use, asked: _Agreed, person: str = "", role: str = "", org: str = ""
) -> Response:
    """Sends the browser back to the callback, with an authorization code for the person who was chosen."""
    who = chosen(person, role, org, await use.directory.get())
    code = provider.code(*who, asked.nonce, asked.code_challenge)
    answer = {"code": code, "state": asked.state, "iss": provider.issuer}
    return RedirectResponse(f"{provider.redirect}?{urlencode(answer)}", 303)


@router.post("/token")
async def token(request: Request, provider: _Own) -> Response:
    """The tokens for an authorization code."""
    try:
        pairs = parse_qsl((await request.body()).decode(), strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        pairs: list[tuple[str, str]] = []
    told = provider.redeem(dict(pairs)) if len(dict(pairs)) == len(pairs) else None
    return JSONResponse({"error": "invalid_grant"}, 400) if told is None else JSONResponse(told)
