"""The demo identity provider: an OpenID provider that signs in anybody as anybody, for trying Jiesu on one's own machine.

It signs with the key of the local tokens and stores nothing but the codes that it has just given out. It never runs in
production: `EmbeddedProvider.of` refuses. `api/routes/embedded_provider.py` serves it.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from api.identity.oidc import is_loopback
from api.identity.pkce import CALLBACK, challenge
from api.identity.tokens import LIFETIME, issue_token, sign
from domain.vocabulary import Role
from runtime.settings import Settings, SettingsError

PATH: Final = "/oidc"
CLIENT: Final = "jiesu-pages"
"""The one client: these pages. Not the audience of bearer tokens, so that an ID token is none."""
CODE_SECONDS: Final = 60.0
ID_LIFETIME: Final = timedelta(minutes=5)
_MOST_CODES: Final = 1000


@dataclass(frozen=True)
class _Code:
    """Whom a code signs in. It is valid once, with the verifier that fits the challenge."""

    person: str
    role: Role
    org: str | None
    nonce: str
    challenge: str
    until: float


class EmbeddedProvider:
    """Gives out authorization codes and exchanges them for tokens. `origin` is the app's: scheme, host and port."""

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

    def code(self, person: str, role: Role, org: str | None, nonce: str, code_challenge: str) -> str:
        """A code for somebody; the oldest are forgotten when there are too many."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(person, role, org, nonce, code_challenge, self._clock() + CODE_SECONDS)
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
