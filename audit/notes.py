"""Tree heads as signed notes: text that a person can print and read, and that any tool for such notes can verify.

A note is a text, a blank line and signatures (c2sp.org/signed-note). The text of a tree head has the three lines of
c2sp.org/tlog-checkpoint and a fourth line with its time. The log's name is both the origin that its heads name and the
name of its keys.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.merkle import HASH_BYTES
from domain.wire import WireError, format_time, parse_time

MOST_BYTES: Final = 64 * 1024
"""The most bytes of a note; the note of a head has some 300."""
_ED25519: Final = b"\x01"
_LONGEST_NAME: Final = 200
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE: Final = re.compile(r"— ([^ ]+) ([^ ]+)")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class NoteError(ValueError):
    """A note or a key cannot be used; the message names the line and the reason."""


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name. Its text form is the vkey that auditors pin."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names the key that made it. They are a hint for finding the key, not a
        fingerprint.
        """
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key from its text form, a vkey such as ``name+hash+base64``. Raises NoteError."""
        name, _, rest = text.strip().partition("+")
        hint, _, encoded = rest.partition("+")
        known = _decode(encoded, "a key")
        if len(known) != 1 + HASH_BYTES or known[:1] != _ED25519:
            raise NoteError("a key: not an Ed25519 key such as name+hash+base64")
        key = cls(name, known[1:])
        if key.id.hex() != hint:
            raise NoteError(f"a key: its hash is {key.id.hex()}, not what it says")
        return key


@dataclass(frozen=True)
class Signature:
    """One signature line of a note; `key_id` and `name` say which key made the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}"

    def holds(self, text: str, key: VerifierKey) -> bool:
        """Whether this key made the signature, and the signature fits the text."""
        if (self.name, self.key_id) != (key.name, key.id):
            return False
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(self.signature, text.encode())
        except (InvalidSignature, ValueError):  # ValueError for bytes that are no key
            return False
        return True


@dataclass(frozen=True)
class NoteSigner:
    """A private key with its name. No `repr` shows the private key, and nothing in this module writes it to a file."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        return Signature(self.name, self.vkey.id, self.private.sign(text.encode()))


@dataclass(frozen=True)
class TreeHead:
    """The state of a log at the time `at`: its name (`origin`), its number of issues, and the root over them."""

    origin: str
    size: int
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {format_time(self.at)}\n"


def sign(head: TreeHead, signers: Iterable[NoteSigner]) -> str:
    """The head as a signed note. Raises NoteError if `parse` would refuse the note."""
    note = sign_text(head.text, signers)
    parse(note)
    return note


def parse(note: str) -> tuple[TreeHead, list[Signature]]:
    """The head and the signatures of a note; does *not* verify the signatures. Raises NoteError."""
    text, signatures = split(note)
    lines = text.removesuffix("\n").split("\n")
    if len(lines) != 4:
        raise NoteError(f"a tree head has four lines, not {len(lines)}")
    origin, size, root, time = lines
    try:
        check_name(origin)
    except NoteError as error:
        raise NoteError(f"line 1: {error}") from None
    if not _SIZE.fullmatch(size):
        raise NoteError(f"line 2: not a number of issues: {size[:40]!r}")
    decoded = _decode(root, "line 3")
    if len(decoded) != HASH_BYTES:
        raise NoteError(f"line 3: a root has {HASH_BYTES} bytes, not {len(decoded)}")
    return TreeHead(origin, int(size), decoded, parse_time_line(time, "line 4")), signatures


def sign_text(text: str, signers: Iterable[NoteSigner]) -> str:
    """Any text as a note, signed by each of the signers."""
    return text + "\n" + "".join(f"{signer.sign(text)}\n" for signer in signers)


def split(note: str) -> tuple[str, list[Signature]]:
    """Splits a note into the signed text, its last newline included, and the signatures below it. Raises NoteError."""
    if len(note.encode(errors="replace")) > MOST_BYTES:
        raise NoteError(f"a note has at most {MOST_BYTES} bytes")
    if strange := _CONTROL.search(note):
        raise NoteError(f"line {note.count(chr(10), 0, strange.start()) + 1}: a control character")
    text, blank, below = note.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise NoteError("no signatures under a blank line, or the last line is cut off")
    first = text.count("\n") + 3
    lines = below.removesuffix("\n").split("\n")
    return text + "\n", [_signature(line, f"line {number}") for number, line in enumerate(lines, first)]


def signed_by(text: str, signatures: Sequence[Signature], key: VerifierKey) -> bool:
    """Whether one of the signatures was made by this key and fits the text."""
    return any(signature.holds(text, key) for signature in signatures)


def parse_time_line(line: str, where: str) -> datetime:
    """The time in a line such as ``time 2026-11-24T16:00:00.000Z``. Raises NoteError."""
    word, _, text = line.partition(" ")
    try:
        moment = parse_time(text)
    except WireError:
        moment = None
    # The signed text has one form only: serializing it again must give the same.
    if word != "time" or moment is None or format_time(moment) != text:
        raise NoteError(f"{where}: not a time such as `time 2026-11-24T16:00:00.000Z`: {line[:60]!r}")
    return moment


def check_name(name: str) -> None:
    """Raises NoteError unless the text can name a log and its keys, as `city.example/jiesu` can."""
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or any(sign in " +" for sign in name):
        raise NoteError(f"not a name of 1 to {_LONGEST_NAME} characters without blanks and +: {name[:60]!r}")


def _signature(line: str, where: str) -> Signature:
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise NoteError(f"{where}: not a signature such as `— name base64`")
    decoded = _decode(match[2], where)
    if len(decoded) <= 4:
        raise NoteError(f"{where}: too short for a signature")
    return Signature(match[1], decoded[:4], decoded[4:])


def _decode(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{where}: not base64") from None
