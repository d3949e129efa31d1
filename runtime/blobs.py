"""The blob store: bytes under keys, in a folder or in a bucket. A key that is taken keeps what it holds."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from runtime.files import sync
from runtime.settings import SettingsError, variable

T = TypeVar("T")


class BlobError(OSError):
    """The store does not hold or take what it should; the message names the key."""


class MissingBlob(BlobError):
    """Nothing is stored under this key."""


class BlobStore:
    """Opened with a URL: ``file:///folder`` or ``s3://bucket/prefix`` (credentials by S3's own environment)."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._folder = Path(url2pathname(urlsplit(url).path)) if url.startswith("file:") else None
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store: ObjectStore = from_url(url)

    async def put_new(self, key: str, data: bytes) -> bool:
        """Stores the bytes, through a power cut; False where something is stored under the key already."""
        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} cannot be stored: {_line(error)}") from None
        if self._folder is not None:
            path = self._folder / key
            while path != self._folder.parent:  # a folder on the way may be new, too
                await asyncio.to_thread(sync, path)
                path = path.parent
        return True

    async def get(self, key: str) -> bytes:
        """Raises MissingBlob, BlobError."""
        try:
            return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
        except FileNotFoundError:
            raise MissingBlob(f"{key} is missing") from None
        except (BaseError, OSError, ValueError) as error:  # the last for what cannot be a key
            raise BlobError(f"{key} cannot be read: {_line(error)}") from None

    async def remove(self, key: str) -> None:
        """Removes it, if it is there. Raises BlobError."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise BlobError(f"{key} cannot be removed: {_line(error)}") from None

    async def keys(self, prefix: str) -> list[str]:
        """The keys below this prefix. Raises BlobError."""
        try:
            found = obstore.list(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]
            return [each["path"] for each in await found.collect_async()]
        except FileNotFoundError:
            return []
        except (BaseError, OSError) as error:
            raise BlobError(f"{prefix} cannot be listed: {_line(error)}") from None


def open_store(kind: Callable[[str], T], url: str, setting: str) -> T:
    """A store at the URL that a setting gives. Raises SettingsError, which names its variable, if it cannot be opened."""
    try:
        return kind(url)
    except Exception as error:  # noqa: BLE001 - a folder's, or one of those of the bucket's library
        raise SettingsError(f"{variable(setting)} cannot be opened: {type(error).__name__}") from None


class DigestStore:
    """Bytes under their own digest."""

    def __init__(self, url: str) -> None:
        self._blobs = BlobStore(url)

    async def put(self, data: bytes) -> str:
        """Stores the bytes and returns their digest. Raises BlobError."""
        digest = hashlib.sha256(data).hexdigest()
        await self._blobs.put_new(_key(digest), data)
        return digest

    async def get(self, digest: str) -> bytes:
        """Raises BlobError, also for bytes that were altered."""
        found = await self._blobs.get(_key(digest))
        if hashlib.sha256(found).hexdigest() != digest:
            raise BlobError(f"{_key(digest)}: altered")
        return found

    async def remove(self, digest: str) -> None:
        """Removes them, if they are there. Raises BlobError."""
        await self._blobs.remove(_key(digest))


def _key(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
