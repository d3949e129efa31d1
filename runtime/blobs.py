"""Sealed pictures by the digest of what lies there, in a folder or a bucket."""

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from runtime.files import sync


class ShelfError(OSError):
    """The object store does not hold or take what it should; the message names the object."""


class Shelf:
    """Sealed pictures by their digest, in a folder or a bucket: ``file:///folder`` or ``s3://bucket/prefix``."""

    def __init__(self, url: str) -> None:
        self._folder = Path(url2pathname(urlsplit(url).path)) if url.startswith("file:") else None
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._store: ObjectStore = from_url(url)

    async def put(self, sealed: bytes) -> str:
        """Stores the bytes; their digest, under which they lie. Raises ShelfError."""
        digest = hashlib.sha256(sealed).hexdigest()
        key = _key(digest)
        try:
            await obstore.put_async(self._store, key, sealed, mode="create")
        except AlreadyExistsError:
            return digest
        except (BaseError, OSError) as error:
            raise ShelfError(f"{key}: {type(error).__name__}") from None
        if self._folder is not None:
            for path in (self._folder / key, (self._folder / key).parent):
                await asyncio.to_thread(sync, path)
        return digest

    async def get(self, digest: str) -> bytes:
        """Raises ShelfError, also for bytes that were altered."""
        key = _key(digest)
        try:
            found = bytes(await (await obstore.get_async(self._store, key)).bytes_async())
        except (BaseError, OSError) as error:
            raise ShelfError(f"{key}: {type(error).__name__}") from None
        if hashlib.sha256(found).hexdigest() != digest:
            raise ShelfError(f"{key}: altered")
        return found

    async def remove(self, digest: str) -> None:
        """Takes it away, if it is there. Raises ShelfError."""
        try:
            await obstore.delete_async(self._store, _key(digest))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise ShelfError(f"{_key(digest)}: {type(error).__name__}") from None


def _key(digest: str) -> str:
    return f"{digest[:2]}/{digest}"
