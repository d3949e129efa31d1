"""An OIDC provider of our own for one who tries Jiesu on his own machine, and for tests: anybody may be anybody there.

It is served by the app itself, signs with the key of the home's local tokens, and keeps nothing but the codes that it has
just given out. It is never there in production: `EmbeddedProvider.of` refuses.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict

from api.container import Services, services
from api.identity.oidc import is_loopback
from api.identity.session import CALLBACK, challenge
from api.identity.tokens import LIFETIME, is_person, issue_token, public_jwk, sign
from domain.directory import Directory, role_fits
from domain.vocabulary import ROLES, Role
from protocol.clock import today
from protocol.errors import Invalid, NotFound
from runtime.settings import Settings, SettingsError

PATH: Final = "/oidc"
CLIENT: Final = "jiesu-pages"
"""The one client: these pages. Not the audience of bearer tokens, so that an ID token is none."""
CODE_SECONDS: Final = 60.0
ID_LIFETIME: Final = timedelta(minutes=5)
_MOST_CODES: Final = 1000
_MOST_FIELDS: Final = 20
_TEXT: Final = 256


@dataclass(frozen=True)
class _Code:
    """What a code is worth, to whoever knows the verifier, once."""

    person: str
    role: Role
    org: str | None
    nonce: str
    challenge: str
    until: float


class EmbeddedProvider:
    """See the module. `origin` is where the app is reached: scheme, host and port."""

    def __init__(self, home: Path, origin: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError for an origin that is not on this machine."""
        if not is_loopback(urlsplit(origin).hostname):
            raise ValueError("the embedded provider is for this machine only")
        self.home: Final = home
        self.origin: Final = origin
        self.issuer: Final = origin + PATH
        self.redirect: Final = origin + CALLBACK
        self._clock = clock
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The provider of this installation. Raises SettingsError wherever it is more than one person's trial."""
        if not settings.embedded:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER lets anybody be anybody: it is for the embedded default only")
        if settings.oidc_issuer is not None:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER cannot be used beside JIESU_OIDC_ISSUER")
        if not settings.accepts_local_tokens:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER needs local tokens (JIESU_LOCAL_TOKENS)")
        if not is_loopback(settings.api_host) or not is_loopback(urlsplit(settings.origin).hostname):
            raise SettingsError("JIESU_EMBEDDED_PROVIDER lets anybody be anybody: JIESU_API_HOST must be loopback")
        return cls(settings.home, settings.origin)

    def code(self, person: str, role: Role, org: str | None, asked: "Asked") -> str:
        """A code for somebody; the oldest are forgotten when there are too many."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(person, role, org, asked.nonce, asked.code_challenge, self._clock() + CODE_SECONDS)
        if len(self._codes) > _MOST_CODES:
            self._codes.popitem(last=False)
        return code

    def redeem(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The tokens for a code; None if anything does not fit. A code is tried once, well or badly."""
        code = self._codes.pop(form.get("code", ""), None)
        fits = (
            code is not None
            and self._clock() < code.until
            and form.get("grant_type") == "authorization_code"
            and form.get("client_id") == CLIENT
            and form.get("redirect_uri") == self.redirect
            and hmac.compare_digest(challenge(form.get("code_verifier", "")).encode(), code.challenge.encode())
        )
        if code is None or not fits:
            return None
        issued = datetime.now(UTC)
        payload = {
            "iss": self.issuer, "aud": CLIENT, "sub": code.person, "role": code.role, "org": code.org,
            "nonce": code.nonce, "iat": issued, "exp": issued + ID_LIFETIME,
        }  # fmt: skip
        return {
            "access_token": issue_token(self.home, code.person, code.role, code.org),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "id_token": sign(self.home, payload),
        }


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


def _provider(request: Request) -> EmbeddedProvider:
    """The provider, to those who came by its own address: a foreign name that leads here is somebody else's page."""
    sessions = services(request).door.sessions
    found = None if sessions is None else sessions.parts.embedded
    if found is None or request.headers.get("host", "") != urlsplit(found.origin).netloc:
        raise NotFound
    return found


_Own = Annotated[EmbeddedProvider, Depends(_provider)]
_Use = Annotated[Services, Depends(services)]


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


async def jwks(provider: _Own) -> Response:
    """The key with which local tokens are signed."""
    return JSONResponse({"keys": [public_jwk(provider.home)]})


async def authorize(provider: _Own, use: _Use, asked: _Question) -> Response:
    """Asks who one wants to be."""
    _check(provider, asked)
    directory = await use.directory.get()
    people = [
        (each.person, each.role, each.org)
        for each in directory.appointments
        if each.period.covers(today(use.now()))
    ]  # fmt: skip
    return HTMLResponse(_page(asked, people))


async def authorize_as(
    provider: _Own, use: _Use, asked: _Question, person: str = "", role: str = "", org: str = ""
) -> Response:
    """Sends the browser back with a code for the person that was chosen."""
    _check(provider, asked)
    chosen = _chosen(person, role, org, await use.directory.get())
    answer = {"code": provider.code(*chosen, asked), "state": asked.state, "iss": provider.issuer}
    return RedirectResponse(f"{provider.redirect}?{urlencode(answer)}", 303)


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
        for person, role, org in people[:_MOST_CODES]
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


def register(app: FastAPI) -> None:
    """Adds the routes; they are no part of the API's description."""
    app.get(f"{PATH}/.well-known/openid-configuration", include_in_schema=False)(discovery)
    app.get(f"{PATH}/jwks", include_in_schema=False)(jwks)
    app.get(f"{PATH}/authorize", include_in_schema=False)(authorize)
    app.get(f"{PATH}/authorize/as", include_in_schema=False)(authorize_as)
    app.post(f"{PATH}/token", include_in_schema=False)(token)
