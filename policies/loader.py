"""Reads a policy pack from TOML, or reports everything that is wrong with it by file, line and reason."""

import re
import tomllib
import types
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

from domain.policy import Clause, PlanRule, Policy, Progress, Top
from domain.vocabulary import Level
from domain.wire import Text, WireError, load
from policies import checks
from policies.lines import Lines

SHIPPED: Final = Path(__file__).parent
_MOST: Final = 2**63 - 1

T = TypeVar("T")
Where = tuple[str | int, ...]
Table = dict[str, Any]


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in a pack; `file` is empty if no pack has the requested id."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.file else self.reason


class PolicyError(ValueError):
    """A pack is invalid; `problems` lists all its faults."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def load_text(text: str, file: str) -> Policy:
    """The policy in `text`; `file` is its name in messages. Raises PolicyError."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([_syntax(error, text, file)]) from error
    except (ValueError, RecursionError) as error:  # an int of too many digits, or too deep a nesting
        raise PolicyError([Problem(file, 1, "not TOML that can be read")]) from error
    lines = Lines(text)
    if beyond := [Problem(file, lines.of(where), "a whole number beyond 64 bits") for where in _beyond(plain)]:
        raise PolicyError(beyond)
    reader = _Reader(file, plain, lines)
    policy = reader.record(Policy, plain, ())
    if policy is None or reader.problems:
        raise PolicyError(reader.problems)
    return policy


def load_file(path: Path) -> Policy:
    """The policy in the file at `path`. Raises PolicyError."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise PolicyError([Problem(str(path), 1, f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([Problem(str(path), 1, "is not text in UTF-8")]) from error
    return load_text(text, str(path))


def load_pack(policy_id: str) -> Policy:
    """The shipped pack with this id. Raises PolicyError."""
    path = SHIPPED / f"{policy_id}.toml"
    if not checks.is_policy_id(policy_id) or not path.is_file():
        known = ", ".join(pack.stem for pack in _packs())
        raise PolicyError([Problem("", 0, f"no policy {policy_id!r}; there are {known}")])
    policy = load_file(path)
    if policy.id != policy_id:
        raise PolicyError([Problem(str(path), 1, f"id: {policy.id!r} does not fit the file's name")])
    return policy


def shipped() -> tuple[Policy, ...]:
    """Every shipped pack, in order of ids."""
    return tuple(load_pack(path.stem) for path in _packs())


def _packs() -> list[Path]:
    return sorted(SHIPPED.glob("*.toml"))


def _beyond(plain: Table) -> Iterator[Where]:
    """Paths of integers beyond 64 bits, which TOML need not support and which Python may refuse to print."""
    left: list[tuple[Where, object]] = [((), plain)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            left += [((*where, key), each) for key, each in cast("Table", value).items()]
        elif isinstance(value, list):
            left += [((*where, index), each) for index, each in enumerate(cast("list[object]", value))]
        elif isinstance(value, int) and not -_MOST - 1 <= value <= _MOST:
            yield where


def _syntax(error: tomllib.TOMLDecodeError, text: str, file: str) -> Problem:
    """The parser's error as a problem with a line.

    The line stands only in the error's text: "... (at line 3, column 5)", or "end of document".
    """
    message, _, place = str(error).rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    line = int(found[1]) if found else max(text.rstrip("\n").count("\n") + 1, 1)
    return Problem(file, line, f"not TOML: {message[:1].lower()}{message[1:]}")


class _Found(Protocol):
    def __call__(self, value: Any, /) -> Iterator[checks.Found]: ...


_RECORDS: Final[dict[type, _Found]] = {
    Clause: checks.of_clause,
    PlanRule: checks.of_plan,
    Progress: checks.of_progress,
    Top: checks.of_top,
}


class _Reader:
    """Reads tables by the schema of the domain's dataclasses, and collects all problems."""

    def __init__(self, file: str, plain: Table, lines: Lines) -> None:
        self._file = file
        self._plain = plain
        self._lines = lines
        self.problems: list[Problem] = []

    def record(self, kind: type[T], plain: object, where: Where) -> T | None:
        """The table as an instance of the dataclass `kind`; None if anything in it is wrong."""
        if not isinstance(plain, dict):
            self._say(where, f"expected a table, got {plain!r}")
            return None
        table, known = cast("Table", plain), fields(cast("Any", kind))
        before = len(self.problems)
        self._unknown(table, [field.name for field in known], where)
        hints, values = get_type_hints(kind), dict[str, Any]()
        for field in known:
            optional = field.default is not MISSING or field.default_factory is not MISSING
            if field.name in table:
                values[field.name] = self._field(kind, field.name, hints[field.name], table[field.name], where)
            elif not optional or (kind, field.name) in checks.REQUIRED:
                self._say((*where, field.name), "is missing")
        if len(self.problems) > before:
            return None
        value = kind(**values)
        for below, reason in _RECORDS[kind](value) if kind in _RECORDS else ():
            self._say((*where, *below), reason)
        return value

    def _unknown(self, table: Table, known: list[str], where: Where) -> None:
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                self._say((*where, key), "unknown key" + (f"; did you mean {near[0]}?" if near else ""))

    def _field(self, kind: type, name: str, hint: Any, plain: Any, where: Where) -> Any:
        where, hint = (*where, name), _present(hint)
        if kind is Policy and name == "clause":
            return self._clauses(plain, where)
        if is_dataclass(hint) and not issubclass(cast("type", hint), Text):
            return self.record(cast("type[Any]", hint), plain, where)
        if (kind, name) == (Clause, "climb") and isinstance(plain, str):
            plain = [plain]
        try:
            value = _load(hint, plain)
        except WireError as error:
            self._say(where, str(error))
            return None
        for reason in checks.FIELDS[kind, name](value) if (kind, name) in checks.FIELDS else ():
            self._say(where, reason)
        return value

    def _clauses(self, plain: Any, where: Where) -> tuple[Clause, ...]:
        if not isinstance(plain, list) or not plain:
            self._say(where, "expected at least one [[clause]]")
            return ()
        tables = cast("list[object]", plain)
        sound: list[tuple[int, Clause]] = []
        for index, table in enumerate(tables):
            clause = self.record(Clause, table, (*where, index))
            if clause is not None:
                sound.append((index, clause))
        self._twice(tables, where)
        ladder = self._ladder()
        for found in (*(checks.of_ladder(sound, ladder) if ladder else ()), *checks.of_reach(sound)):
            self._say(*found)
        return tuple(clause for _, clause in sound)

    def _ladder(self) -> tuple[Level, ...]:
        """The pack's ladder; empty if the ladder is invalid, so that clauses are not reported for its mistake."""
        try:
            ladder: tuple[Level, ...] = _load(get_type_hints(Policy)["ladder"], self._plain.get("ladder"))
        except WireError:
            return ()
        return () if any(checks.FIELDS[Policy, "ladder"](ladder)) else ladder

    def _twice(self, tables: list[object], where: Where) -> None:
        seen: set[object] = set()
        for index, table in enumerate(tables):
            name = cast("Table", table).get("id") if isinstance(table, dict) else None
            if isinstance(name, str) and name in seen:
                self._say((*where, index, "id"), f"{name!r} is there already")
            seen.add(name if isinstance(name, str) else None)

    def _say(self, where: Where, reason: str) -> None:
        colon = "" if reason.startswith("[") else ": "  # "[2]: ..." is about one item of a list
        self.problems.append(Problem(self._file, self._lines.of(where), f"{self._name(where)}{colon}{reason}"))

    def _name(self, where: Where) -> str:
        """The name of a path in messages: ``silence.within``; inside a clause ``clause arrive: limit``."""
        match where:
            case ("clause", int(index), *rest):
                table = self._plain["clause"][index]
                name = cast("Table", table).get("id") if isinstance(table, dict) else None
                head = f"clause {name}" if isinstance(name, str) and name else f"clause {index + 1}"
                return ": ".join([head, *map(str, rest)])
            case _:
                return ".".join(map(str, where))


def _present(hint: Any) -> Any:
    """The hint without None: TOML has no null."""
    if get_origin(hint) is types.UnionType:
        return next(arg for arg in get_args(hint) if arg is not types.NoneType)
    return hint


def _load(hint: Any, plain: Any) -> Any:
    """`domain.wire.load` for one field, with errors that do not name the Python type."""
    try:
        return load(hint, plain)
    except WireError as error:
        raise WireError(str(error).removeprefix(hint.__name__).removeprefix(": ")) from error
