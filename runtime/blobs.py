"""The blob store: keeps bytes (blobs) under names (keys), in a folder or an S3 bucket. A blob is never overwritten."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from runtime.disk import try_to_write
from runtime.files import sync
from runtime.settings import SettingsError, variable

T = TypeVar("T")


class BlobError(OSError):
    """A blob cannot be read, stored or removed; the message names the key."""


class MissingBlob(BlobError):
    """Nothing is stored under this key."""


class BlobStore:
    """The blobs at a URL, ``file:///folder`` or ``s3://bucket/prefix``.

    Credentials for S3 come from its usual environment variables.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._folder = Path(url2pathname(urlsplit(url).path)) if url.startswith("file:") else None
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store: ObjectStore = from_url(url)

    async def put_new(self, key: str, data: bytes) -> bool:
        """Stores the bytes durably under a new key; False if the key exists already. Raises BlobError."""
        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} cannot be stored: {_line(error)}") from None
        if self._folder is not None:
            path = self._folder / key
            while path != self._folder.parent:  # parent folders may be new as well
                await asyncio.to_thread(sync, path)
                path = path.parent
        return True

    async def get(self, key: str) -> bytes:
        """The bytes under a key. Raises MissingBlob, BlobError."""
        try:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
        except FileNotFoundError:
            raise MissingBlob(f"{key} is missing") from None
        except (BaseError, OSError, ValueError) as error:  # ValueError for an invalid key
            raise BlobError(f"{key} cannot be read: {_line(error)}") from None

    async def remove(self, key: str) -> None:
        """Removes a blob, if it exists. Raises BlobError."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} cannot be removed: {_line(error)}") from None

    @property
    def folder(self) -> Path | None:
        """Where the blobs lie, if they lie on this host."""
        return self._folder

    async def probe(self, *, writes: bool = True) -> None:
        """Tries whether a folder takes files, if this process `writes` or could; of a bucket, whether it answers.

        Raises BlobError.
        """
        if self._folder is None:
            with contextlib.suppress(MissingBlob):
                await self.get("probe")
        elif writes or os.access(self._folder, os.W_OK):
            try:
                await asyncio.to_thread(try_to_write, self._folder)
            except OSError as error:
                raise BlobError(f"no file can be stored: {error}") from error

    async def keys(self, prefix: str) -> list[str]:
        """The keys of all blobs below this prefix. Raises BlobError."""
        try:
            found = obstore.list(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]
            return [each["path"] for each in await found.collect_async()]
        except FileNotFoundError:
            return []
        except (BaseError, OSError) as error:
            raise BlobError(f"{prefix} cannot be listed: {_line(error)}") from None


def open_store(kind: Callable[[str], T], url: str, setting: str) -> T:
    """A store of class `kind` at the URL of a setting. Raises SettingsError, which names the setting's variable."""
    try:
        return kind(url)
    except Exception as error:  # noqa: BLE001 - OSError, or any error of the S3 library
        raise SettingsError(f"{variable(setting)} cannot be opened: {type(error).__name__}") from None


class DigestStore:
    """A blob store whose keys are the SHA-256 digests of the bytes."""

    def __init__(self, url: str) -> None:
        self.blobs: Final = BlobStore(url)

    async def put(self, data: bytes) -> str:
        """Stores the bytes and returns their digest. Raises BlobError."""
        digest = hashlib.sha256(data).hexdigest()
        await self.blobs.put_new(_key(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        """The bytes with this digest. Raises BlobError, also if the stored bytes were altered."""
        found = await self.blobs.get(_key(digest))
        if hashlib.sha256(found).hexdigest() != digest:
            raise BlobError(f"{_key(digest)}: altered")
        return found

    async def remove(self, digest: str) -> None:
        """Removes the bytes with this digest, if they exist. Raises BlobError."""
        await self.blobs.remove(_key(digest))


def _key(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
