"""Derives the ids, numbers and codes of issues, so that a repeated report gets equal ones.

The id addresses the issue in URLs and in Temporal, the number is for people, and the tracking code gives an anonymous
reporter access.
"""

import base64
import hashlib
import hmac
import re
import unicodedata
import uuid
from typing import Final

from domain.commands import Voice

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""The digits of Crockford's base 32. It has no I, L, O and U, which are misread easily."""
_NO_SIGN: Final = re.compile("[^0-9A-Z]")
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
MINE: Final = "mine"
"""The name under which whoever has a tracking code asks for its issue."""
_PSEUDONYM: Final = "r-"
_PSEUDONYM_FORM: Final = re.compile(r"r-[a-z2-7]{26}", re.IGNORECASE)
_COMMANDS: Final = uuid.UUID("6f0b6a0e-6c3b-5a52-9d0e-2f6a4c1d7e85")
"""The name space of command ids. It may never change, or a repeated command would get another id and act again."""


def issue_id(secret: bytes, scope: str, key: str) -> str:
    """The id of the issue reported under an idempotency key: 128 bits in 26 lower-case base32 characters.

    `scope` is the subject of the token, or `anonymous` without one. So two people who use one key get two issues.
    """
    return base64.b32encode(_mac(secret, "issue", scope, key)[:16]).decode().rstrip("=").lower()


def number(issue: str) -> str:
    """The short number of an issue for people, `JS-XXXXX-XXXXX`.

    It has 50 bits: among a million issues, two share a number with a probability of 1 in 2,000 (with 40 bits, 1 in 3).
    So the number is for searching, and never identifies an issue.
    """
    symbols = _crockford(hashlib.sha256(_join("number", issue)).digest(), 10)
    return f"JS-{symbols[:5]}-{symbols[5:]}"


def tracking_code(secret: bytes, issue: str, generation: int, follower: str = "") -> str:
    """The tracking code, which gives access to one issue: 100 bits in four groups of five characters.

    The reporter's, or that of a `follower`. Raising `generation` gives another code and so revokes the former one.
    """
    symbols = _crockford(_mac(secret, "tracking", issue, str(generation), *filter(None, (follower,))), 20)
    return "-".join(symbols[start : start + 5] for start in range(0, 20, 5))


def tracking_hash(code: str) -> str:
    """SHA-256 in hex of a tracking code as `typed`, with O read as 0, I and L as 1.

    A text that is no tracking code gets a hash, too.
    """
    plain = typed(code).translate(_MISREAD)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def typed(code: str) -> str:
    """A code as it is meant, whatever the keyboard: its Latin letters and digits, in capitals and of usual width."""
    return _NO_SIGN.sub("", unicodedata.normalize("NFKC", code).upper())


def tracking_matches(code: str, stored: str) -> bool:
    """Whether a tracking code as typed has the hash `stored`, compared in constant time."""
    return hmac.compare_digest(tracking_hash(code), stored)


def command_id(issue: str, subject: str, role: str, key: str) -> str:
    """The id of the command given under an idempotency key: a UUIDv5 over issue, giver (`subject`), role and key."""
    return str(uuid.uuid5(_COMMANDS, _join("command", issue, subject, role, key).hex()))


def pseudonym(secret: bytes, subject: str) -> str:
    """The pseudonym under which a resident with a token acts: 128 bits that reveal the subject only with the secret.

    Histories cannot be changed, so they hold the pseudonym and never the subject.
    """
    return _PSEUDONYM + base64.b32encode(_mac(secret, "resident", subject)[:16]).decode().rstrip("=").lower()


def phone_subject(secret: bytes, phone: str) -> str:
    """The token subject of a mobile number (``+8613800000000``), which reveals the number only with the secret."""
    return f"phone:{phone_hash(secret, 'subject', phone)[:32]}"


def phone_pseudonym(secret: bytes, phone: str) -> str:
    """The pseudonym under which whoever proves this phone (``+8613800000000``) acts as a resident."""
    return pseudonym(secret, phone_subject(secret, phone))


def phone_hash(secret: bytes, *parts: str) -> str:
    """A keyed hash of texts about a phone, in hex."""
    key = hmac.digest(secret, b"jiesu/phones", "sha256")
    return hmac.digest(key, "\0".join(parts).encode(), "sha256").hex()


def voice_code(secret: bytes, voice: Voice) -> str:
    """The valid tracking code of a resident who speaks in an issue."""
    return tracking_code(secret, voice.issue, voice.generation, "" if voice.reported else voice.person)


def voice(secret: bytes, issue: str, key: str) -> str:
    """The name of whoever joins an issue without a token, under an idempotency key. It is no pseudonym of anybody."""
    return "v-" + base64.b32encode(_mac(secret, "voice", issue, key)[:16]).decode().rstrip("=").lower()


def is_pseudonym(name: str) -> bool:
    """Whether a name has the form of a pseudonym. No token may have such a name as its subject."""
    return _PSEUDONYM_FORM.fullmatch(name) is not None


def _mac(secret: bytes, *parts: str) -> bytes:
    return hmac.digest(secret, _join(*parts), "sha256")


def _join(*parts: str) -> bytes:
    """The parts joined, each after its length, so that different lists of parts never give the same bytes."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _crockford(raw: bytes, length: int) -> str:
    """The first `length` * 5 bits of `raw`, as `length` characters in base 32."""
    bits = int.from_bytes(raw, "big") >> (len(raw) * 8 - length * 5)
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(length)))
