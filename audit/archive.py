"""The archive: the compressed histories of ended runs and the seals of closed issues, in a folder or a bucket.

A folder and a bucket have the same interface (`BlobStore`). Nothing in the archive is ever changed: a key that exists
keeps its content.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import zstandard
from google.protobuf.message import DecodeError
from temporalio.api.history.v1 import History, HistoryEvent

from domain.wire import canonical
from runtime.blobs import BlobError, BlobStore, MissingBlob

_DICTIONARIES: Final = Path(__file__).resolve().parent / "dictionaries"
_NEWEST: Final = 1
"""The number of the newest compression dictionary. Each compressed file names the dictionary that it needs, so all
dictionaries are kept; a new dictionary gets the next number.
"""
_LEVEL: Final = 19
_MOST: Final = 64 * 1024 * 1024
"""The most bytes of a history: Temporal ends a workflow at 50 MB."""
_RUN: Final = re.compile(r"(?P<n>-?\d+)-(?P<run>.+)\.pb\.zst")
_SEAL: Final = "seal.zst"
_FOLDERS: Final = 256


class ArchiveError(Exception):
    """The archive lacks something that it should hold, or holds it damaged; the message names the key."""


class ContentConflictError(ArchiveError):
    """The key exists with other content than was to be stored: one of the two contents was altered."""


class NotStoredError(ArchiveError):
    """The key does not exist."""


@dataclass(frozen=True)
class StoredHistory:
    """A stored history: its key, the SHA-256 of its bytes, and its size in bytes before and after compression."""

    key: str
    sha256: str
    size: int
    stored: int


@dataclass(frozen=True)
class IssueFiles:
    """The files of one issue in the archive: `runs` maps the number and Temporal's id of each run to the run's key,
    `seal` is the seal's key (None if there is no seal).

    `name` is the issue's id, or the SHA-256 of the id if the id cannot be a file name.
    """

    name: str
    runs: Mapping[tuple[int, str], str]
    seal: str | None


class Archive:
    """The archive of histories and seals at the URL of a `BlobStore`."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self.blobs: Final = BlobStore(url)

    async def put_run(self, issue: str, n: int, run: str, history: bytes) -> StoredHistory:
        """Stores the serialized history of one run. Raises ContentConflictError if the key has other content."""
        key = f"{folder_of(issue)}/{n}-{run}.pb.zst"
        packed = pack(history)
        if not await self._put(key, packed):
            await self._compare(key, history, "history")
        return StoredHistory(key, hashlib.sha256(history).hexdigest(), len(history), len(packed))

    async def get_run(self, key: str) -> bytes:
        """The serialized history of a run, decompressed. Raises ArchiveError."""
        return unpack(key, await self._get(key))

    async def read_run(self, key: str) -> tuple[StoredHistory, bytes]:
        """The key, digest and sizes of a run's stored history, and its decompressed bytes. Raises ArchiveError."""
        packed = await self._get(key)
        history = unpack(key, packed)
        return StoredHistory(key, hashlib.sha256(history).hexdigest(), len(history), len(packed)), history

    async def put_seal(self, issue: str, seal: Mapping[str, Any]) -> None:
        """Stores an issue's seal beside its histories, since the log can be restored from the seals. Raises
        ContentConflictError if there is another seal.
        """
        key = seal_key(issue)
        if not await self._put(key, pack(canonical(seal))):
            await self._compare(key, canonical(seal), "seal")

    async def get_seal(self, issue: str) -> dict[str, Any] | None:
        """The issue's seal ``{position, leaf, salt, record}``, None if there is none. Raises ArchiveError if it cannot
        be read.
        """
        return await self.seal_at(seal_key(issue))

    async def seal_at(self, key: str) -> dict[str, Any] | None:
        """The seal ``{position, leaf, salt, record}`` under this key, None if there is none. Raises ArchiveError if it
        cannot be read.
        """
        try:
            packed = await self._get(key)
        except NotStoredError:
            return None
        text = unpack(key, packed)
        try:
            found = json.loads(text)
            is_canonical = canonical(found) == text
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{key} is no seal: {error}") from None
        if not isinstance(found, dict):
            raise ArchiveError(f"{key} is no seal: no JSON object")
        if not is_canonical:  # a key given twice would say something else to another reader
            raise ArchiveError(f"{key} is no seal: not in the form in which seals are written")
        return cast("dict[str, Any]", found)

    async def issues(self) -> AsyncIterator[IssueFiles]:
        """The files of every issue, listed folder by folder, always in the same order. Raises ArchiveError."""
        for number in range(_FOLDERS):
            found: dict[str, dict[tuple[int, str], str]] = {}
            seals: dict[str, str] = {}
            for key in await self._keys(f"issues/{number:02x}"):
                name, _, file = key.removeprefix(f"issues/{number:02x}/").partition("/")
                runs = found.setdefault(name, {})
                if run := _RUN.fullmatch(file):
                    runs[int(run["n"]), run["run"]] = key
                elif file == _SEAL:
                    seals[name] = key
            for name in sorted(found):
                yield IssueFiles(name, dict(sorted(found[name].items())), seals.get(name))

    async def issues_in_chunks(self, size: int) -> AsyncIterator[list[IssueFiles]]:
        """The files of every issue in the order of `issues`, in lists of up to `size` issues. Raises ArchiveError."""
        chunk: list[IssueFiles] = []
        async for each in self.issues():
            chunk.append(each)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    async def _compare(self, key: str, expected: bytes, what: str) -> None:
        packed = await self._get(key)
        try:
            same = unpack(key, packed) == expected
        except ArchiveError as error:
            raise ContentConflictError(str(error)) from None
        if not same:
            raise ContentConflictError(f"{key} holds another {what}")

    async def _keys(self, prefix: str) -> list[str]:
        with _archive_errors():
            return await self.blobs.keys(prefix)

    async def _put(self, key: str, data: bytes) -> bool:
        """Stores the data unless the key exists; returns whether it was stored."""
        with _archive_errors():
            return await self.blobs.put_new(key, data)

    async def _get(self, key: str) -> bytes:
        with _archive_errors():
            return await self.blobs.get(key)


@contextmanager
def _archive_errors() -> Generator[None]:
    try:
        yield
    except MissingBlob as error:
        raise NotStoredError(str(error)) from None
    except BlobError as error:
        raise ArchiveError(str(error)) from None


def seal_key(issue: str) -> str:
    return f"{folder_of(issue)}/{_SEAL}"


def folder_of(issue: str) -> str:
    # Ids of issues made by hand may hold any character; 256 folders keep each small enough to list.
    name = issue if issue.replace("-", "").replace("_", "").isalnum() and issue.isascii() else _hex(issue)
    return f"issues/{_hex(issue)[:2]}/{name}"


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def history_bytes(events: list[HistoryEvent]) -> bytes:
    """A history as bytes: deterministic protobuf, so that equal histories have equal digests. All digests of histories
    are of these bytes.
    """
    return History(events=events).SerializeToString(deterministic=True)


def parse_history(where: str, history: bytes) -> list[HistoryEvent]:
    """The history events of a run from its serialized history; `where` names the run in errors. Raises ArchiveError."""
    parsed = History()
    try:
        parsed.ParseFromString(history)
    except DecodeError as error:
        raise ArchiveError(f"{where} is no history: {error}") from None
    return list(parsed.events)


def pack(data: bytes) -> bytes:
    """The data compressed with the newest dictionary."""
    return zstandard.ZstdCompressor(level=_LEVEL, dict_data=_dictionary(_NEWEST), write_checksum=False).compress(data)


def unpack(key: str, packed: bytes) -> bytes:
    """The decompressed data; `key` names the file in errors. Raises ArchiveError."""
    try:
        frame = zstandard.get_frame_parameters(packed)
        if frame.content_size > _MOST:
            raise ArchiveError(f"{key} claims to hold {frame.content_size} bytes")
        dictionary = _dictionary(frame.dict_id) if frame.dict_id else None
        decompressor = zstandard.ZstdDecompressor(dict_data=dictionary) if dictionary else zstandard.ZstdDecompressor()
        return decompressor.decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{key} cannot be decompressed: {error}") from None


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    try:
        found = zstandard.ZstdCompressionDict((_DICTIONARIES / f"{number}.zdict").read_bytes())
    except FileNotFoundError:
        raise ArchiveError(f"this version has no dictionary {number}: a newer one compressed this") from None
    found.precompute_compress(level=_LEVEL)  # pyright: ignore[reportUnknownMemberType]
    return found
