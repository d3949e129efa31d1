"""The names an issue goes by, all derived from secrets and keys so that a repeated report gets the same ones for ever.

The id addresses the issue in URLs and in Temporal, the number is for people, the tracking code is what lets an
anonymous reporter back in. Of the code only a hash need be stored.
"""

import base64
import hashlib
import hmac
import re
import uuid
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so what is read out or copied by hand stays unambiguous."""
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None})
_PSEUDONYM: Final = "r-"
_LOOKS_LIKE_ONE: Final = re.compile(r"r-[a-z2-7]{26}", re.IGNORECASE)
_COMMANDS: Final = uuid.UUID("6f0b6a0e-6c3b-5a52-9d0e-2f6a4c1d7e85")
"""The name space of command ids; a change of it would let every old idempotency key act a second time."""


def issue_id(secret: bytes, scope: str, key: str) -> str:
    """The id of the issue reported under an idempotency key: 128 bits in 26 lower-case base32 characters.

    `scope` is the token's subject, or `anonymous`: the same key from two people means two issues.
    """
    return base64.b32encode(_mac(secret, "issue", scope, key)[:16]).decode().rstrip("=").lower()


def number(issue: str) -> str:
    """The short number of an issue for people, `JS-XXXXX-XXXXX`.

    It has 50 bits: at a million issues two share one with a chance of 1 in 2,000 (40 bits would make it 1 in 3), so
    it is for finding, never a key.
    """
    symbols = _crockford(hashlib.sha256(_join("number", issue)).digest(), 10)
    return f"JS-{symbols[:5]}-{symbols[5:]}"


def tracking_code(secret: bytes, issue: str, generation: int) -> str:
    """The code that opens one issue to whoever holds it: 100 bits in four groups of five characters.

    A higher generation gives another code, which is how one is revoked.
    """
    symbols = _crockford(_mac(secret, "tracking", issue, str(generation)), 20)
    return "-".join(symbols[start : start + 5] for start in range(0, 20, 5))


def tracking_hash(code: str) -> str:
    """SHA-256 in hex of a tracking code as typed: case, blanks and dashes do not count, O is 0, I and L are 1.

    Total: any text has a hash, and one that is no code matches nothing.
    """
    plain = "".join(code.split()).upper().translate(_MISREAD)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def tracking_matches(code: str, stored: str) -> bool:
    """Whether a code as typed has the stored hash, compared in constant time."""
    return hmac.compare_digest(tracking_hash(code), stored)


def command_id(issue: str, subject: str, role: str, key: str) -> str:
    """The id of the command given under an idempotency key: UUIDv5 over who gives it, as what, and to which issue."""
    return str(uuid.uuid5(_COMMANDS, _join("command", issue, subject, role, key).hex()))


def pseudonym(secret: bytes, subject: str) -> str:
    """As whom a resident with a token acts, for ever: 128 bits from which nobody without the secret tells the subject.

    Histories outlive accounts, and cannot be changed; so they hold this and never who it is.
    """
    return _PSEUDONYM + base64.b32encode(_mac(secret, "resident", subject)[:16]).decode().rstrip("=").lower()


def is_pseudonym(name: str) -> bool:
    """Whether it looks like one; no token may claim such a name."""
    return _LOOKS_LIKE_ONE.fullmatch(name) is not None


def _mac(secret: bytes, *parts: str) -> bytes:
    return hmac.digest(secret, _join(*parts), "sha256")


def _join(*parts: str) -> bytes:
    """The parts behind their lengths, so that no two lists of parts give the same bytes."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _crockford(raw: bytes, length: int) -> str:
    """The first `length` * 5 bits."""
    bits = int.from_bytes(raw, "big") >> (len(raw) * 8 - length * 5)
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(length)))
