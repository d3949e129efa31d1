"""The one language in which the commands for residents and staff speak: that of the environment."""

import os
from collections.abc import Iterable, Mapping

from rich.table import Table

from cli.terminal import make_table
from texts.catalogue import Language, named, say


def language() -> Language:
    """The language of `LC_ALL`, `LC_MESSAGES` or `LANG`, the first that is set: Chinese if it names that, else English."""
    chosen = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "zh" if chosen.lower().startswith("zh") else "en"


def says(key: str, /, **filled: object) -> str:
    """The text of this key in the table `cli` of `texts/`, with the values that it names."""
    return say("cli", key, language(), filled)


def word(of_vocabulary: str) -> str:
    """The name of a word of the vocabulary, or of a command; any other word unchanged."""
    return named(of_vocabulary, language())


def happened(kind: str) -> str:
    """What an event of this kind says."""
    return say("events", kind, language())


def clause_name(clause: str, clauses: Iterable[Mapping[str, str]]) -> str:
    """What a clause is called by the `clauses` of a timeline."""
    return next((each[language()] for each in clauses if each["word"] == clause), clause)


def listed(parts: Iterable[str]) -> str:
    return say("clauses", "between", language()).join(filter(None, parts))


def headed(*keys: str, wraps: dict[str, int | None]) -> Table:
    """A table as of `make_table`, whose columns are named by their keys in the table `cli` of `texts/`."""
    names = {key: says(key) for key in keys}
    return make_table(*names.values(), wraps={names[key]: least for key, least in wraps.items() if key in names})
