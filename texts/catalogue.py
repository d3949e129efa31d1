"""Texts by key, in Chinese and in English, with what they name filled in."""

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, get_args

from texts.vocabulary import CHINESE, ENGLISH

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


def say(table: str, key: str, language: Language, named: Mapping[str, Any] | None = None) -> str:
    """The text of this key in a table of ``texts/zh.toml`` or ``texts/en.toml``, with the values that it names.

    The key itself if there is no such text: a history may hold keys of another version.
    """
    template = tables(language)[table].get(key)
    return key if template is None else _Filled(language).vformat(template, (), named or {})


@dataclass(frozen=True)
class Told:
    """A text by table and key, with what it names, to be told in any language; a text may name another one."""

    table: str
    key: str
    named: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def told(self, language: Language) -> str:
        return say(self.table, self.key, language, self.named)

    def __str__(self) -> str:
        return self.told("en")


class Wrong(ValueError):
    """What is wrong with a value that somebody gave: a code of the table `faults`, and what its text names."""

    def __init__(self, code: str, /, **named: object) -> None:
        self.text: Final = Told("faults", code, named)
        super().__init__(str(self.text))


def named(word: str, language: Language) -> str:
    """The name of a word of the vocabulary, or of a command; any other word unchanged."""
    return CHINESE.get(word, word) if language == "zh" else ENGLISH.get(word) or word.replace("_", " ")


def preferred(accepted: str, otherwise: Language) -> Language:
    """The language of ours that a header `Accept-Language` (RFC 9110) prefers; `otherwise` if it names none."""
    best = 0.0
    found: Language = otherwise
    for each in accepted.lower().split(","):
        tag, _, weight = each.partition(";")
        for language in LANGUAGES:
            if tag.strip().partition("-")[0] == language and (share := _share(weight)) > best:
                best, found = share, language
    return found


@cache
def tables(language: Language) -> Mapping[str, Mapping[str, str]]:
    """All texts in one language: by table, then by key."""
    return tomllib.loads(resources.files("texts").joinpath(f"{language}.toml").read_text("utf-8"))


class _Filled(string.Formatter):
    """Fills in values; ``{name:word}`` is a word of the vocabulary, under its name in the language."""

    def __init__(self, language: Language) -> None:
        self._language: Final[Language] = language

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(key, "?")

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Told):
            return value.told(self._language)
        return named(str(value), self._language) if format_spec == "word" else str(value)


def _share(weight: str) -> float:
    """The quality of ``;q=0.8``: between 0 and 1, 1 if none is said, 0 if it is none."""
    name, _, value = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        share = float(value)
    except ValueError:
        return 0.0
    return share if name.strip() == "q" and 0 <= share <= 1 else 0.0
