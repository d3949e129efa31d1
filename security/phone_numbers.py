"""Phone numbers as people type them: one number has one form, and so one pseudonym, however it is spelled."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import phonenumbers

from domain.phone_numbers import mobile

_EXTENSION: Final = re.compile(r"(?:[转轉]接?|分[机機]|ext|[x#,;])[\W_]*(\d{1,8})[\W_]*", re.IGNORECASE)
_SIGNS: Final = re.compile(r"[^\d+]+")


@dataclass(frozen=True)
class Phone:
    """A Chinese mobile number in the form ``+8613800000000``, and the extension behind it, if there is one."""

    number: str
    extension: str = ""


def read(typed: str) -> Phone | None:
    """The Chinese mobile number that was typed: in any width, with any signs, with or without +86; else None.

    A text with other words than those of an extension (转801) is none: it may name somebody else.
    """
    plain = unmarked(unicodedata.normalize("NFKC", typed))
    number, extension = plain, ""
    if (found := _EXTENSION.search(plain)) is not None and found.end() == len(plain):
        number, extension = plain[: found.start()], found[1]
    if any(map(str.isalpha, number)):
        return None
    whole = mobile(_SIGNS.sub("", number)) or _dialled(_SIGNS.sub(" ", number))
    return None if whole is None else Phone(whole, extension)


def _dialled(number: str) -> str | None:
    """The mobile number that is dialled so from China: with 0086, or with the 0 of a trunk call."""
    try:
        parsed = phonenumbers.parse(number, "CN")
    except phonenumbers.NumberParseException:
        return None
    return mobile(f"+{parsed.country_code}{parsed.national_number}")


def unmarked(typed: str) -> str:
    """The text without direction marks and what else is not seen: address books put them around a number that is copied."""
    return "".join(sign for sign in typed if unicodedata.category(sign) != "Cf")


def kept(typed: str) -> str:
    """The form in which a phone is kept: a mobile number as its 11 digits, with its extension as a note behind it.

    Any other one is kept as it was typed, without direction marks.
    """
    if (found := read(typed)) is None:
        return unmarked(typed)
    return found.number.removeprefix("+86") + (f" 转{found.extension}" if found.extension else "")
