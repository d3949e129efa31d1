"""Browser sign-in: a session that is encrypted in its cookie, and authorization code with PKCE where there is a provider.

Residents who prove a phone need no provider. The server stores no sessions: a session cookie is valid until it expires. Two things protect the cookie: scripts cannot
read it, and requests that change something also need a CSRF token, which only our own pages can read. The person's role
is determined anew for every request.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import Request
from starlette.responses import Response

from api.http.problems import SessionEnded
from api.identity.oidc import Declined, Provider, ProviderDown, appointed
from api.identity.pkce import CALLBACK, challenge, local_path
from api.identity.tokens import Claims, InvalidToken, claims_of
from domain.vocabulary import Role
from protocol.clock import Now, now
from protocol.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from runtime import base64url

LIFETIME: Final = timedelta(hours=8)
LOGIN_LIFETIME: Final = timedelta(minutes=10)
CSRF_HEADER: Final = "x-csrf-token"
_READING: Final = frozenset({"/codec/decode"})
"""Paths to which a POST changes nothing, so that it needs no CSRF token."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NONCE: Final = 12
_LONGEST_COOKIE: Final = 4096
_LONGEST_CODE: Final = 2048
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class SessionParts:
    """The configuration of browser sign-in: the identity provider, our client there, and our public origin."""

    provider: Provider | None
    """None where nobody signs in by a provider, but residents do by their phones."""
    client_id: str
    public_url: str
    """Our public origin: scheme, host and port, without a trailing slash. The scheme is http on loopback only."""
    client_secret: str = field(default="", repr=False)
    trusts_roles: bool = False
    """Whether the role in the provider's token is valid without an appointment, as with the demo provider."""


@dataclass(frozen=True)
class Session:
    """The content of the session cookie. `expires` is in seconds since 1970."""

    person: str
    role: Role | None
    org: str | None
    csrf: str
    expires: int
    own_grant: bool = False
    """Whether the session itself grants the role, as that of a resident who proved a phone; else an appointment must."""


@dataclass(frozen=True)
class _Login:
    """The content of the login cookie, which the browser keeps while it is at the identity provider."""

    state: str
    nonce: str
    verifier: str
    next: str
    expires: int


class Sessions:
    """Signs browsers in, and reads and writes the session cookie and the login cookie."""

    def __init__(self, parts: SessionParts, secret: bytes, clock: Now = now) -> None:
        self.parts: Final = parts
        self._clock = clock
        origin = urlsplit(parts.public_url)
        # The prefix keeps neighbouring hosts from setting the cookie, but browsers accept it over https only. On
        # loopback the port is in the name, because browsers share cookies among ports.
        is_plain = origin.scheme == "http"
        self._secure = not is_plain
        self._name = f"jiesu-{origin.port or 80}" if is_plain else "__Host-jiesu"
        self._login = f"{self._name}-login"
        # The key depends on the provider, so that a session of another one is not accepted.
        info = b"jiesu/1/session\0" + (parts.provider.issuer if parts.provider else "").encode()
        self._cipher = AESGCM(HKDF(SHA256(), 32, None, info).derive(secret))

    @property
    def cookie(self) -> str:
        """The name of the session cookie."""
        return self._name

    def of(self, request: Request) -> Session | None:
        """The session of a browser; None without a cookie. Raises SessionEnded for an invalid or expired cookie."""
        cookie = request.cookies.get(self._name)
        if cookie is None:
            return None
        found = self._open(self._name, cookie)
        session = None if found is None else _made(Session, found)
        if session is None:
            raise SessionEnded(self._clearing(self._name))
        return session

    def claims(self, request: Request) -> Claims | None:
        """The claims of a browser's session; None without a session cookie.

        Raises SessionEnded for an invalid or expired cookie, Forbidden for a change that a foreign page may have sent.
        """
        session = self.of(request)
        if session is None:
            return None
        self.check_csrf(request, session)
        return self.claims_of(session)

    def claims_of(self, session: Session) -> Claims:
        """Whom the session names, and the role and organisation in which the person acts, once they are settled."""
        return Claims(session.person, session.role, session.org, own_grant=session.own_grant)

    def check_csrf(self, request: Request, session: Session) -> None:
        """Raises Forbidden for a request that may change something, unless it comes from one of our own pages."""
        # Decoding changes nothing, and only Temporal's user interface may read the response (CORS).
        if request.method in _SAFE or request.url.path in _READING:
            return
        token, site = request.headers.get(CSRF_HEADER, ""), request.headers.get("sec-fetch-site")
        # Firefox and WebKit send `null` from a page that sends no referrer. Then the browser itself has to say that the
        # page is ours, which no page can make it say.
        origins = (None, self.parts.public_url, *(["null"] if site == "same-origin" else []))
        is_ours = (
            hmac.compare_digest(token.encode(), session.csrf.encode())
            and request.headers.get("origin") in origins
            and site in (None, "same-origin")
        )
        if not is_ours:
            raise Forbidden("foreign-page")

    async def begin(self, onwards: str, answer: Response) -> str:
        """Sets the login cookie in `answer`, and returns the provider's sign-in URL.

        `onwards` is the page to show after sign-in. Raises NotFound where there is no provider.
        """
        endpoints = await self._provider.endpoints()
        login = _Login(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48),
            next=local_path(onwards), expires=self._until(LOGIN_LIFETIME),
        )  # fmt: skip
        self._set(answer, self._login, asdict(login), LOGIN_LIFETIME)
        asked = {
            "response_type": "code", "scope": "openid", "client_id": self.parts.client_id,
            "redirect_uri": self.parts.public_url + CALLBACK, "state": login.state, "nonce": login.nonce,
            "code_challenge": challenge(login.verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        return endpoints.authorization + ("&" if "?" in endpoints.authorization else "?") + urlencode(asked)

    async def finish(self, request: Request) -> tuple[Session, str]:
        """The new session of a browser that comes back from the identity provider, and the page to show it.

        Raises Unauthenticated if the sign-in failed or was not begun by this browser, Unavailable without the provider,
        NotFound where there is none.
        """
        issuer = self._provider.issuer
        cookie, query = request.cookies.get(self._login), request.query_params
        found = None if cookie is None else self._open(self._login, cookie)
        login = None if found is None else _made(_Login, found)
        if login is None or not hmac.compare_digest(query.get("state", "").encode(), login.state.encode()):
            raise Unauthenticated("sign-in-not-begun")
        code = query.get("code", "")
        # RFC 9207: a response of another provider.
        if "error" in query or not 0 < len(code) <= _LONGEST_CODE or query.get("iss", issuer) != issuer:
            raise Unauthenticated("nobody-signed-in")
        claims = await self._redeem(code, login)
        return self.session(claims), login.next

    def session(self, claims: Claims) -> Session:
        """A new session for these claims."""
        csrf, expires = secrets.token_urlsafe(32), self._until(LIFETIME)
        return Session(claims.person, claims.role, claims.org, csrf, expires, claims.own_grant)

    def keep(self, answer: Response, session: Session) -> None:
        """Sets the session cookie in `answer`, and deletes the login cookie."""
        left = timedelta(seconds=session.expires - int(self._clock().timestamp()))
        self._set(answer, self._name, asdict(session), left)
        answer.headers.append("set-cookie", self._clearing(self._login))

    def end(self, answer: Response) -> None:
        """Has the browser delete the session cookie."""
        answer.headers.append("set-cookie", self._clearing(self._name))

    @property
    def _provider(self) -> Provider:
        if self.parts.provider is None:
            raise NotFound
        return self.parts.provider

    async def _redeem(self, code: str, login: _Login) -> Claims:
        parts = self.parts
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": parts.public_url + CALLBACK,
            "client_id": parts.client_id, "code_verifier": login.verifier,
        }  # fmt: skip
        try:
            tokens = await self._provider.exchange(form, parts.client_id, parts.client_secret)
            payload = await self._provider.verify(str(tokens.get("id_token", "")), parts.client_id)
        except (Declined, InvalidToken):
            raise Unauthenticated("nobody-signed-in") from None
        except ProviderDown:
            raise Unavailable("provider-away") from None
        nonce: object = payload.get("nonce")
        is_ours = isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), login.nonce.encode())
        claims = claims_of(payload) if parts.trusts_roles else appointed(payload)
        if not is_ours or payload.get("azp", parts.client_id) != parts.client_id or claims is None:
            raise Unauthenticated("nobody-signed-in")
        return claims

    def _until(self, lifetime: timedelta) -> int:
        return int((self._clock() + lifetime).timestamp())

    def _set(self, answer: Response, name: str, content: Mapping[str, Any], left: timedelta) -> None:
        answer.set_cookie(
            name, self._seal(name, content), max_age=int(left.total_seconds()), path="/", secure=self._secure,
            httponly=True, samesite="lax",
        )  # fmt: skip

    def _clearing(self, name: str) -> str:
        return f"{name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if self._secure else "")

    def _seal(self, name: str, content: Mapping[str, Any]) -> str:
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, json.dumps(content).encode(), name.encode())
        return base64url.encode(nonce + sealed)

    def _open(self, name: str, cookie: str) -> dict[str, Any] | None:
        """The decrypted content of the cookie of this name; None if the cookie is invalid or has expired."""
        if len(cookie) > _LONGEST_COOKIE or not cookie.isascii():
            return None
        try:
            raw = base64url.decode(cookie)
            content: dict[str, Any] = json.loads(self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], name.encode()))
        except (ValueError, InvalidTag):
            return None
        expires: object = content.get("expires")
        return content if isinstance(expires, int) and expires > self._clock().timestamp() else None


def _made(kind: type[_Kind], content: Mapping[str, Any]) -> _Kind | None:
    """A cookie's content as this dataclass; None if the fields differ, as in a cookie of another version of Jiesu."""
    try:
        return kind(**content)
    except TypeError:
        return None


def expiry(session: Session, clock: Now) -> datetime:
    """When the session ends, in UTC."""
    return datetime.fromtimestamp(session.expires, clock().tzinfo)
