"""Namespace keys: with them the processes of an installation encrypt whatever they give to Temporal (`security.codec`).

A new key is added, promoted once every process knows it, and retired when Temporal has forgotten what it encrypted.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Final, Protocol, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.keyfile import KEY_BYTES, KeyFile, KeySet

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
class NamespaceKeys(KeySet):
    """The keys in the memory of this process.

    `mark` is a secret that the installation keeps for ever. From it and a key derives the key's id, ``<name>.<tag>``: a
    name that fits no other key, so that an id never stands over other bytes than those it was made for, and a tag by
    which a process knows an id as one of ours without having the key.
    """

    NOUN: ClassVar = "namespace"
    ERROR: ClassVar[type[RuntimeError]] = NamespaceError
    SECRETS: ClassVar = ("mark",)

    mark: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        name, keys = cls("", {}, secrets.token_bytes(KEY_BYTES)).added()
        return keys.promoted(name)

    @property
    def current(self) -> Self:
        return self

    def new_key(self) -> tuple[str, bytes]:
        key = secrets.token_bytes(KEY_BYTES)
        return _id(self.mark, key), key

    def check_id(self, name: str, key: bytes) -> None:
        if _id(self.mark, key) != name:
            raise NamespaceError("a key stands under an id that was made for another one, or for another installation")

    def is_ours(self, name: str) -> bool:
        """Whether this id was made by this installation, whether or not its key is here. The answer never changes."""
        if name in self.keys:
            return True
        return bool(_ID.fullmatch(name)) and hmac.compare_digest(_tag(self.mark, name[:_PART]), name[_PART + 1 :])

    @cached_property
    def ciphers(self) -> Mapping[str, AESGCM]:
        """The ciphers by id, made once."""
        return {name: AESGCM(key) for name, key in self.keys.items()}


class NamespaceKeySource(Protocol):
    """Where a process has its namespace keys from."""

    @property
    def current(self) -> NamespaceKeys:
        """Raises NamespaceError."""
        ...


class NamespaceFile(KeyFile[NamespaceKeys]):
    """Namespace keys in a file."""

    kind = NamespaceKeys

    def retire(self, name: str) -> None:
        """Removes a key for good, once Temporal has forgotten all that it encrypted. Raises NamespaceError."""
        self._change(lambda keys: keys.without(name))


def _id(mark: bytes, key: bytes) -> str:
    name = hmac.digest(mark, _NAME + key, "sha256").hex()[:_PART]
    return f"{name}.{_tag(mark, name)}"


def _tag(mark: bytes, name: str) -> str:
    return hmac.digest(mark, _TAG + name.encode(), "sha256").hex()[:_PART]
