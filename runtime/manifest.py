"""The manifest of a backup: what each of its files must be, so that an incomplete or altered backup is refused."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from runtime.files import put_new, sync

NAME: Final = "manifest.json"
VERSION: Final = 1
"""The form of backups that this release writes and reads."""
_BLOCK: Final = 1024 * 1024


class BackupError(RuntimeError):
    """A home cannot be backed up or restored; the message is one line and names the file."""


@dataclass(frozen=True)
class File:
    """SHA-256 (in hex) and size (in bytes) of a file."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: `kind` is ``home`` or ``keys``; times are RFC 3339.

    `moments`: file of a database -> the time as of which it is at least. `elsewhere`: the settings (variables) that name
    places outside of the home, which the backup does not hold. `needs`: what the keys must be, by file: digests, or ids
    of keys. `files`: each file but the manifest, by its path in the folder.
    """

    kind: str
    release: str
    began: str
    ended: str
    moments: Mapping[str, str]
    elsewhere: Sequence[str]
    needs: Mapping[str, Sequence[str]]
    files: Mapping[str, File]

    def write(self, folder: Path) -> None:
        """Writes the manifest into its folder, durably. It comes last: a folder without one is no backup."""
        plain = {"version": VERSION, **asdict(self)}
        text = json.dumps({**plain, "digest": _digest(plain)}, indent=1, sort_keys=True, ensure_ascii=False)
        put_new(folder / NAME, f"{text}\n".encode(), 0o600)

    @classmethod
    def read(cls, folder: Path, kind: str) -> Self:
        """The manifest of a folder. Raises BackupError."""
        path = folder / NAME
        try:
            plain = cast("dict[str, Any]", json.loads(path.read_bytes()))
            version, digest = plain["version"], plain.pop("digest")
        except FileNotFoundError:
            raise BackupError(f"{path} is missing: this is no backup, or one that was not finished") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BackupError(f"{path} was altered: it cannot be read") from None
        if version != VERSION:
            raise BackupError(f"{path} is of version {version}, and this release reads version {VERSION}")
        if digest != _digest(plain):
            raise BackupError(f"{path} was altered")
        del plain["version"]
        plain["files"] = {name: File(**each) for name, each in plain["files"].items()}
        found = cls(**plain)
        if found.kind != kind:
            raise BackupError(f"{folder} is a backup of {found.kind}, not of {kind}")
        return found

    def take(self, folder: Path, target: Path) -> None:
        """Copies the files of a backup into the folder `target`, and compares each on the way.

        Raises BackupError, which names the file, if one is missing, altered, or not of the backup.
        """
        there = set(names(folder)) - {NAME}
        for name in sorted(self.files.keys() - there):
            raise BackupError(f"{folder / name} is missing: the backup is incomplete")
        for name in sorted(there - self.files.keys()):
            raise BackupError(f"{folder / name} is not of this backup: it was put there later")
        for name, expected in self.files.items():
            if copy(folder / name, target / name) != expected:
                raise BackupError(f"{folder / name} was altered")


def names(folder: Path) -> Iterator[str]:
    """The paths of all files in a folder, relative to it. Raises BackupError for a symbolic link."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise BackupError(f"{path} is a symbolic link, which a backup does not hold")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def copy(source: Path, target: Path) -> File:
    """Copies a file, durably, with its mode, into a folder that is made if it is missing."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        os.fchmod(writer.fileno(), stat.S_IMODE(os.fstat(reader.fileno()).st_mode))  # it may be removed meanwhile
        done = _measured(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
    return done


def measure(path: Path) -> File:
    """Digest and size of a file."""
    with path.open("rb") as reader:
        return _measured(reader, None)


def sync_folders(folder: Path) -> None:
    """Flushes the entries of a folder and of all below it to the disk."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            sync(path)


def _measured(reader: BinaryIO, writer: BinaryIO | None) -> File:
    found, size = hashlib.sha256(), 0
    while block := reader.read(_BLOCK):
        found.update(block)
        size += len(block)
        if writer is not None:
            writer.write(block)
    return File(found.hexdigest(), size)


def _digest(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
