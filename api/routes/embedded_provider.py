"""Routes of the demo identity provider: discovery, keys, the page that asks who one wants to be, and tokens.

They are no part of the API's description.
"""

from collections.abc import Sequence
from html import escape
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict

from api.identity.embedded_provider import CLIENT, PATH, EmbeddedProvider
from api.identity.tokens import is_person, public_jwk
from api.routes.issues import Use
from domain.directory import Directory, role_fits
from domain.vocabulary import ROLES, Role
from protocol.clock import today
from protocol.errors import Invalid, NotFound

router: Final = APIRouter(prefix=PATH, include_in_schema=False)

_MOST_FIELDS: Final = 20
_MOST_PEOPLE: Final = 1000
_TEXT: Final = 256


class Asked(BaseModel):
    """The question of an authorization request."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    response_type: Annotated[str, Query(max_length=_TEXT)] = ""
    client_id: Annotated[str, Query(max_length=_TEXT)] = ""
    redirect_uri: Annotated[str, Query(max_length=_TEXT)] = ""
    state: Annotated[str, Query(max_length=_TEXT)] = ""
    nonce: Annotated[str, Query(max_length=_TEXT)] = ""
    code_challenge: Annotated[str, Query(max_length=_TEXT)] = ""
    code_challenge_method: Annotated[str, Query(max_length=_TEXT)] = ""


_Question = Annotated[Asked, Query()]


def _provider(request: Request, use: Use) -> EmbeddedProvider:
    """The provider, to those who came by its own address: a foreign name that leads here is somebody else's page."""
    found = use.embedded_provider
    if found is None or request.headers.get("host", "") != urlsplit(found.origin).netloc:
        raise NotFound
    return found


_Own = Annotated[EmbeddedProvider, Depends(_provider)]


@router.get("/.well-known/openid-configuration")
async def discovery(provider: _Own) -> Response:
    """The discovery document."""
    return JSONResponse(
        {
            "issuer": provider.issuer,
            "authorization_endpoint": f"{provider.issuer}/authorize",
            "token_endpoint": f"{provider.issuer}/token",
            "jwks_uri": f"{provider.issuer}/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


@router.get("/jwks")
async def jwks(provider: _Own) -> Response:
    """The key with which local tokens are signed."""
    return JSONResponse({"keys": [public_jwk(provider.home)]})


@router.get("/authorize")
async def authorize(provider: _Own, use: Use, asked: _Question) -> Response:
    """Asks who one wants to be."""
    _check(provider, asked)
    directory = await use.directory.get()
    people = [
        (each.person, each.role, each.org)
        for each in directory.appointments
        if each.period.covers(today(use.now()))
    ]  # fmt: skip
    return HTMLResponse(_page(asked, people))


@router.get("/authorize/as")
async def authorize_as(
    provider: _Own, use: Use, asked: _Question, person: str = "", role: str = "", org: str = ""
) -> Response:
    """Sends the browser back with a code for the person that was chosen."""
    _check(provider, asked)
    chosen = _chosen(person, role, org, await use.directory.get())
    answer = {
        "code": provider.code(*chosen, asked.nonce, asked.code_challenge),
        "state": asked.state,
        "iss": provider.issuer,
    }
    return RedirectResponse(f"{provider.redirect}?{urlencode(answer)}", 303)


@router.post("/token")
async def token(request: Request, provider: _Own) -> Response:
    """The tokens for a code."""
    try:
        pairs = parse_qsl((await request.body()).decode(), strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        pairs: list[tuple[str, str]] = []
    told = provider.redeem(dict(pairs)) if len(dict(pairs)) == len(pairs) else None
    return JSONResponse({"error": "invalid_grant"}, 400) if told is None else JSONResponse(told)


def _check(provider: EmbeddedProvider, asked: Asked) -> None:
    """Raises Invalid: nobody is sent to an address that was not agreed on before."""
    faults = [
        (name, "it is not as agreed")
        for name, is_right in {
            "response_type": asked.response_type == "code",
            "client_id": asked.client_id == CLIENT,
            "redirect_uri": asked.redirect_uri == provider.redirect,
            "code_challenge": len(asked.code_challenge) == 43,
            "code_challenge_method": asked.code_challenge_method == "S256",
            "nonce": bool(asked.nonce),
        }.items()
        if not is_right
    ]
    if faults:
        raise Invalid(*faults)


def _chosen(person: str, role: str, org: str, directory: Directory) -> tuple[str, Role, str | None]:
    """Raises Invalid for a role that does not exist or does not fit the organisation, as `jiesu token` does."""
    if role not in ROLES:
        raise Invalid(("role", "there is no such role"))
    chosen, found = role, directory.org(org)
    if chosen != "resident" and (found is None or not role_fits(chosen, found)):
        raise Invalid(("org", "there is no such organisation, or it has no such role"))
    if not is_person(person):
        raise Invalid(("person", "nobody has such a name"))
    return person, chosen, None if chosen == "resident" else org


def _page(asked: Asked, people: Sequence[tuple[str, str, str]]) -> str:
    """The form, without script or style: the policy for pages allows only what comes from files."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in asked.model_dump().items()
    )
    buttons = "".join(
        f'<form action="{PATH}/authorize/as" method="get">{hidden}'
        f'<input type="hidden" name="person" value="{escape(person)}">'
        f'<input type="hidden" name="role" value="{escape(role)}">'
        f'<input type="hidden" name="org" value="{escape(org)}">'
        f"<p><button>{escape(person)} · {escape(role)} · {escape(org)}</button></p></form>"
        for person, role, org in people[:_MOST_PEOPLE]
    )
    roles = "".join(f"<option>{escape(role)}</option>" for role in ROLES)
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>仅供试用 · FOR TRYING OUT ONLY</title></head>'
        "<body><h1>仅供试用，请勿用于生产！<br>FOR TRYING OUT ONLY, NEVER IN PRODUCTION!</h1>"
        "<p>此处不验证身份，任何人都可以选择任意身份。Nobody is asked for a password here: be whoever you like.</p>"
        f"<h2>示例人员 · People of the example</h2>{buttons}"
        f'<h2>其他人 · Somebody else</h2><form action="{PATH}/authorize/as" method="get">{hidden}'
        '<p><label>姓名代号 person <input name="person" value="r1" required maxlength="128"></label></p>'
        f'<p><label>角色 role <select name="role">{roles}</select></label></p>'
        '<p><label>机构 org <input name="org" maxlength="128"></label></p><p><button>登录 · Sign in</button></p></form>'
        "</body></html>"
    )
