"""Backs up a home, running or not, into a folder that `audit.putting_back` makes a home of again.

The order makes the backup consistent: whatever refers to something is copied before it. First the published heads,
which the log in the read model bears out; then the read model, whose gaps the histories fill (the other way round it would
claim what no history bears out); then Temporal's database; then archive and pictures, which only grow but for what is
erased; and the keys of issues at last: none is missing whose texts the backup holds. These are wrapped by the master keys. Keys
that nothing wraps go into a folder of their own, or nowhere.
"""

import contextlib
import importlib.metadata
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from audit.log_keys import FIRST, LogKeys
from db.dump import copy_sqlite, dump_postgres
from domain.wire import format_time, parse_time, truncate
from runtime.files import sync
from runtime.manifest import BackupError, File, Manifest, copy, measure, names, sync_folders
from runtime.settings import Settings, variable
from security.master import MasterFile
from security.namespace import NamespaceFile

READ_MODEL: Final = "jiesu.db"
DUMP: Final = "jiesu.dump"
"""The file of a read model on PostgreSQL."""
TEMPORAL: Final = "temporal.db"
KEYS: Final = "keys"
KEY_STORE: Final = "keys/issues.db"
FOLDERS: Final = ("archive", "attachments", "proofs")
HEADS: Final = "heads"
SEAL: Final = "seal"
PLACES: Final = ("archive", "attachments", "heads", "seal_keys", "signing_keys", "namespace_keys", "master_keys",
                 "key_store", "secret")  # fmt: skip
"""Settings that name, or are, what would otherwise lie in the home."""
_FILES: Final = ("retention", "policies", "calendars", "webhooks")
"""Settings that name an operator's own files."""
_NOT_KEYS: Final = ("issues.db", "issues.db-wal", "issues.db-shm", "issues.db-journal", "sms.jsonl")


@dataclass(frozen=True)
class Made:
    """A backup: as of when it is, how many files it has, the variables that name what it does not hold, and the files of
    keys that nothing wraps and that remained in the home alone.
    """

    moment: datetime
    files: int
    elsewhere: Sequence[str]
    keys_left: Sequence[str]


@dataclass
class _Draft:
    folder: Path
    files: dict[str, File] = field(default_factory=dict[str, File])
    moments: dict[str, str] = field(default_factory=dict[str, str])

    def add_folder(self, source: Path, prefix: str, without: Sequence[str] = ()) -> None:
        """Copies what is in a folder, but for what is erased meanwhile, or is being written at this moment."""
        for name in list(names(source)) if source.is_dir() else ():
            # So begin drafts of ours, and so those of the blob store are marked.
            if name in without or Path(name).name.startswith(".") or "#" in name:
                continue
            with contextlib.suppress(FileNotFoundError):
                self.files[prefix + name] = copy(source / name, self.folder / (prefix + name))

    def finish(self, kind: str, began: datetime, settings: Settings, needs: Mapping[str, Sequence[str]]) -> None:
        times = format_time(began), format_time(truncate(datetime.now(UTC)))
        release = importlib.metadata.version("jiesu")
        Manifest(kind, release, *times, self.moments, elsewhere(settings), needs, self.files).write(self.folder)


def back_up(settings: Settings, target: Path, keys: Path | None = None) -> Made:
    """Writes the backup into the new folder `target`, and the keys that nothing wraps into the new folder `keys`. Blocks.

    Neither folder appears before it is complete. Raises BackupError, OSError, MasterError, NamespaceError, LogKeysError.
    """
    home = settings.home
    _check(settings, home, target, keys)
    began = truncate(datetime.now(UTC))
    with draft_of(target) as folder:
        draft = _Draft(folder)
        draft.add_folder(home / HEADS, f"{HEADS}/")
        _read_model(draft, settings)
        _database(draft, home, TEMPORAL)
        for name in FOLDERS:
            draft.add_folder(home / name, f"{name}/")
        if (home / KEY_STORE).exists():
            _database(draft, home, KEY_STORE)
        needs = _needs(settings, draft)
        draft.finish("home", began, settings, needs)
        if keys is not None:
            with draft_of(keys) as own_folder:
                own = _Draft(own_folder)
                own.add_folder(home / KEYS, "", _NOT_KEYS)
                check_keys(needs, own_folder)
                own.finish("keys", began, settings, {})
    left = [f"{KEYS}/{name}" for name in needs] if keys is None else []
    return Made(parse_time(draft.moments[TEMPORAL]), len(draft.files), elsewhere(settings), left)


def elsewhere(settings: Settings) -> list[str]:
    """The variables that name what belongs to the installation and does not lie in the home."""
    return [variable(name) for name in (*PLACES, *_FILES) if getattr(settings, name)]


def _check(settings: Settings, home: Path, target: Path, keys: Path | None) -> None:
    if not settings.embedded_temporal:
        raise BackupError(
            f"Temporal runs elsewhere ({variable('temporal_address')}), so its database is not in this home: back up as "
            "docs/operations.md says for a deployment"
        )
    for name in (TEMPORAL, *((READ_MODEL,) if settings.embedded_database else ())):
        if not (home / name).is_file():
            raise BackupError(f"{home} is no home: it has no {name}")
    if settings.embedded_database and settings.database_url.get_secret_value():
        raise BackupError(
            f"{variable('database_url')} names a file of SQLite outside of the home: unset it, or copy it by hand"
        )
    for folder in filter(None, (target, keys)):
        if folder.exists():
            raise BackupError(f"{folder} exists already: name a new folder")
        if folder.is_relative_to(home):
            raise BackupError(f"{folder} lies in the home: name a folder outside of it")
    if keys is not None and keys.is_relative_to(target):
        raise BackupError(f"{keys} lies in the backup, which would open by itself: name a folder elsewhere")


@contextlib.contextmanager
def draft_of(target: Path) -> Generator[Path]:
    """A context with a hidden folder beside `target`: renamed to it at the end, removed if anything fails."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        sync_folders(folder)
        folder.rename(target)  # onto an empty folder at most
        sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _database(draft: _Draft, home: Path, name: str) -> None:
    draft.moments[name] = format_time(truncate(datetime.now(UTC)))
    copy_sqlite(home / name, draft.folder / name)
    draft.files[name] = measure(draft.folder / name)


def _read_model(draft: _Draft, settings: Settings) -> None:
    if settings.embedded_database:
        return _database(draft, settings.home, READ_MODEL)
    draft.moments[DUMP] = format_time(truncate(datetime.now(UTC)))
    dump_postgres(settings.database, draft.folder / DUMP)
    draft.files[DUMP] = measure(draft.folder / DUMP)
    return None


def _needs(settings: Settings, draft: _Draft) -> dict[str, list[str]]:
    """What the keys must be that open this backup: by file the digest, or the ids of keys in it."""
    keys = settings.home / KEYS
    needs = {
        path.name: [measure(path).sha256] for path in (settings.secret_file, settings.signing_root) if path.exists()
    }
    if settings.namespace_keys is None:
        needs[settings.namespace_keys_file.name] = sorted(NamespaceFile(settings.namespace_keys_file).current.keys)
    if settings.master_keys is None:
        needs[settings.master_keys_file.name] = _masters(draft.folder / KEY_STORE)
    if (keys / SEAL / FIRST).exists():
        needs[SEAL] = _log_keys(keys / SEAL)
    return needs


def check_keys(needs: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Raises BackupError, which names the file, if the keys in a folder do not open the backup that `needs` them."""
    for name, wanted in needs.items():
        path = folder / name
        if not path.exists():
            raise BackupError(f"{path} is missing, and this backup needs it")
        if name == SEAL:
            found = _log_keys(path)
        elif path.suffix == ".json":
            kind = NamespaceFile if name.startswith("namespace") else MasterFile
            found = list(kind(path).current.keys)
        else:
            found = [measure(path).sha256]
        if set(wanted) - set(found):
            raise BackupError(f"{path} is of another home, or of another time: it lacks keys that this backup needs")


def _masters(store: Path) -> list[str]:
    """The ids of the master keys that wrap the keys of issues in a copy of the key store."""
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as copied:
        return sorted(row[0] for row in copied.execute("SELECT DISTINCT master FROM issue_keys WHERE wrapped NOT NULL"))


def _log_keys(folder: Path) -> list[str]:
    found = LogKeys.open(folder)
    assert found.signer  # a key that cannot be read would be found out at midnight
    return [str(found.first_vkey), *(str(each.key) for each in found.rotations)]
