"""The demo identity provider: an OpenID provider that signs in anybody as anybody, for trials on one machine.

The provider signs with the key of the local tokens, and stores only the authorization codes that are in use.
`EmbeddedProvider.of` refuses to run the provider in production. `api/routes/embedded_provider.py` serves it.
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
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from api.identity.oidc import is_loopback
from api.identity.pkce import CALLBACK, challenge
from api.identity.tokens import LIFETIME, is_person, issue_token, sign
from domain.directory import Appointment, Directory, role_fits
from domain.vocabulary import ROLES, Role
from protocol.errors import Invalid
from runtime.settings import Settings, SettingsError
from texts.catalogue import Wrong

PATH: Final = "/oidc"
CLIENT: Final = "jiesu-pages"
"""The id of the provider's only client, Jiesu's pages.

It differs from the audience of bearer tokens, so an ID token is not accepted as a bearer token.
"""
CODE_SECONDS: Final = 60.0
ID_LIFETIME: Final = timedelta(minutes=5)
_MOST_CODES: Final = 1000
_MOST_PEOPLE: Final = 1000
_Text = Annotated[str, Field(max_length=256)]


@dataclass(frozen=True)
class _Code:
    """What an authorization code stands for: the person whom it signs in, with role and organisation.

    The code is valid once, before `until`, together with the PKCE verifier of `challenge`.
    """

    person: str
    role: Role
    org: str | None
    nonce: str
    challenge: str
    until: float


class Asked(BaseModel):
    """The parameters of an authorization request (OpenID Connect Core 3.1.2.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    response_type: _Text = ""
    client_id: _Text = ""
    redirect_uri: _Text = ""
    state: _Text = ""
    nonce: _Text = ""
    code_challenge: _Text = ""
    code_challenge_method: _Text = ""


class EmbeddedProvider:
    """Issues authorization codes, and exchanges them for tokens. `origin` is the app's own scheme, host and port."""

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
        """The provider of this installation. Raises SettingsError except in the embedded default on loopback."""
        if not settings.embedded:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER lets anybody be anybody: it is for the embedded default only")
        if settings.oidc_issuer is not None:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER cannot be used beside JIESU_OIDC_ISSUER")
        if not settings.accepts_local_tokens:
            raise SettingsError("JIESU_EMBEDDED_PROVIDER needs local tokens (JIESU_LOCAL_TOKENS)")
        if not is_loopback(settings.api_host) or not is_loopback(urlsplit(settings.origin).hostname):
            raise SettingsError("JIESU_EMBEDDED_PROVIDER lets anybody be anybody: JIESU_API_HOST must be loopback")
        return cls(settings.home, settings.origin)

    @property
    def discovery(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }

    def check(self, asked: Asked) -> None:
        """Raises Invalid unless the request has the parameters that Jiesu's own pages send."""
        agreed = {
            "response_type": asked.response_type == "code",
            "client_id": asked.client_id == CLIENT,
            "redirect_uri": asked.redirect_uri == self.redirect,
            "code_challenge": len(asked.code_challenge) == 43,
            "code_challenge_method": asked.code_challenge_method == "S256",
            "nonce": bool(asked.nonce),
        }
        if faults := [(name, Wrong("not-as-agreed")) for name, is_right in agreed.items() if not is_right]:
            raise Invalid(*faults)

    def code(self, person: str, role: Role, org: str | None, nonce: str, code_challenge: str) -> str:
        """Makes a new authorization code for this person. Beyond `_MOST_CODES` codes the oldest one is dropped."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(person, role, org, nonce, code_challenge, self._clock() + CODE_SECONDS)
        if len(self._codes) > _MOST_CODES:
            self._codes.popitem(last=False)
        return code

    def redeem(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The tokens for the authorization code in a form that the token endpoint received.

        None if the code or anything else in the form is wrong. Each code can be tried only once.
        """
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


def chosen(person: str, role: str, org: str, directory: Directory) -> tuple[str, Role, str | None]:
    """The identity that was chosen in the form, once checked: person, role and organisation (None for a resident).

    Raises Invalid for an unknown role, an organisation without that role, or a name that no token may hold.
    """
    if role not in ROLES:
        raise Invalid(("role", Wrong("no-such-role")))
    chosen, found = role, directory.org(org)
    if chosen != "resident" and (found is None or not role_fits(chosen, found)):
        raise Invalid(("org", Wrong("no-such-org-of-role")))
    if not is_person(person):
        raise Invalid(("person", Wrong("no-such-name")))
    return person, chosen, None if chosen == "resident" else org


def page(asked: Asked, people: Sequence[Appointment]) -> str:
    """The HTML form in which one chooses who to be; `people` get a button each.

    The page has no script and no style, since the content security policy (CSP) forbids both inside a page.
    """
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in asked.model_dump().items()
    )
    buttons = "".join(
        f'<form action="{PATH}/authorize/as" method="get">{hidden}'
        f'<input type="hidden" name="person" value="{escape(each.person)}">'
        f'<input type="hidden" name="role" value="{escape(each.role)}">'
        f'<input type="hidden" name="org" value="{escape(each.org)}">'
        f"<p><button>{escape(each.person)} · {escape(each.role)} · {escape(each.org)}</button></p></form>"
        for each in people[:_MOST_PEOPLE]
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
