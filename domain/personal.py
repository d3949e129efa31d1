"""Personal data in the domain: encrypted under a key that the rules do not hold, so that it can be erased.

`domain.wire.PERSONAL` marks the fields. Sealed texts pass unchanged through fold, history and archive; destroying
their key erases them everywhere at once.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Final, Self, TypeVar, cast

from domain.wire import Text

T = TypeVar("T")
_SEALED: Final = re.compile(r"sealed:([0-9A-Za-z_-]{1,64}):([0-9A-Za-z_-]{1,24000})")


@dataclass(frozen=True)
class Sealed(Text):
    """A text encrypted under the key with id `key`; `text` is the ciphertext in base64url, without padding."""

    MARK: ClassVar[str] = "sealed:"

    key: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _SEALED.fullmatch(text)
        if found is None:
            raise ValueError("not a sealed text")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.MARK}{self.key}:{self.text}"


Personal = Sealed | str
"""A text that may hold personal data: sealed, or plain before the API seals it, or empty."""


def is_sealed(value: object) -> bool:
    """Whether any field of the dataclass holds a sealed text."""
    return any(isinstance(part, Sealed) for part in vars(value).values())


Change = Callable[[str, Personal], Personal]
"""Replaces a text: takes the path of its field, such as ``steps.0.title``, and the text, and gives the new text."""


def change_personal(value: T, change: Change) -> T:
    """The dataclass with `change` applied to each of its personal texts, empty ones too."""
    return cast("T", _changed(value, "", change, personal=False))


def _changed(value: Any, path: str, change: Change, *, personal: bool) -> Any:
    if isinstance(value, (str, Sealed)):
        return change(path, value) if personal else value
    if isinstance(value, tuple):
        items = cast("tuple[Any, ...]", value)
        return tuple(_changed(each, f"{path}.{n}", change, personal=personal) for n, each in enumerate(items))
    if not is_dataclass(value) or isinstance(value, (type, Text)):
        return value
    parts: dict[str, Any] = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        where = f"{path}.{field.name}" if path else field.name
        marked = personal or field.metadata.get("personal") is True
        parts[field.name] = _changed(inner, where, change, personal=marked)
    if all(part is getattr(value, name) for name, part in parts.items()):
        return value
    return type(value)(**parts)
