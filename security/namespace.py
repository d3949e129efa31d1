"""Namespace keys, with which `security.codec` encrypts all payloads that an installation gives to Temporal.

Rotation: a new key is added, and promoted to the primary once every process has it. The old key is retired when
Temporal has deleted all payloads that it encrypted.
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
"""The number of hex digits of a name or a tag, which have 128 bits each."""
_ID: Final = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}")
"""The form of an id. An id in another spelling, such as upper case, must not count as made by this installation."""


class NamespaceError(RuntimeError):
    """The namespace keys are unusable; the message never shows a key."""


class UnknownKey(NamespaceError):
    """A payload was encrypted with a namespace key of this installation that this process does not have yet."""


@dataclass(frozen=True)
class NamespaceKeys(KeySet):
    """Namespace keys in the memory of this process.

    `mark` is a secret that the installation keeps for ever. A key's id is ``<name>.<tag>``. The name is a MAC of the
    key, so an id belongs to one key only. The tag is a MAC of the name, so a process recognises an id that
    this installation made, even without having the key.
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
        """Whether this installation made the key id `name`. The answer never changes; it needs no key."""
        if name in self.keys:
            return True
        return bool(_ID.fullmatch(name)) and hmac.compare_digest(_tag(self.mark, name[:_PART]), name[_PART + 1 :])

    @cached_property
    def ciphers(self) -> Mapping[str, AESGCM]:
        """The cipher of each key, by the id of the key."""
        return {name: AESGCM(key) for name, key in self.keys.items()}


class NamespaceKeySource(Protocol):
    """Gives a process its namespace keys."""

    @property
    def current(self) -> NamespaceKeys:
        """The namespace keys to use now. Raises NamespaceError."""
        ...


class NamespaceFile(KeyFile[NamespaceKeys]):
    """Namespace keys in a key file."""

    kind = NamespaceKeys

    def retire(self, name: str) -> None:
        """Removes a key for good. Raises NamespaceError.

        Call it only when Temporal has deleted all payloads that the key encrypted.
        """
        self._change(lambda keys: keys.without(name))


def _id(mark: bytes, key: bytes) -> str:
    name = hmac.digest(mark, _NAME + key, "sha256").hex()[:_PART]
    return f"{name}.{_tag(mark, name)}"


def _tag(mark: bytes, name: str) -> str:
    return hmac.digest(mark, _TAG + name.encode(), "sha256").hex()[:_PART]
