"""Copies a database as of one moment while others write to it, and puts such a copy back."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import URL, create_engine, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from runtime.manifest import BackupError

_LOCK_SECONDS: Final = 30.0
_FORM: Final = "--format=custom"


def copy_sqlite(source: Path, target: Path) -> None:
    """One moment of SQLite's file; a plain copy of its files would tear it apart. Raises BackupError.

    Only for a process that has no other connection to `source`: by closing the file it would drop their locks.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600)
    try:
        with (
            closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_SECONDS)
            ) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}") from None
    if found != "ok":
        raise BackupError(f"{source} is damaged: {found.splitlines()[0]}")


def dump_postgres(url: str, target: Path) -> None:
    """One moment of a PostgreSQL database, by `pg_dump`. Raises BackupError."""
    _run("pg_dump", url, _FORM, "--no-owner", "--no-privileges", f"--file={target}")
    target.chmod(0o600)


def restore_postgres(url: str, source: Path) -> None:
    """Fills an empty PostgreSQL database, all or nothing, by `pg_restore`. Raises BackupError."""
    _run("pg_restore", url, "--single-transaction", "--no-owner", "--no-privileges", str(source))


def is_empty(url: str) -> bool:
    """Whether a PostgreSQL database has no table. Raises BackupError if it cannot be reached."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), hide_parameters=True)
    try:
        return not inspect(engine).get_table_names()
    except SQLAlchemyError as error:
        raise BackupError(f"the database cannot be reached: {str(error).splitlines()[0]}") from None
    finally:
        engine.dispose()


def _run(program: str, url: str, *options: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"{program} is not on this machine: install PostgreSQL's client programs, or do it as docs/operations.md "
            "says under Back up for a deployment"
        )
    target = make_url(url)
    # Other users of this machine see the command line, so the password does not stand there.
    environment = {**os.environ, **({"PGPASSWORD": str(target.password)} if target.password else {})}
    plain = URL.create("postgresql", target.username, None, target.host, target.port, target.database, target.query)
    command = [found, *options[:-1], f"--dbname={plain.render_as_string()}", options[-1]]
    # The program is PostgreSQL's, and nothing here passes a shell.
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise BackupError(f"{program} failed: {said[0]}")
