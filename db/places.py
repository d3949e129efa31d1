"""The tables of the directory, one per file of which it is imported; `position` keeps the order of the file."""

from datetime import date, datetime

from sqlalchemy import Date, Integer
from sqlalchemy.orm import Mapped, mapped_column

from db.tables import Base


class StreetRow(Base):
    __tablename__ = "streets"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    division_code: Mapped[str]


class CommunityRow(Base):
    __tablename__ = "communities"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    street: Mapped[str]
    division_code: Mapped[str]


class GridRow(Base):
    __tablename__ = "grids"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str]
    name: Mapped[str]
    community: Mapped[str]


class CompoundRow(Base):
    __tablename__ = "compounds"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    community: Mapped[str]
    grid: Mapped[str]
    buildings: Mapped[int | None]


class OperatorRow(Base):
    __tablename__ = "operators"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]


class DepartmentRow(Base):
    __tablename__ = "departments"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    street: Mapped[str]


class ContractRow(Base):
    __tablename__ = "contracts"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    operator: Mapped[str]
    compound: Mapped[str]
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date)


class AppointmentRow(Base):
    __tablename__ = "appointments"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    person: Mapped[str]  # personal
    role: Mapped[str]
    org: Mapped[str]
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date)


class BindingRow(Base):
    __tablename__ = "bindings"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[str]
    category: Mapped[str]
    policy: Mapped[str]
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date)


class DirectoryVersion(Base):
    """One row: which import is in force, so that caches can tell whether theirs is."""

    __tablename__ = "directory_version"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int]
    digest: Mapped[str]
    imported_at: Mapped[datetime]
