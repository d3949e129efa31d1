"""The key that signs tree heads, and the chain of statements by which one key follows another.

The folder holds ``key.txt`` (the first key's public side, which auditors pin), ``rotations/0001.txt`` and so on, and the
private key as ``<its hash>.pem``. Public files name a private one that is already there, and are never replaced: a
process killed half-way, or two at once, leave a private key that nobody ever named, and nothing else.
"""

from dataclasses import dataclass
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
    Head,
    NoteError,
    Signer,
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


class KeyringError(RuntimeError):
    """A keyring cannot be used; the message names the file and never shows what a private one holds."""


@dataclass(frozen=True)
class Rotation:
    """From `at` on the log signs with `key`; `text` is the note that says so, signed by the old key and by the new."""

    key: VerifierKey
    at: datetime
    text: str

    @classmethod
    def parse(cls, text: str, old: VerifierKey) -> Self:
        """The statement, if the key trusted so far and the new one have both signed it. Raises NoteError."""
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
class Keyring:
    """A log's keys as they stood when the folder was read: open it anew for each head, since it may be rotated."""

    folder: Path
    first_vkey: VerifierKey
    rotations: tuple[Rotation, ...] = ()

    @classmethod
    def create(cls, folder: Path, name: str) -> Self:
        """Makes the first key. Raises KeyringError where there is one, NoteError for a name that cannot be one."""
        check_name(name)
        first = folder / FIRST
        if first.exists():
            raise KeyringError(f"{first} is there already, and a log cannot have two first keys")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = _make(folder, name)
        if not put_new(first, f"{signer.vkey}\n".encode()):
            _private(folder, signer.vkey).unlink()
            raise KeyringError(f"{first} was made at this moment by another process")
        return cls(folder, signer.vkey)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Reads the public files and follows the chain; the private key is not looked at. Raises KeyringError."""
        first = folder / FIRST
        try:
            vkey = VerifierKey.parse(_read(first))
        except FileNotFoundError:
            raise KeyringError(f"{first} is missing: make a key with `jiesu audit keygen`") from None
        except NoteError as error:
            raise KeyringError(f"{first}: {error}") from error
        ring = cls(folder, vkey)
        while (path := ring._next_rotation).exists():
            try:
                rotation = Rotation.parse(_read(path), ring.vkey)
            except NoteError as error:
                raise KeyringError(f"{path}: {error}") from error
            if ring.since is not None and rotation.at <= ring.since:
                raise KeyringError(f"{path}: its time is not after that of the rotation before it")
            ring = cls(folder, vkey, (*ring.rotations, rotation))
        return ring

    @property
    def name(self) -> str:
        return self.first_vkey.name

    @property
    def vkey(self) -> VerifierKey:
        """The key that signs now."""
        return self.rotations[-1].key if self.rotations else self.first_vkey

    @property
    def since(self) -> datetime | None:
        """From when on it does; None for the first key."""
        return self.rotations[-1].at if self.rotations else None

    @property
    def signer(self) -> Signer:
        """The private side of `vkey`, read from its file. Raises KeyringError."""
        return Signer(self.name, _load(_private(self.folder, self.vkey), self.vkey))

    def sign(self, head: Head) -> str:
        """The head as a note. Raises KeyringError for one that no auditor would take from this key."""
        if head.origin != self.name:
            raise KeyringError(f"{self.folder}: its key is for {self.name}, not for {head.origin}")
        if self.since is not None and head.at < self.since:
            raise KeyringError(f"{self.folder}: its key signs what is from {format_time(self.since)} on")
        return sign(head, [self.signer])

    def rotate(self, now: datetime) -> Self:
        """Lets a new key follow from `now` on; the old private key is deleted, as it could only date back.

        Raises KeyringError, after which the old key is still the one.
        """
        now = truncate(now)
        if self.since is not None and now <= self.since:
            raise KeyringError(
                f"{self.folder}: its key is from {format_time(self.since)}, so none can follow at {format_time(now)}"
            )
        old = self.signer
        new = _make(self.folder, self.name)
        text = sign_text(f"{self.name}/rotation\n{new.vkey}\ntime {format_time(now)}\n", [old, new])
        path = self._next_rotation
        path.parent.mkdir(mode=0o755, exist_ok=True)
        if not put_new(path, text.encode()):
            _private(self.folder, new.vkey).unlink()
            raise KeyringError(f"{path} was made at this moment by another process")
        _private(self.folder, old.vkey).unlink()
        return type(self)(self.folder, self.first_vkey, (*self.rotations, Rotation(new.vkey, now, text)))

    @property
    def _next_rotation(self) -> Path:
        return self.folder / ROTATIONS / f"{len(self.rotations) + 1:04}.txt"


def _private(folder: Path, vkey: VerifierKey) -> Path:
    return folder / f"{vkey.id.hex()}.pem"


def _make(folder: Path, name: str) -> Signer:
    signer = Signer(name, Ed25519PrivateKey.generate())
    path = _private(folder, signer.vkey)
    if not put_new(path, signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _SECRET):
        raise KeyringError(f"{path}: another key has this hash, try again")
    return signer


def _load(path: Path, vkey: VerifierKey) -> Ed25519PrivateKey:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyringError(f"{path}: others may read it; whoever did can sign: chmod 600, then rotate")
        # What the library says of a file that it cannot read is not passed on: it has seen the key.
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyringError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyringError(f"{path}: not an Ed25519 key without password, in PEM")
    if private.public_key().public_bytes_raw() != vkey.public:
        raise KeyringError(f"{path}: not the private side of {vkey}")
    return private


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NoteError("not UTF-8") from None
