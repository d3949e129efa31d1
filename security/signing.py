"""Who stands behind a command: each is signed by the process that took it in, under a root that is pinned in its issue.

A process holds a short-lived Ed25519 key and, for each root in use, a certificate by that root. The certificate travels
with the command, so keys rotate without touching an open issue, and an auditor needs nothing but the root. Workflows check
signatures as well: what did not come through the API has no effect.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.wire import WireError, canonical, format_time, parse_time
from runtime import base64url

_CERTIFICATE: Final = "jiesu certificate 1"
_COMMAND: Final = "jiesu command 1"
"""What a signature is of, so that one can never stand for the other."""


class UnsignedError(ValueError):
    """A command bears no signature that holds; the message says in our own words what is wrong, and quotes nothing."""


@dataclass(frozen=True)
class Credentials:
    """With what a process signs: its key, a certificate of it by each root in use, and the root that new issues pin."""

    private: Ed25519PrivateKey
    certificates: Mapping[str, Mapping[str, str]]
    root: str


def certify(root: Ed25519PrivateKey, key: Ed25519PublicKey, since: datetime, until: datetime) -> dict[str, str]:
    """The root's statement ``{key, from, until, signature}`` that what `key` signs in that time is to be believed."""
    stated = {"key": name_of(key), "from": format_time(since), "until": format_time(until)}
    return {**stated, "signature": base64url.encode(root.sign(_certified(stated)))}


def sign(credentials: Credentials, root: str, issue: str, name: str, envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of command `name` to this issue with its proof. LookupError where the process has no certificate.

    `root` is the one that the issue has pinned.
    """
    certificate = credentials.certificates.get(root)
    if certificate is None:
        raise LookupError("this process holds no certificate by the root that the issue has pinned")
    signature = credentials.private.sign(_signed(issue, name, envelope))
    return {**envelope, "proof": {"certificate": dict(certificate), "signature": base64url.encode(signature)}}


def check(root: str, issue: str, name: str, envelope: Mapping[str, Any]) -> None:
    """Raises UnsignedError unless the envelope was signed for this issue by a key that the root had certified then."""
    proof = envelope.get("proof")
    if not isinstance(proof, dict):
        raise UnsignedError("it is not signed")
    found = cast("dict[str, Any]", proof)
    key, since, until = _certified_key(root, found.get("certificate"))
    try:
        key.verify(_bytes(found.get("signature")), _signed(issue, name, envelope))
        at = parse_time(cast("str", envelope.get("at")))
    except (InvalidSignature, WireError, RecursionError):
        raise UnsignedError("its signature does not hold") from None
    if not since <= at < until:
        raise UnsignedError("its key was not certified at that time")


def name_of(key: Ed25519PublicKey) -> str:
    """A public key as a text: base64url without padding."""
    return base64url.encode(key.public_bytes_raw())


def _certified_key(root: str, certificate: object) -> tuple[Ed25519PublicKey, datetime, datetime]:
    if not isinstance(certificate, dict):
        raise UnsignedError("it bears no certificate")
    plain = cast("dict[str, Any]", certificate)
    parts = tuple(plain.get(name) for name in ("key", "from", "until", "signature"))
    if len(plain) != len(parts) or not all(isinstance(part, str) for part in parts):
        raise UnsignedError("its certificate cannot be read")
    return _verified(root, *cast("tuple[str, str, str, str]", parts))


@lru_cache(maxsize=1024)
def _verified(
    root: str, key: str, since: str, until: str, signature: str
) -> tuple[Ed25519PublicKey, datetime, datetime]:
    """Remembered: a process signs thousands of commands under one certificate."""
    stated = _certified({"key": key, "from": since, "until": until})
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(root)).verify(_bytes(signature), stated)
        return Ed25519PublicKey.from_public_bytes(_bytes(key)), parse_time(since), parse_time(until)
    except (InvalidSignature, ValueError):
        raise UnsignedError("its certificate is not by the root of this issue") from None


def _certified(stated: Mapping[str, str]) -> bytes:
    return canonical([_CERTIFICATE, stated])


def _signed(issue: str, name: str, envelope: Mapping[str, Any]) -> bytes:
    """What is signed: everything but the proof, the body by its digest."""
    head = {key: value for key, value in envelope.items() if key not in ("proof", "body")}
    body = hashlib.sha256(canonical(envelope.get("body"))).hexdigest()
    return canonical([_COMMAND, issue, name, head, body])


def _bytes(text: object) -> bytes:
    """Raises UnsignedError for what is no base64url; a signature of another length verifies nothing."""
    try:
        return base64url.decode(cast("str", text))
    except (TypeError, ValueError):
        raise UnsignedError("its signature cannot be read") from None


def _prime() -> None:
    """Lets the library look up its exception now. It does so at the first signature that does not hold; in the sandbox of
    a workflow it could not, and would abort the process: one forged signal would end every worker.
    """
    with contextlib.suppress(InvalidSignature):
        Ed25519PrivateKey.generate().public_key().verify(bytes(64), b"")


_prime()
