"""Line numbers of the keys in a TOML text, since tomllib keeps no positions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

Path = tuple[str | int, ...]
"""Keys, and indexes in arrays of tables, from the root: ``("clause", 2, "limit")``."""

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ASSIGNMENT = re.compile(rf"({_KEY})[ \t]*=")
_PARTS = re.compile(_PART)
_STRING = re.compile(
    r'''
      """ (?: [^\\] | \\. )*? "{3,5}
    | \'{3} .*? \'{3,5}
    | " (?: [^"\\\n] | \\. )* "
    | \' [^\'\n]* \'
    | \# [^\n]*
    ''',
    re.DOTALL | re.VERBOSE,
)
"""Strings (of four kinds) and comments, whose brackets and line ends are skipped."""
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


class Lines:
    """The line of each key of a text that tomllib accepts. A path without a line has the line of its nearest parent."""

    def __init__(self, text: str) -> None:
        self._lines: Mapping[Path, int] = MappingProxyType(dict(_index(text)))

    def of(self, path: Sequence[str | int]) -> int:
        where = tuple(path)
        while where not in self._lines and where:
            where = where[:-1]
        return self._lines.get(where, 1)


def _index(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    counts: dict[Path, int] = {}
    position, line = 0, 1
    while True:
        blank = _BLANK.match(text, position)
        start = blank.end() if blank else position
        line += text.count("\n", position, start)
        header, assignment = _HEADER.match(text, start), _ASSIGNMENT.match(text, start)
        if header:
            table = _enter(_keys(header[2]), header[1] == "[[", counts)
            yield table, line
            end = _end_of_line(text, header.end())
        elif assignment:
            keys = _keys(assignment[1])
            for depth in range(1, len(keys) + 1):
                yield table + keys[:depth], line
            end = _end_of_value(text, assignment.end())
        else:
            return
        line += text.count("\n", start, end)
        position = end


def _enter(keys: Path, appends: bool, counts: dict[Path, int]) -> Path:
    """The path of the table that a header opens; counts each ``[[...]]`` in `counts`.

    Wherever a key of the header names an array of tables, the index of its newest element follows in the path.
    """
    path: Path = ()
    for depth, key in enumerate(keys, start=1):
        path += (key,)
        if appends and depth == len(keys):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path += (counts[path] - 1,)
    return path


def _keys(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PARTS.findall(text))


def _end_of_value(text: str, position: int) -> int:
    """The end of the line on which a value ends; brackets may span lines, and strings may hold brackets."""
    depth = 0
    while position < len(text):
        skipped = _STRING.match(text, position)
        if skipped:
            position = skipped.end()
            continue
        letter = text[position]
        if letter == "\n" and depth == 0:
            return position
        depth += (letter in "[{") - (letter in "]}")
        position += 1
    return position


def _end_of_line(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found
