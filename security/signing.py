"""Signatures of commands: the process that accepts a command signs it.

A root is a key that certifies the keys that sign; each issue pins the public key of one root. A process has a
short-lived Ed25519 key and, for each root in use, a certificate by that root. The certificate travels with the command,
so keys can be replaced while issues are open, and an auditor needs only the root. Workflows verify signatures, too: a
signal that did not come through the API has no effect.
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
"""One of these two texts is part of what is signed, so no signature holds both for a certificate and for a command."""


class UnsignedError(ValueError):
    """A command has no valid signature. The message quotes nothing from the command."""


@dataclass(frozen=True)
class Credentials:
    """The signing key of a process, the key's certificates by root, and the root that new issues pin."""

    private: Ed25519PrivateKey
    certificates: Mapping[str, Mapping[str, str]]
    root: str


def certify(root: Ed25519PrivateKey, key: Ed25519PublicKey, since: datetime, until: datetime) -> dict[str, str]:
    """The root's certificate for `key`, ``{key, from, until, signature}``, for commands of that time."""
    stated = {"key": name_of(key), "from": format_time(since), "until": format_time(until)}
    return {**stated, "signature": base64url.encode(root.sign(_certified(stated)))}


def sign(credentials: Credentials, root: str, issue: str, name: str, envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope of command `name` with its proof: a signature, and the key's certificate by `root`.

    `root` is the root that the issue pins. Raises LookupError without a certificate by this root.
    """
    certificate = credentials.certificates.get(root)
    if certificate is None:
        raise LookupError("this process holds no certificate by the root that the issue has pinned")
    signature = credentials.private.sign(_signed(issue, name, envelope))
    return {**envelope, "proof": {"certificate": dict(certificate), "signature": base64url.encode(signature)}}


def check(root: str, issue: str, name: str, envelope: Mapping[str, Any]) -> None:
    """Raises UnsignedError unless the envelope is signed as command `name` to `issue`.

    The key that signed it must be certified by `root` for the time of the envelope.
    """
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
    """A public key as text: base64url without padding."""
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
    """The key of a certificate, and the period for which it certifies the key. Raises UnsignedError if it is not valid.

    Cached, because thousands of commands bear the same certificate.
    """
    stated = _certified({"key": key, "from": since, "until": until})
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(root)).verify(_bytes(signature), stated)
        return Ed25519PublicKey.from_public_bytes(_bytes(key)), parse_time(since), parse_time(until)
    except (InvalidSignature, ValueError):
        raise UnsignedError("its certificate is not by the root of this issue") from None


def _certified(stated: Mapping[str, str]) -> bytes:
    return canonical([_CERTIFICATE, stated])


def _signed(issue: str, name: str, envelope: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: issue, command name, and the envelope without proof, its body replaced by a digest."""
    head = {key: value for key, value in envelope.items() if key not in ("proof", "body")}
    body = hashlib.sha256(canonical(envelope.get("body"))).hexdigest()
    return canonical([_COMMAND, issue, name, head, body])


def _bytes(text: object) -> bytes:
    """The bytes from base64url. Raises UnsignedError if the text is not valid."""
    try:
        return base64url.decode(cast("str", text))
    except (TypeError, ValueError):
        raise UnsignedError("its signature cannot be read") from None


def _prime() -> None:
    """Checks an invalid signature once, so that the library imports its exception InvalidSignature now.

    Otherwise it would do so at the first forged signal, inside the sandbox of a workflow. There that import aborts the
    process, so one forged signal would end every worker.
    """
    with contextlib.suppress(InvalidSignature):
        Ed25519PrivateKey.generate().public_key().verify(bytes(64), b"")


_prime()
