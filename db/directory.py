"""Stores an imported directory, and loads it as the value that the rules use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import places
from db.tables import Base
from db.upsert import upsert
from domain.directory import (
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
)
from domain.wire import digest, dump

_TABLES: Final[Mapping[str, tuple[type[Base], type[Any]]]] = {
    "streets": (places.StreetRow, Street),
    "communities": (places.CommunityRow, Community),
    "grids": (places.GridRow, Grid),
    "compounds": (places.CompoundRow, Compound),
    "buildings": (places.BuildingRow, Building),
    "operators": (places.OperatorRow, Operator),
    "departments": (places.DepartmentRow, Department),
    "contracts": (places.ContractRow, Contract),
    "appointments": (places.AppointmentRow, Appointment),
    "bindings": (places.BindingRow, Binding),
}
"""Part of the directory -> the table of the part, and the class of one item."""
_THE_ONE: Final = 1


@dataclass(frozen=True)
class Version:
    """The directory import in force. `number` counts the imports that changed something, up to this one."""

    number: int
    digest: str
    imported_at: datetime


async def version(session: AsyncSession) -> Version | None:
    """The directory import in force; None before the first import."""
    row = await session.get(places.DirectoryVersion, _THE_ONE, populate_existing=True)
    return None if row is None else Version(row.version, row.digest, row.imported_at)


async def locked(session: AsyncSession) -> None:
    """Waits until no other transaction changes the directory, which SQLite does by itself."""
    await session.execute(select(places.DirectoryVersion.id).with_for_update())


async def store_directory(session: AsyncSession, directory: Directory, now: datetime) -> Version:
    """Replaces the stored directory. If the new directory equals the stored one, only the time of import changes."""
    before = await version(session)
    found = digest(dump(directory))
    same = before is not None and before.digest == found
    number = (before.number if before else 0) + (0 if same else 1)
    if not same:
        for part, (table, _) in _TABLES.items():
            await session.execute(delete(table))
            rows = [_row(item, position) for position, item in enumerate(getattr(directory, part))]
            if rows:
                await session.execute(insert(table), rows)
    values = {"id": _THE_ONE, "version": number, "digest": found, "imported_at": now}
    await session.run_sync(upsert, places.DirectoryVersion, [values])
    return Version(number, found, now)


async def load_directory(session: AsyncSession) -> Directory:
    """The directory in force; an empty one before the first import."""
    return Directory(**{part: await _part(session, *kinds) for part, kinds in _TABLES.items()})


async def _part(session: AsyncSession, table: type[Base], kind: type[Any]) -> tuple[Any, ...]:
    names = [each.key for each in inspect(table).column_attrs]
    query = select(*(getattr(table, name) for name in names)).order_by(table.__table__.c.position)
    return tuple(_item(kind, dict(zip(names, row, strict=True))) for row in (await session.execute(query)).all())


def _row(item: Any, position: int) -> dict[str, Any]:
    """The columns of one item: its fields, with a period as two columns."""
    values: dict[str, Any] = {"position": position, **vars(item)}
    period: Period | None = values.pop("period", None)
    return values if period is None else values | {"starts_on": period.start, "ends_on": period.end}


def _item(kind: type[Any], values: dict[str, Any]) -> Any:
    del values["position"]
    if "starts_on" in values:
        values["period"] = Period(values.pop("starts_on"), values.pop("ends_on"))
    return kind(**values)
