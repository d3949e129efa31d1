"""The keys of the log: the key that signs tree heads, and the chain of rotation statements by which one key replaces
another.

The folder holds ``key.txt`` (the first public key, which auditors pin), the statements ``rotations/0001.txt`` and so
on, and the private key as ``<its hash>.pem``. A public file is written after the private key to which it belongs, and
is never replaced. So a process that is killed, or two processes at once, leave behind at most a private key that no
public file names.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from audit.notes import (
    NoteError,
    NoteSigner,
    TreeHead,
    VerifierKey,
    check_name,
    parse_time_line,
    sign,
    sign_text,
    signed_by,
    split,
)
from domain.wire import format_time, truncate
from runtime.files import put_new

FIRST: Final = "key.txt"
ROTATIONS: Final = "rotations"
_SECRET: Final = 0o600


class LogKeysError(RuntimeError):
    """A log's keys cannot be used. The message names the file, and never shows the content of a private key."""


@dataclass(frozen=True)
class Rotation:
    """The statement that the log signs with the new `key` from the time `at` on; `text` is the note, signed by the old
    key and the new key.
    """

    key: VerifierKey
    at: datetime
    text: str

    @classmethod
    def parse(cls, text: str, old: VerifierKey) -> Self:
        """Reads the statement. Raises NoteError unless both `old`, the key trusted so far, and the new key signed it."""
        signed, signatures = split(text)
        lines = signed.removesuffix("\n").split("\n")
        if len(lines) != 3 or lines[0] != f"{old.name}/rotation":
            raise NoteError(f"not a rotation of {old.name}: three lines, the first of them `{old.name}/rotation`")
        new = VerifierKey.parse(lines[1])
        if new.name != old.name:
            raise NoteError(f"line 2: a key of {new.name}, not of {old.name}")
        for key, which in ((old, "the key before it"), (new, "the new key")):
            if not signed_by(signed, signatures, key):
                raise NoteError(f"not signed by {which}, {key.name}+{key.id.hex()}")
        return cls(new, parse_time_line(lines[2], "line 3"), text)


@dataclass(frozen=True)
class TrustedKeys:
    """The public keys of a log: the first key, which an auditor got from elsewhere, and the rotations that replaced it,
    in order.
    """

    first_vkey: VerifierKey
    rotations: tuple[Rotation, ...] = ()

    @staticmethod
    def of(first: str, statements: Iterable[str] = ()) -> "TrustedKeys":
        """The public keys by the first key's text (a vkey) and the rotation statements in order. Raises NoteError."""
        keys = TrustedKeys(VerifierKey.parse(first))
        for number, text in enumerate(statements, 1):
            try:
                keys = keys.follow(text)
            except NoteError as error:
                raise NoteError(f"rotation {number}: {error}") from None
        return keys

    @staticmethod
    def beside(folder: Path, first: str | None = None) -> "TrustedKeys":
        """The public keys by the files in a folder of published heads; with `first`, this pinned vkey replaces the
        first key in the folder.

        Raises NoteError, OSError.
        """
        statements = [file.read_text("utf-8") for file in sorted((folder / ROTATIONS).glob("*.txt"))]
        return TrustedKeys.of(first or (folder / FIRST).read_text("utf-8"), statements)

    @property
    def name(self) -> str:
        return self.first_vkey.name

    @property
    def vkey(self) -> VerifierKey:
        """The key that signs heads now."""
        return self.rotations[-1].key if self.rotations else self.first_vkey

    @property
    def since(self) -> datetime | None:
        """The time from which the present key signs; None for the first key, which has no such time."""
        return self.rotations[-1].at if self.rotations else None

    def key_at(self, moment: datetime) -> VerifierKey:
        """The key that the log signed with at that time."""
        return next((each.key for each in reversed(self.rotations) if each.at <= moment), self.first_vkey)

    def follow(self, statement: str) -> Self:
        """The keys with one more rotation, read from its statement. Raises NoteError unless the present key signed it,
        and its time is after that of the last rotation.
        """
        rotation = Rotation.parse(statement, self.vkey)
        if self.since is not None and rotation.at <= self.since:
            raise NoteError("its time is not after that of the rotation before it")
        return replace(self, rotations=(*self.rotations, rotation))


@dataclass(frozen=True)
class LogKeys(TrustedKeys):
    """A log's keys as the folder held them when it was read. Another process may rotate the keys: open the folder anew
    for each head.
    """

    folder: Path = field(kw_only=True)

    @classmethod
    def create(cls, folder: Path, name: str) -> Self:
        """Makes the first key of a log. Raises LogKeysError if the folder has one already, NoteError if `name` cannot
        name a log.
        """
        check_name(name)
        first = folder / FIRST
        if first.exists():
            raise LogKeysError(f"{first} is there already, and a log cannot have two first keys")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = _make(folder, name)
        if not put_new(first, f"{signer.vkey}\n".encode()):
            _private(folder, signer.vkey).unlink()
            raise LogKeysError(f"{first} was made at this moment by another process")
        return cls(signer.vkey, folder=folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The keys by the public files in the folder; the private key is not read. Raises LogKeysError."""
        path = folder / FIRST
        try:
            keys = cls(VerifierKey.parse(_read(path)), folder=folder)
            while (path := keys._next_rotation).exists():
                keys = keys.follow(_read(path))
        except FileNotFoundError:
            raise LogKeysError(f"{path} is missing: make a key with `jiesu audit keygen`") from None
        except NoteError as error:
            raise LogKeysError(f"{path}: {error}") from error
        return keys

    @property
    def signer(self) -> NoteSigner:
        """The private key that belongs to the present key, read from its file. Raises LogKeysError."""
        return NoteSigner(self.name, _load(_private(self.folder, self.vkey), self.vkey))

    def sign(self, head: TreeHead) -> str:
        """The head as a note, signed with the present key. Raises LogKeysError for a head that no auditor would accept
        from this key: one of another log, or from before the key's time.
        """
        if head.origin != self.name:
            raise LogKeysError(f"{self.folder}: its key is for {self.name}, not for {head.origin}")
        if self.since is not None and head.at < self.since:
            raise LogKeysError(f"{self.folder}: its key signs what is from {format_time(self.since)} on")
        return sign(head, [self.signer])

    def rotate(self, now: datetime) -> Self:
        """Makes a new key that signs from `now` on, and deletes the old private key, which could only be misused to
        backdate heads.

        Raises LogKeysError; the old key then stays the present one.
        """
        now = truncate(now)
        if self.since is not None and now <= self.since:
            raise LogKeysError(
                f"{self.folder}: its key is from {format_time(self.since)}, so none can follow at {format_time(now)}"
            )
        old = self.signer
        new = _make(self.folder, self.name)
        text = sign_text(f"{self.name}/rotation\n{new.vkey}\ntime {format_time(now)}\n", [old, new])
        path = self._next_rotation
        path.parent.mkdir(mode=0o755, exist_ok=True)
        if not put_new(path, text.encode()):
            _private(self.folder, new.vkey).unlink()
            raise LogKeysError(f"{path} was made at this moment by another process")
        _private(self.folder, old.vkey).unlink()
        return replace(self, rotations=(*self.rotations, Rotation(new.vkey, now, text)))

    @property
    def _next_rotation(self) -> Path:
        return self.folder / ROTATIONS / f"{len(self.rotations) + 1:04}.txt"


def _private(folder: Path, vkey: VerifierKey) -> Path:
    return folder / f"{vkey.id.hex()}.pem"


def _make(folder: Path, name: str) -> NoteSigner:
    signer = NoteSigner(name, Ed25519PrivateKey.generate())
    path = _private(folder, signer.vkey)
    if not put_new(path, signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _SECRET):
        raise LogKeysError(f"{path}: another key has this hash, try again")
    return signer


def _load(path: Path, vkey: VerifierKey) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & 0o077:
            raise LogKeysError(f"{path}: others may read it; whoever did can sign: chmod 600, then rotate")
        # The library's message is not passed on, since the library has seen the key.
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise LogKeysError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise LogKeysError(f"{path}: not an Ed25519 key without password, in PEM")
    if private.public_key().public_bytes_raw() != vkey.public:
        raise LogKeysError(f"{path}: not the private side of {vkey}")
    return private


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NoteError("not UTF-8") from None
