"""What an installation needs before and beside its processes: schema, directory, a refilled read model."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from api.temporal import connect
from audit.rebuild import rebuild
from cli.errors import Failure
from db.directory import load_directory, store_directory
from db.engine import Database
from db.upgrade import upgrade
from domain.directory import Directory
from domain.directory_csv import DirectoryError, parse
from domain.wire import truncate
from policies.loader import shipped
from settings import Settings

EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "directory"


async def prepare(settings: Settings) -> None:
    """Schema, and the example directory where none has been imported yet."""
    await asyncio.to_thread(upgrade, settings.database)
    database = Database(settings.database)
    try:
        async with database.read() as session:
            known = await load_directory(session)
        if not known.compounds:
            async with database.write() as session:
                await store_directory(session, read_directory(EXAMPLE), truncate(datetime.now(UTC)))
    finally:
        await database.close()


def read_directory(folder: Path) -> Directory:
    """The directory in a folder's CSV files. Raises Failure with every problem, as ``file:line: reason``."""
    if not folder.is_dir():
        raise Failure(f"{folder} is not a folder")
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}
    try:
        return parse(files, policies=[policy.id for policy in shipped()])
    except DirectoryError as error:
        raise Failure(f"nothing was imported from {folder}\n{error}") from None


async def import_directory(settings: Settings, folder: Path) -> dict[str, int]:
    """Replaces the directory, all or nothing; what it holds now, by kind."""
    directory = read_directory(folder)
    database = Database(settings.database)
    try:
        async with database.write() as session:
            await store_directory(session, directory, truncate(datetime.now(UTC)))
    finally:
        await database.close()
    return {
        "streets": len(directory.streets),
        "communities": len(directory.communities),
        "compounds": len(directory.compounds),
        "operators": len(directory.operators),
        "departments": len(directory.departments),
        "appointments": len(directory.appointments),
        "bindings": len(directory.bindings),
    }


async def rebuild_all(settings: Settings) -> dict[str, Any]:
    """``{issues, differences}`` after refilling the read model from the histories."""
    client = await connect(settings, timeout=10.0)
    if client is None:
        raise Failure(f"no Temporal at {settings.address}")
    database = Database(settings.database)
    try:
        report = await rebuild(client, database, truncate(datetime.now(UTC)))
    finally:
        await database.close()
    return {"issues": report.issues, "differences": report.differences}
