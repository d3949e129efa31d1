"""The bearer tokens that Jiesu issues, as JWTs signed with EdDSA.

Local tokens are signed with a key in the installation's home folder. Residents who proved a phone get tokens signed
with a key derived from the server secret. A token names a person (`sub`), one role, and the organisation of that role.
Every fault of a token raises the same `InvalidToken`, so that whoever sent the token learns nothing about the reason.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeGuard

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import OKPAlgorithm

from domain.commands import ANONYMOUS
from domain.vocabulary import ROLES, Role
from runtime.files import read_or_create
from security import ids

ISSUER: Final = "jiesu-local"
RESIDENTS: Final = "jiesu-residents"
AUDIENCE: Final = "jiesu"
LIFETIME: Final = timedelta(hours=12)
_ALGORITHM: Final = "EdDSA"
_REQUIRED: Final = ("iss", "aud", "sub", "role", "iat", "exp")
_LONGEST: Final = 4096
_LONGEST_LOOK: Final = 16 * 1024
_LONGEST_NAME: Final = 128


class InvalidToken(Exception):
    """The token is not accepted. The error deliberately gives no reason."""


@dataclass(frozen=True)
class Claims:
    """The person whom a token or session names, and the role and organisation, if it names these too."""

    person: str
    role: Role | None
    org: str | None
    own_grant: bool = True
    """Whether the token itself grants the role, as local tokens do; otherwise an appointment in the directory must."""


def _key_path(home: Path) -> Path:
    return home / "keys" / "token.pem"


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _signing_key(home: Path) -> Ed25519PrivateKey:
    """The signing key in the home folder, created if missing.

    Raises OSError, or ValueError if the file is no Ed25519 key.
    """
    try:
        key = serialization.load_pem_private_key(read_or_create(_key_path(home), _new_key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # invalid, encrypted, or of another type
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{_key_path(home)} holds no Ed25519 key; without the file another one is made")  # noqa: TRY004 - what is wrong is the file
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def issue_token(home: Path, person: str, role: Role, org: str | None, now: datetime | None = None) -> str:
    """A local token for 12 hours, signed with the home's key, which is created if missing.

    Raises ValueError for a person, role or org that `verify` would refuse. The caller checks that the org exists.
    """
    if claims_of({"sub": person, "role": role, "org": org}) is None:
        raise ValueError(
            "a token needs a person who is no pseudonym and not anonymous, a known role and, but for residents, an org"
        )
    issued = now or datetime.now(UTC)
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": person, "role": role, "org": org}
    return sign(home, {**payload, "iat": issued, "exp": issued + LIFETIME})


def sign(home: Path, payload: dict[str, Any]) -> str:
    """A JWT of these claims, signed with the home's key, which is created if missing."""
    key = _signing_key(home)
    return jwt.encode(payload, key, _ALGORITHM, headers={"kid": _key_id(key.public_key())})


def public_jwk(home: Path) -> dict[str, Any]:
    """The public half of the home's key as a JWK, which the demo provider publishes."""
    public = _signing_key(home).public_key()
    return {
        **OKPAlgorithm.to_jwk(public, as_dict=True), "kid": _key_id(public), "use": "sig", "alg": _ALGORITHM,
    }  # fmt: skip


class LocalTokens:
    """Verifies local tokens by the key of one home. The key may be created or replaced while the process runs."""

    def __init__(self, home: Path) -> None:
        self._path = _key_path(home)
        self._home = home
        self._stamp: tuple[int, int] | None = None
        self._keys: Mapping[str, Ed25519PublicKey] = {}

    def verify(self, token: str) -> Claims:
        """The token's claims. Raises InvalidToken for any fault of the token.

        Raises OSError or ValueError if the home's key cannot be read, which is no fault of the token.
        """
        return _verified(token, self._current(), ISSUER)

    def _current(self) -> Mapping[str, Ed25519PublicKey]:
        """The home's public key, by its id.

        It is read again when the key's file was replaced; empty without the file.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return self._keys
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._stamp:
            public = _signing_key(self._home).public_key()
            self._stamp, self._keys = stamp, {_key_id(public): public}
        return self._keys


class ResidentTokens:
    """Issues and verifies the tokens of residents who proved a phone.

    The signing key derives from the secret that all API processes share, so each process accepts the tokens of all.
    """

    def __init__(self, secret: bytes) -> None:
        raw = HKDF(SHA256(), 32, None, b"jiesu/1/resident-tokens").derive(secret)
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self._keys = {_key_id(self._key.public_key()): self._key.public_key()}

    def issue(self, subject: str) -> str:
        """A resident's token for 12 hours. Raises ValueError for a subject that no token may name."""
        if not is_person(subject):
            raise ValueError("nobody has such a name")
        issued = datetime.now(UTC)
        payload = {"iss": RESIDENTS, "aud": AUDIENCE, "sub": subject, "role": "resident", "org": None}
        times = {"iat": issued, "exp": issued + LIFETIME}
        return jwt.encode({**payload, **times}, self._key, _ALGORITHM, headers={"kid": next(iter(self._keys))})

    def verify(self, token: str) -> Claims:
        """The claims of a resident's token. Raises InvalidToken for any fault."""
        claims = _verified(token, self._keys, RESIDENTS)
        if claims.role != "resident":
            raise InvalidToken
        return claims


def issuer_of(token: str) -> object:
    """The issuer that a token names, not yet verified; None if the token cannot be read."""
    try:
        return jwt.decode(token[:_LONGEST_LOOK], options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _verified(token: str, keys: Mapping[str, Ed25519PublicKey], issuer: str) -> Claims:
    """The claims of a token that this issuer signed with one of these keys. Raises InvalidToken for any fault."""
    try:
        claims = _decoded(token, keys, issuer)
    # A hostile token reaches base64, JSON and UTF-8 decoders before any signature is checked.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        claims = None
    if claims is None:
        raise InvalidToken from None
    return claims


def _decoded(token: str, keys: Mapping[str, Ed25519PublicKey], issuer: str) -> Claims | None:
    if len(token) > _LONGEST:
        return None
    # Only looked up among the known keys: a kid never becomes a path or a URL.
    kid: object = jwt.get_unverified_header(token).get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        return None
    payload = jwt.decode(
        token,
        key,
        algorithms=[_ALGORITHM],
        audience=AUDIENCE,
        issuer=issuer,
        options={"require": list(_REQUIRED), "strict_aud": True},
    )
    return claims_of(payload) if "org" in payload else None


def claims_of(payload: Mapping[str, Any]) -> Claims | None:
    """The claims of a token that grants its role itself; None for an invalid person, role or organisation."""
    person: object = payload.get("sub")
    role: object = payload.get("role")
    org: object = payload.get("org")
    if not is_person(person) or role not in ROLES:
        return None
    if not is_name(org) and not (org is None and role == "resident"):
        return None
    return Claims(person, role, org)


def is_person(value: object) -> TypeGuard[str]:
    """Whether a token may name this person: not `anonymous`, and not a resident's pseudonym."""
    return is_name(value) and value != ANONYMOUS and not ids.is_pseudonym(value)


def is_name(value: object) -> TypeGuard[str]:
    """Whether the value has the form of a name of a person or organisation: a short, printable text."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable() and value == value.strip()
