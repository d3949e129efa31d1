"""Parses the ten files of the directory, CSV or spreadsheets; reports every mistake by file, line and column."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Generic, Literal, TypeVar, cast

from domain.directory import (
    ANY,
    Appointment,
    Binding,
    Building,
    Community,
    Compound,
    Contract,
    Department,
    Directory,
    Grid,
    Operator,
    Period,
    Street,
    role_fits,
)
from domain.directory_sheets import (
    COLUMNS,
    FURTHER,
    ORGS,
    PLACES,
    YES,
    Cells,
    Encoding,
    Problem,
    Row,
    Table,
    concealed,
    day,
    read,
    shown,
)
from domain.phone_numbers import mobile
from domain.vocabulary import Category, OperatorKind, Role

T = TypeVar("T")

FILES: Final = tuple(f"{name}.csv" for name in COLUMNS)
"""The names of the ten files that make up a directory; each may be a spreadsheet instead, ``.xlsx``."""
MOST_BUILDINGS: Final = 500
"""How many buildings one compound may have."""


class DirectoryError(ValueError):
    """The files hold mistakes: all of them are in `problems`, by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class _Item(Generic[T]):
    """A valid row as a value, with its line."""

    line: int
    value: T


_Sheets = Mapping[str, tuple[Row, ...]]
"""Rows of the files that could be read completely. References to codes of the other files are not checked."""


def parse(
    files: Mapping[str, str | bytes | Table], policies: Collection[str] | None = None, encoding: Encoding = "utf-8"
) -> Directory:
    """Parses the files (name -> content) as a directory. Raises DirectoryError with all mistakes.

    With `policies`, the ids of the existing packs, a binding to another policy is a mistake too. `encoding` is that of
    files in bytes. Files whose name ends neither in ``.csv`` nor in ``.xlsx`` are ignored.
    """
    problems = [*_wrong_set(files)]
    sheets: dict[str, tuple[Row, ...]] = {}
    for name in COLUMNS:
        content = files.get(f"{name}.csv", files.get(f"{name}.xlsx"))
        if content is not None:
            rows, broken = read(name, content, encoding)
            problems += (Problem(f"{name}.csv", row.line, reason) for row in rows for reason in row.problems)
            if broken:
                problems.append(broken)
            else:
                sheets[name] = rows
    directory, between = _assemble(sheets, {name: _given(f"{name}.csv", files) for name in COLUMNS}, policies)
    problems += between
    if problems:
        rank = {file: place for place, file in enumerate(FILES)}
        problems.sort(key=lambda each: (rank.get(each.file, len(rank)), each.line or 0))
        raise DirectoryError(replace(each, file=_given(each.file, files)) for each in problems)
    return directory


def _wrong_set(files: Mapping[str, str | bytes | Table]) -> Iterator[Problem]:
    for file in FILES:
        if _given(file, files) not in files and file.removesuffix(".csv") not in FURTHER:
            yield Problem(file, None, "the file is missing")
        elif file in files and _spreadsheet(file) in files:
            yield Problem(file, None, f"is there twice: {_spreadsheet(file)} as well")
    known = {*FILES, *map(_spreadsheet, FILES)}
    for file in sorted(files):
        if file not in known and file.lower().endswith((".csv", ".xlsx")):
            yield Problem(file, None, f"unknown file; a directory is made of {', '.join(FILES)}")


def _spreadsheet(file: str) -> str:
    return f"{file.removesuffix('.csv')}.xlsx"


def _given(file: str, files: Mapping[str, str | bytes | Table]) -> str:
    """The name under which this of the ten files was given."""
    return _spreadsheet(file) if file not in files and _spreadsheet(file) in files else file


def _assemble(
    sheets: _Sheets, names: Mapping[str, str], policies: Collection[str] | None
) -> tuple[Directory, list[Problem]]:
    """The directory of all rows that are valid by themselves, and the mistakes between rows."""
    compounds = _items(sheets, "compounds", _compound)
    buildings = _items(sheets, "buildings", lambda cells: Building(**cells))
    contracts = _items(
        sheets, "contracts", lambda cells: Contract(cells["operator"], cells["compound"], _period(cells))
    )
    appointments = _items(sheets, "appointments", _appointment)
    bindings = _items(sheets, "bindings", _binding)
    directory = Directory(
        streets=_values(_items(sheets, "streets", lambda cells: Street(**cells))),
        communities=_values(_items(sheets, "communities", lambda cells: Community(**cells))),
        grids=_values(_items(sheets, "grids", lambda cells: Grid(**cells))),
        compounds=_values(compounds),
        buildings=_values(buildings),
        operators=_values(_items(sheets, "operators", _operator)),
        departments=_values(_items(sheets, "departments", lambda cells: Department(**cells))),
        contracts=_values(contracts),
        appointments=_values(appointments),
        bindings=_values(bindings),
    )
    return directory, [
        *_duplicates(sheets, names),
        *_unknown(sheets),
        *_misplaced(directory, compounds),
        *_alike(buildings),
        *_misfits(directory, appointments, sheets),
        *_overlaps("contracts", [(i.line, (i.value.compound,), i.value.period) for i in contracts]),
        *_overlaps(
            "appointments",
            [(i.line, (i.value.person, i.value.role, i.value.org), i.value.period) for i in appointments],
        ),
        *_overlaps("bindings", [(i.line, (i.value.place, i.value.category), i.value.period) for i in bindings]),
        *_without_policy(bindings, policies),
    ]


def _items(sheets: _Sheets, name: str, make: Callable[[Cells], T]) -> list[_Item[T]]:
    return [_Item(row.line, make(row.cells)) for row in sheets.get(name, ()) if not row.problems]


def _values(items: Iterable[_Item[T]]) -> tuple[T, ...]:
    return tuple(item.value for item in items)


def _period(cells: Cells) -> Period:
    return Period(day(cells["from"]), day(cells["to"]))


def _compound(cells: Cells) -> Compound:
    buildings = int(cells["buildings"]) if cells["buildings"] else None
    return Compound(cells["code"], cells["name"], cells["community"], cells["grid"], buildings)


def _operator(cells: Cells) -> Operator:
    return Operator(cells["code"], cells["name"], cast("OperatorKind", cells["kind"]), cells.get("duty_phone", ""))


def _appointment(cells: Cells) -> Appointment:
    phone = cells.get("phone", "")
    kept = phone if concealed(phone) else mobile(phone) or ""
    role, is_manager = cast("Role", cells["role"]), cells.get("manager") == YES
    return Appointment(cells["person"], role, cells["org"], _period(cells), kept, cells.get("name", ""), is_manager)


def _binding(cells: Cells) -> Binding:
    return Binding(cells["place"], cast("Category | Literal['*']", cells["category"]), cells["policy"], _period(cells))


def _duplicates(sheets: _Sheets, names: Mapping[str, str]) -> Iterator[Problem]:
    """Mistakes where a code is taken already: among places and among organisations, each code may occur once.

    `names`: the name of the file that each sheet was.
    """
    reported: set[tuple[str, int]] = set()
    for kin in (PLACES, ORGS):
        first: dict[str, tuple[str, int]] = {}
        for name, row in ((each, row) for each in kin for row in sheets.get(each, ())):
            code, here = row.cells["code"], (name, row.line)
            there = first.setdefault(code, here)
            if code and there != here and here not in reported:
                reported.add(here)
                yield Problem(f"{name}.csv", row.line, f"code: {shown(code)} is taken by {names[there[0]]}:{there[1]}")


def _unknown(sheets: _Sheets) -> Iterator[Problem]:
    referring = ((name, column) for name in sheets for column in COLUMNS[name] if column.refers)
    for name, column in referring:
        if any(each not in sheets for each in column.refers):
            continue
        known = {"", ANY, *(row.cells["code"] for each in column.refers for row in sheets[each])}
        for row in sheets[name]:
            cell = row.cells[column.name]
            if cell not in known and column.syntax(cell) is None:
                reason = f"{column.name}: {shown(cell)} is not in {', '.join(column.refers)}"
                yield Problem(f"{name}.csv", row.line, reason)


def _misplaced(directory: Directory, compounds: list[_Item[Compound]]) -> Iterator[Problem]:
    community = {grid.code: grid.community for grid in directory.grids}
    for item in compounds:
        of_grid = community.get(item.value.grid)
        if of_grid is not None and of_grid != item.value.community:
            reason = f"grid: {item.value.grid!r} belongs to {of_grid!r}, the compound to {item.value.community!r}"
            yield Problem("compounds.csv", item.line, reason)


def _alike(buildings: list[_Item[Building]]) -> Iterator[Problem]:
    """Mistakes where a compound has two buildings of one code or one name, or more than it may have."""
    first: dict[tuple[str, str, str], int] = {}
    counts: Counter[str] = Counter()
    for item in buildings:
        compound = item.value.compound
        for column, text in (("code", item.value.code), ("name", item.value.name)):
            if (there := first.setdefault((compound, column, text), item.line)) != item.line:
                reason = f"{column}: {shown(text)} is taken by line {there} for {shown(compound)}"
                yield Problem("buildings.csv", item.line, reason)
        counts[compound] += 1
        if counts[compound] == MOST_BUILDINGS + 1:
            reason = f"compound: {shown(compound)} has more than {MOST_BUILDINGS} buildings"
            yield Problem("buildings.csv", item.line, reason)


def _misfits(directory: Directory, appointments: list[_Item[Appointment]], sheets: _Sheets) -> Iterator[Problem]:
    bearers = Counter(row.cells["code"] for each in ORGS for row in sheets.get(each, ()))
    for item in appointments:
        org = directory.org(item.value.org)
        if org and bearers[org.code] == 1 and not role_fits(item.value.role, org):
            what = f"an operator ({org.kind})" if org.operator else f"a {org.kind}"
            reason = f"role: {item.value.role!r} does not fit {org.code!r}, which is {what}"
            yield Problem("appointments.csv", item.line, reason)


def _overlaps(name: str, rows: Iterable[tuple[int, tuple[str, ...], Period]]) -> Iterator[Problem]:
    """Mistakes where two rows with the same key have overlapping periods."""
    groups: defaultdict[tuple[str, ...], list[tuple[int, Period]]] = defaultdict(list)
    for line, key, period in rows:
        groups[key].append((line, period))
    for key, group in groups.items():
        group.sort(key=lambda each: each[1].start or date.min)
        line, lasting = group[0]
        for other, period in group[1:]:
            if period.overlaps(lasting):
                reason = f"overlaps line {min(line, other)} for {', '.join(map(shown, key))}"
                yield Problem(f"{name}.csv", max(line, other), reason)
            if lasting.end is not None and (period.end is None or period.end > lasting.end):
                line, lasting = other, period


def _without_policy(bindings: list[_Item[Binding]], policies: Collection[str] | None) -> Iterator[Problem]:
    for item in bindings:
        if policies is not None and item.value.policy not in policies:
            yield Problem("bindings.csv", item.line, f"policy: there is no policy {item.value.policy!r}")
