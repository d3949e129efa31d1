"""Copies a home of `jiesu up`, running or not, so that the copy can be restored: `backup_home.py HOME NEW_FOLDER`.

The read model is copied before Temporal's database: whatever the copy of the read model lacks is then in the
histories, from which `jiesu rebuild` refills it. The other way round it would claim what no history bears out. What the
log lacks is in the archive, from which `jiesu audit restore` refills it. The keys of issues come after both: none is
missing whose texts the copy holds.
"""
# ruff: noqa: INP001 - it is run by its path, with any Python, and never imported

import shutil
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

DATABASES = ("jiesu.db", "temporal.db")
KEY_STORE = "keys/issues.db"
FOLDERS = ("keys", "attachments", "archive", "heads")


def copy_database(source: Path, target: Path) -> None:
    """One moment of a database that may be written to meanwhile; a plain copy of its files would tear it apart."""
    target.touch(mode=0o600)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it


def copy_if_there(source: str, target: str) -> None:
    """A picture may be erased meanwhile."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: backup_home.py HOME NEW_FOLDER")
    home, target = (Path(each).resolve() for each in sys.argv[1:])
    if missing := [name for name in DATABASES if not (home / name).is_file()]:
        sys.exit(f"{home} is no home: it has no {missing[0]}")
    try:
        target.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        sys.exit(f"{target} exists already: name a new folder")
    for name in DATABASES:
        copy_database(home / name, target / name)
    # They only grow, but for what is erased, so what is copied last lacks nothing that the databases know of.
    for name in FOLDERS:
        if (home / name).is_dir():
            ignored = shutil.ignore_patterns(".*", "issues.db*")
            shutil.copytree(home / name, target / name, copy_function=copy_if_there, ignore=ignored)
    if (home / KEY_STORE).is_file():
        copy_database(home / KEY_STORE, target / KEY_STORE)
    sys.stdout.write(f"{home} is copied to {target}\n")


if __name__ == "__main__":
    main()
