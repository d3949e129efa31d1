"""The client of an OIDC provider: fetches its discovery document and keys, and verifies its tokens.

All URLs come from the discovery document, none from a token. Tokens with an unknown key id (kid) cause at most one
fetch of the keys per cool-down. While the provider is down, the cached keys are used for at most MOST_STALE seconds.
"""

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from api.identity.tokens import Claims, InvalidToken, is_name, is_person
from domain.vocabulary import ROLES
from protocol.errors import Unavailable

log: Final = structlog.stdlib.get_logger(__name__)

ALGORITHMS: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""(key type, curve) -> the accepted algorithms; never ``none`` or one with a shared secret."""
COOL_DOWN: Final = 30.0
"""Seconds after a fetch of the keys, successful or not, in which an unknown kid causes no further fetch."""
_RETRY: Final = 2.0
"""The cool-down in seconds while there are no usable keys."""
FRESH: Final = 3600.0
"""Seconds after which the keys are fetched again in any case, so that keys which the provider withdrew are dropped."""
MOST_STALE: Final = 24 * 3600.0
"""Seconds for which the fetched keys are used while the provider is down."""
MOST_BYTES: Final = 256 * 1024
SECONDS: Final = 5.0
"""Seconds for one complete response of the provider."""
LEEWAY: Final = 30.0
"""Seconds by which the provider's clock may differ from ours."""
_MOST_KEYS: Final = 64
_LONGEST: Final = 16 * 1024
"""How many characters a token may have. It is a generous limit, as some providers list all groups of a person."""
_LONGEST_KID: Final = 256
_SHORTEST_RSA: Final = 2048
_REQUIRED: Final = ("iss", "aud", "sub", "iat", "exp")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_NOT_FOR_BEARERS: Final = ("nonce", "at_hash", "c_hash", "events")
"""Claims that only ID tokens and logout tokens have. A bearer token with one of them is refused."""

Key = Any
"""A public key, as PyJWT takes it."""


class ProviderDown(RuntimeError):
    """The provider does not answer, or answers incorrectly.

    The message names the URL's path, never the answer's content.
    """


class Declined(ProviderDown):
    """The provider answered that it refuses the request (status 400, 401 or 403)."""


@dataclass(frozen=True)
class Endpoints:
    """The provider's URLs, from its discovery document."""

    authorization: str
    token: str
    keys: str


def is_loopback(host: str | None) -> bool:
    """Whether the host name or address means this machine. No name is looked up."""
    try:
        return host == "localhost" or (host is not None and ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def is_safe(address: object, *, plain_loopback: bool) -> bool:
    """Whether the address is an https URL or, with `plain_loopback`, an http URL of this machine."""
    if not isinstance(address, str) or not address.isascii() or not address.isprintable() or " " in address:
        return False
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and plain_loopback and is_loopback(host))


class Provider:
    """One provider, whose endpoints and keys are fetched when needed.

    `plain_loopback` allows an issuer on this machine without TLS, for the embedded default.
    """

    def __init__(
        self, issuer: str, *, plain_loopback: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises ValueError for an unsafe issuer URL."""
        if not is_safe(issuer, plain_loopback=plain_loopback) or urlsplit(issuer).query:
            raise ValueError("an issuer begins with https:// and has no query")
        self.issuer: Final = issuer
        self._plain = plain_loopback
        self._clock = clock
        self._keys: Mapping[tuple[str, str], Key] = {}
        self._endpoints: Endpoints | None = None
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def endpoints(self) -> Endpoints:
        """The provider's URLs. Raises Unavailable while it has never answered."""
        if self._endpoints is None:
            await self._refresh()
        if self._endpoints is None:
            raise _unavailable()
        return self._endpoints

    async def verify(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token for this audience. Raises InvalidToken for any fault, Unavailable without keys.

        Whoever calls this must check whether the token is an access token or an ID token.
        """
        try:
            kid, algorithm = _header(token)
            key = await self._key(kid, algorithm)
            if key is None:
                raise InvalidToken
            return jwt.decode(
                token, key, algorithms=[algorithm], audience=audience, issuer=self.issuer, leeway=LEEWAY,
                options={"require": list(_REQUIRED)},
            )  # fmt: skip
        # A hostile token reaches base64, JSON and UTF-8 decoders before any signature is checked.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidToken from None

    async def exchange(self, form: Mapping[str, str], client_id: str, client_secret: str) -> Mapping[str, Any]:
        """Sends a form to the token endpoint, with the client's secret if there is one (RFC 6749, 2.3.1).

        Returns the endpoint's response.

        Raises Declined, ProviderDown, Unavailable.
        """
        endpoint = (await self.endpoints()).token
        auth = httpx.BasicAuth(quote(client_id, safe=""), quote(client_secret, safe="")) if client_secret else None
        async with self._client() as client:
            return await _object(client, client.build_request("POST", endpoint, data=dict(form)), auth)

    async def _key(self, kid: str, algorithm: str) -> Key | None:
        if not self._serves or not any(known == kid for known, _ in self._keys):
            await self._refresh()
        elif self._age > FRESH:
            self._begin()  # the cached keys are used meanwhile
        if not self._serves:
            raise _unavailable()
        return self._keys.get((kid, algorithm))

    @property
    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock() - self._fetched

    @property
    def _serves(self) -> bool:
        return self._age <= MOST_STALE

    async def _refresh(self) -> None:
        """Waits for the running fetch of the keys, or for a new one. Within the cool-down it returns at once."""
        self._begin()
        if self._fetching is not None:
            await asyncio.wait({self._fetching})

    def _begin(self) -> None:
        if self._fetching is not None and not self._fetching.done():
            return
        pause = COOL_DOWN if self._serves else _RETRY
        if self._tried is not None and self._clock() - self._tried < pause:
            return
        self._tried = self._clock()
        self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            async with self._client() as client:
                where = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
                endpoints = self._read(await _object(client, client.build_request("GET", where)))
                found = _keys(await _object(client, client.build_request("GET", endpoints.keys)))
        except ProviderDown as error:
            log.warning("oidc_provider_down", issuer=self.issuer, reason=str(error), keys=len(self._keys))
            return
        self._endpoints, self._keys, self._fetched = endpoints, found, self._clock()
        log.info("oidc_keys_read", issuer=self.issuer, keys=len(found))

    def _read(self, document: Mapping[str, Any]) -> Endpoints:
        """The URLs in a discovery document.

        Raises ProviderDown if it names another issuer, or a URL is missing or unsafe.
        """
        if document.get("issuer") != self.issuer:
            raise ProviderDown("the discovery document is of another issuer")
        found = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if not all(is_safe(address, plain_loopback=self._plain) for address in found):
            raise ProviderDown("an address in the discovery document is missing or not https")
        return Endpoints(*cast("list[str]", found))

    def _client(self) -> httpx.AsyncClient:
        """An HTTP client without redirects, which would evade the check of URLs, and without a proxy for loopback."""
        return httpx.AsyncClient(
            timeout=SECONDS, follow_redirects=False, trust_env=not is_loopback(urlsplit(self.issuer).hostname),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )  # fmt: skip


class OidcVerifier:
    """Verifies a provider's bearer tokens. A token names a person; the directory says which roles the person has."""

    def __init__(self, provider: Provider, audience: str) -> None:
        self._provider = provider
        self._audience = audience

    async def claims(self, token: str) -> Claims:
        """The token's claims. Raises InvalidToken for any fault, Unavailable without keys."""
        payload = await self._provider.verify(token, self._audience)
        found = None if any(name in payload for name in _NOT_FOR_BEARERS) else appointed(payload)
        if found is None:
            raise InvalidToken
        return found


def appointed(payload: Mapping[str, Any]) -> Claims | None:
    """The claims of a provider's token; None for an invalid person, role or organisation.

    Role and organisation only choose among the person's appointments: the token itself grants no role.
    """
    person: object = payload.get("sub")
    role: object = payload.get("role")
    org: object = payload.get("org")
    if not is_person(person) or (role is not None and role not in ROLES) or not (org is None or is_name(org)):
        return None
    return Claims(person, role, org, own_grant=False)


def _unavailable() -> Unavailable:
    return Unavailable("provider-away", retry_after=int(_RETRY))


def _header(token: str) -> tuple[str, str]:
    """The key id (kid) and the algorithm in a token's header. Raises InvalidToken, or what PyJWT raises."""
    if len(token) > _LONGEST:
        raise InvalidToken
    header: Mapping[str, object] = jwt.get_unverified_header(token)
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "JWT")
    if not isinstance(kid, str) or len(kid) > _LONGEST_KID:
        raise InvalidToken
    if not isinstance(algorithm, str) or not any(algorithm in allowed for allowed in ALGORITHMS.values()):
        raise InvalidToken
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken
    return kid, algorithm


async def _object(
    client: httpx.AsyncClient, request: httpx.Request, auth: httpx.BasicAuth | None = None
) -> Mapping[str, Any]:
    """Sends a request: the JSON object that the provider answers.

    Raises ProviderDown, also for an answer beyond MOST_BYTES or SECONDS, and Declined.
    """
    try:
        async with asyncio.timeout(SECONDS):
            answer = await client.send(request, stream=True, auth=auth)
            try:
                found = json.loads(await _body(answer))
            finally:
                await answer.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        raise ProviderDown(f"{request.url.path}: {type(error).__name__}") from None
    except (ValueError, RecursionError):
        raise ProviderDown(f"{request.url.path}: it is not JSON") from None
    if not isinstance(found, dict):
        raise ProviderDown(f"{request.url.path}: it is no JSON object")
    return cast("dict[str, Any]", found)


async def _body(answer: httpx.Response) -> bytes:
    path = answer.request.url.path
    if answer.status_code in (400, 401, 403):
        raise Declined(f"{path}: answered {answer.status_code}")
    if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
        raise ProviderDown(f"{path}: answered {answer.status_code}")
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MOST_BYTES:
            raise ProviderDown(f"{path}: more than {MOST_BYTES} bytes")
    return bytes(body)


def _keys(document: Mapping[str, Any]) -> Mapping[tuple[str, str], Key]:
    """The signing keys in a key set, by kid and algorithm. Raises ProviderDown if the set holds no usable key."""
    listed: object = document.get("keys")
    found: dict[tuple[str, str], Key] = {}
    for each in cast("list[object]", listed)[:_MOST_KEYS] if isinstance(listed, list) else ():
        if isinstance(each, dict):
            found |= _key(cast("dict[str, Any]", each))
    if not found:
        raise ProviderDown("it shows no key that can be used")
    return found


def _key(jwk: Mapping[str, Any]) -> Mapping[tuple[str, str], Key]:
    """The key in a JWK, once under each algorithm that it may be used with; empty if it is not usable.

    These are all accepted algorithms of the key's type, or, if the JWK names an algorithm, only that one.
    """
    kid: object = jwk.get("kid")
    operations: object = jwk.get("key_ops", ["verify"])
    if not isinstance(kid, str) or len(kid) > _LONGEST_KID or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return {}
    if not isinstance(operations, list) or "verify" not in operations:
        return {}
    try:
        allowed = ALGORITHMS.get((jwk.get("kty", ""), jwk.get("crv")), ())
        usable = [name for name in allowed if jwk.get("alg", name) == name]
        keys = {(kid, name): jwt.PyJWK(dict(jwk), name).key for name in usable}
    except (jwt.PyJWTError, ValueError, TypeError):
        return {}
    if any(isinstance(key, RSAPublicKey) and key.key_size < _SHORTEST_RSA for key in keys.values()):
        return {}
    return keys
