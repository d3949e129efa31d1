"""Namespace keys: with them the processes of an installation encrypt whatever they give to Temporal (`security.codec`).

A new key is added, promoted once every process knows it, and retired when Temporal has forgotten what it encrypted.
"""

import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keyfile import KeyFile, make_missing
from security.master import KEY_BYTES

_NAME: Final = b"jiesu/1/namespace name"
_TAG: Final = b"jiesu/1/namespace tag"
_PART: Final = 32
"""Hex digits of a name, and of its tag: 128 bits each."""
_ID: Final = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}")
"""Only what has this form to the letter: a variant of a known id must not pass for another one of ours."""


class NamespaceError(RuntimeError):
    """The namespace keys cannot be used; the message never shows a key."""


class UnknownKey(NamespaceError):
    """Something was encrypted with a key of this installation that this process does not hold. Later it may."""


@dataclass(frozen=True)
class NamespaceKeys:
    """The keys in the memory of this process, as JSON in the environment or a file gives them: `parse`.

    `mark` is a secret that the installation keeps for ever. From it and a key derives the key's id, ``<name>.<tag>``: a
    name that fits no other key, so that an id never stands over other bytes than those it was made for, and a tag by
    which a process knows an id as one of ours without having the key.
    """

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)
    mark: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Keys that nobody else has."""
        mark, key = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
        name = _id(mark, key)
        return cls(name, {name: key}, mark)

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The inverse of `dump`. Raises NamespaceError."""
        try:
            plain = cast("dict[str, Any]", json.loads(text))
            primary, mark = plain["primary"], _key(plain["mark"])
            keys = {name: _key(key) for name, key in dict(plain["keys"]).items()}
            found = primary in keys
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not chained: the original shows what it could not read.
            form = '{"primary": <id>, "mark": <32 bytes in base64>, "keys": {<id>: <32 bytes in base64>}}'
            raise NamespaceError(f"not {form}") from None
        if not found:
            raise NamespaceError("the primary key is not among the keys")
        if any(_id(mark, key) != name for name, key in keys.items()):
            raise NamespaceError("a key stands under an id that was made for another one, or for another installation")
        return cls(primary, keys, mark)

    @property
    def held(self) -> Self:
        return self

    def dump(self) -> str:
        """The keys in clear, as JSON."""
        keys = {name: base64.b64encode(key).decode() for name, key in self.keys.items()}
        return json.dumps(
            {"primary": self.primary, "mark": base64.b64encode(self.mark).decode(), "keys": keys}, indent=1
        )

    def is_ours(self, name: str) -> bool:
        """Whether this id was made by this installation, whether or not its key is here. The answer never changes."""
        if name in self.keys:
            return True
        return bool(_ID.fullmatch(name)) and hmac.compare_digest(_tag(self.mark, name[:_PART]), name[_PART + 1 :])

    @cached_property
    def ciphers(self) -> Mapping[str, AESGCM]:
        """The ciphers by id, made once."""
        return {name: AESGCM(key) for name, key in self.keys.items()}

    def added(self) -> tuple[str, Self]:
        """A new key's id, and the keys with it; it encrypts nothing yet."""
        key = secrets.token_bytes(KEY_BYTES)
        name = _id(self.mark, key)
        return name, replace(self, keys={**self.keys, name: key})

    def promoted(self, name: str) -> Self:
        """With this key encrypting from now on. Raises NamespaceError where it is not there."""
        self._check(name)
        return replace(self, primary=name)

    def retired(self, name: str) -> Self:
        """Without this key. Raises NamespaceError where it is not there, or still encrypts."""
        self._check(name)
        if name == self.primary:
            raise NamespaceError(f"namespace key {name} is the primary: another is promoted first")
        return replace(self, keys={known: key for known, key in self.keys.items() if known != name})

    def _check(self, name: str) -> None:
        if name not in self.keys:
            raise NamespaceError("there is no namespace key with this id")


class Keyring(Protocol):
    """Where a process has its namespace keys from."""

    @property
    def held(self) -> NamespaceKeys:
        """Those of this moment. Raises NamespaceError."""
        ...


class NamespaceFile(KeyFile[NamespaceKeys]):
    """Namespace keys in a file. Everything raises NamespaceError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, NamespaceKeys.parse, NamespaceError)

    @classmethod
    def made(cls, path: Path) -> Self:
        """The same, with a first key where there is no file."""
        make_missing(path, NamespaceKeys.new)
        return cls(path)

    def add(self) -> str:
        """Adds a key that encrypts nothing yet; its id. Where hosts have copies of the file, it goes to all of them now."""
        name = ""

        def change(keys: NamespaceKeys) -> NamespaceKeys:
            nonlocal name
            name, more = keys.added()
            return more

        self._change(change)
        return name

    def promote(self, name: str) -> None:
        """Lets this key encrypt from now on. Every process has to know it before. Raises NamespaceError."""
        self._change(lambda keys: keys.promoted(name))

    def retire(self, name: str) -> None:
        """Takes a key away for good, once Temporal has forgotten all that it encrypted. Raises NamespaceError."""
        self._change(lambda keys: keys.retired(name))


def _id(mark: bytes, key: bytes) -> str:
    name = hmac.digest(mark, _NAME + key, "sha256").hex()[:_PART]
    return f"{name}.{_tag(mark, name)}"


def _tag(mark: bytes, name: str) -> str:
    return hmac.digest(mark, _TAG + name.encode(), "sha256").hex()[:_PART]


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError
    return key
