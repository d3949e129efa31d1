"""Makes a home of a backup: all of it, or nothing. The home says at its next start what it lost (`audit.restored`)."""

import fcntl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from audit.backup import DUMP, HEADS, KEY_STORE, KEYS, PLACES, READ_MODEL, TEMPORAL, check_keys, draft_of
from audit.held import hold_back
from audit.restored import Restored, leave_word
from db.dump import copy_sqlite, is_empty, restore_postgres
from domain.wire import parse_time
from runtime.home import HomeBusy
from runtime.manifest import BackupError, Manifest
from runtime.settings import Settings, variable
from security.keystore import KeyStore

_BATCH: Final = 500


@dataclass(frozen=True)
class Source:
    """A backup: its folder; that of the keys that open it; and a newer key store, whose erasures are done again."""

    folder: Path
    keys: Path | None = None
    erased: Path | None = None


async def restore_home(settings: Settings, source: Source, now: datetime) -> Restored:
    """Puts the home of these settings together beside its place, then renames it: there must be no home yet.

    Raises BackupError, HomeBusy, OSError, KeyStoreDown, and the errors of keys that cannot be used.
    """
    home = settings.home
    manifest, own = _checked(settings, source)
    with draft_of(home) as folder:
        manifest.take(source.folder, folder)
        if own is not None and source.keys is not None:
            own.take(source.keys, folder / KEYS)
        check_keys(manifest.needs, folder / KEYS)
        again = 0
        if source.erased is not None:
            again = await _erase_again(source.erased, folder / KEY_STORE)
        word = Restored(parse_time(manifest.moments[TEMPORAL]), now, again)
        leave_word(folder, word)
        if settings.heads is None:
            hold_back(folder / HEADS, word.moment)
        if DUMP in manifest.files:
            restore_postgres(settings.database, folder / DUMP)
            (folder / DUMP).unlink()
    return word


def _checked(settings: Settings, source: Source) -> tuple[Manifest, Manifest | None]:
    """The manifests of the backup and of its keys, if it may be restored here. Raises BackupError, HomeBusy."""
    _check_place(settings.home)
    manifest = Manifest.read(source.folder, "home")
    _check_settings(settings, manifest)
    if source.erased is not None and not source.erased.is_file():
        raise BackupError(f"{source.erased} is missing: name the file issues.db of a newer key store")
    return manifest, _keys_of(source, manifest)


def _check_place(home: Path) -> None:
    lock = home / "run" / "up.lock"
    if lock.exists():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HomeBusy(f"Jiesu runs on {home} (process {file.read().strip() or 'unknown'})") from None
    if home.exists() and (found := next(home.iterdir(), None)) is not None:
        raise BackupError(f"{home} holds {found.name}: a home is restored into an empty or a new folder only")


def _check_settings(settings: Settings, manifest: Manifest) -> None:
    if not settings.embedded_temporal:
        raise BackupError(
            f"unset {variable('temporal_address')}: the backup holds the database of a home's own Temporal"
        )
    if READ_MODEL in manifest.files and not settings.embedded_database:
        raise BackupError(f"unset {variable('database_url')}: the backup holds a database of SQLite")
    if DUMP in manifest.files and settings.embedded_database:
        raise BackupError(f"name an empty database in {variable('database_url')}: the backup holds one of PostgreSQL")
    if DUMP in manifest.files and not is_empty(settings.database):
        raise BackupError(f"the database of {variable('database_url')} has tables: name an empty one")
    for name in PLACES:
        said = variable(name)
        if (said in manifest.elsewhere) != bool(getattr(settings, name)):
            how = "set" if said in manifest.elsewhere else "unset"
            raise BackupError(f"{how} {said}, as where the backup was made")


def _keys_of(source: Source, manifest: Manifest) -> Manifest | None:
    if source.keys is not None:
        return Manifest.read(source.keys, "keys")
    if manifest.needs:
        raise BackupError(f"{source.folder} holds no key that opens it: name the folder of its keys by --keys")
    return None


async def _erase_again(newer: Path, restored: Path) -> int:
    """Destroys in the restored key store what was destroyed in a newer one, and asks for what is asked for there.

    Returns how many of both it did not know.
    """
    copied = restored.with_name("erased.db")
    copy_sqlite(newer, copied)
    there, here = KeyStore(f"sqlite:///{copied}"), KeyStore(f"sqlite:///{restored}")
    count = 0
    try:
        await there.prepare()  # that of an older release may lack tables
        await here.prepare()
        after = ""
        while page := await there.tombstones(after, _BATCH):
            gone = await here.destroyed([each.issue for each in page])
            for each in page:
                if each.issue not in gone:
                    count += await here.destroy(each.issue, each.why, each.at)
            after = page[-1].issue
        after, known = "", {each.issue for each in await here.requested_erasures("", 1_000_000)}
        while page := await there.requested_erasures(after, _BATCH):
            await here.request_erasures(page)
            count += sum(each.issue not in known for each in page)
            after = page[-1].issue
    finally:
        await there.close()
        await here.close()
        for path in copied.parent.glob(f"{copied.name}*"):
            path.unlink()
    return count
