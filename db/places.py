"""The tables of the directory, one per imported file; `position` is the row's place in the file."""

from datetime import date, datetime

from sqlalchemy import Date, Integer, false
from sqlalchemy.orm import Mapped, mapped_column

from db.tables import Base


class _Row:
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, sort_order=-3)


class _Named(_Row):
    code: Mapped[str] = mapped_column(unique=True, sort_order=-2)
    name: Mapped[str] = mapped_column(sort_order=-1)


class _Dated(_Row):
    starts_on: Mapped[date | None] = mapped_column(Date, sort_order=1)
    ends_on: Mapped[date | None] = mapped_column(Date, sort_order=2)


class StreetRow(_Named, Base):
    __tablename__ = "streets"

    division_code: Mapped[str]
    duty_phone: Mapped[str] = mapped_column(server_default="")


class CommunityRow(_Named, Base):
    __tablename__ = "communities"

    street: Mapped[str]
    division_code: Mapped[str]
    duty_phone: Mapped[str] = mapped_column(server_default="")


class GridRow(_Row, Base):
    __tablename__ = "grids"

    code: Mapped[str]
    name: Mapped[str]
    community: Mapped[str]


class CompoundRow(_Named, Base):
    __tablename__ = "compounds"

    community: Mapped[str]
    grid: Mapped[str]
    buildings: Mapped[int | None]


class BuildingRow(_Row, Base):
    __tablename__ = "buildings"

    compound: Mapped[str]
    code: Mapped[str]
    name: Mapped[str]


class OperatorRow(_Named, Base):
    __tablename__ = "operators"

    kind: Mapped[str]
    duty_phone: Mapped[str] = mapped_column(server_default="")


class DepartmentRow(_Named, Base):
    __tablename__ = "departments"

    street: Mapped[str]
    duty_phone: Mapped[str] = mapped_column(server_default="")


class ContractRow(_Dated, Base):
    __tablename__ = "contracts"

    operator: Mapped[str]
    compound: Mapped[str]


class AppointmentRow(_Dated, Base):
    __tablename__ = "appointments"

    person: Mapped[str]  # personal
    role: Mapped[str]
    org: Mapped[str]
    phone: Mapped[str]  # personal: a pseudonym
    name: Mapped[str] = mapped_column(server_default="", sort_order=3)  # personal
    manager: Mapped[bool] = mapped_column(server_default=false(), sort_order=4)


class BindingRow(_Dated, Base):
    __tablename__ = "bindings"

    place: Mapped[str]
    category: Mapped[str]
    policy: Mapped[str]


class DirectoryVersion(Base):
    """The directory import in force, as the table's single row. A cache is fresh while its digest equals this one."""

    __tablename__ = "directory_version"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int]
    digest: Mapped[str]
    imported_at: Mapped[datetime]
