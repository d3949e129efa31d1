"""A backup that is incomplete, altered, or without its keys is refused by name, and a home is restored whole or not at all."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.backup import back_up
from audit.heads import Destinations, publish
from audit.held import HeldHeadsError, KeptHeadError, adopt, hold_back, release
from audit.log_keys import LogKeys
from audit.rebuild import Rebuilt
from audit.restore_home import Source, restore_home
from audit.restored import Restored, Stock, left_word, lines, raise_alarm
from cli.install import prepare
from db import alarms
from db.dump import is_empty
from db.engine import Database
from db.upgrade import upgrade
from runtime.home import HomeBusy, hold_home
from runtime.manifest import NAME, BackupError, Manifest
from runtime.settings import Settings
from security.keystore import KeyStore
from security.opening import open_keys, open_masters
from support.postgres import fresh_database, shared_server
from support.stories import Story, store

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TEXT = b"a history"


class Home:
    """A prepared home with an issue, and its backup with its keys."""

    def __init__(self, folder: Path, **chosen: str) -> None:
        self.settings = Settings(home=folder / "home", **chosen)  # pyright: ignore[reportArgumentType]
        self.backup, self.keys = folder / "backup", folder / "keys"
        self.issue = asyncio.run(self._fill())

    async def _fill(self) -> str:
        home = self.settings.home
        home.mkdir(parents=True)
        if not self.settings.embedded_database:
            await asyncio.to_thread(upgrade, self.settings.database)
        await prepare(self.settings)
        with closing(sqlite3.connect(home / "temporal.db")) as temporal:
            temporal.execute("CREATE TABLE executions (id)")
            temporal.commit()
        for name in ("archive/issues/00/a/0-run.zst", "attachments/ab/abcd", "heads/3-20261124T160500Z.html"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(TEXT)
        (home / "keys" / "sms.jsonl").write_text('{"phone": "+8613800138000"}')
        story, database, keys = Story(), Database(self.settings.database), open_keys(self.settings)
        try:
            await store(database, story, story.reported())
            wrapped = await open_masters(self.settings).wrap(bytes(32), b"with-key")
            await keys.vault.store.create("with-key", wrapped, NOW)
        finally:
            await database.close()
            await keys.close()
        return story.id


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("backup"))
    back_up(made.settings, made.backup, made.keys)
    return made


@pytest.fixture
def copied(home: Home, tmp_path: Path) -> Source:
    """The backup and its keys, to be altered."""
    for folder in (home.backup, home.keys):
        shutil.copytree(folder, tmp_path / folder.name)
    return Source(tmp_path / home.backup.name, tmp_path / home.keys.name)


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    """Where a home may be restored."""
    return Settings(home=tmp_path / "place" / "home")


def nothing_is_left(place: Settings) -> bool:
    return not place.home.parent.exists() or not list(place.home.parent.iterdir())


async def test_what_is_restored_is_what_was_backed_up(home: Home, place: Settings):
    word = await restore_home(place, Source(home.backup, home.keys), LATER)
    assert left_word(place.home) == word
    for name in ("archive/issues/00/a/0-run.zst", "attachments/ab/abcd", "heads/3-20261124T160500Z.html"):
        assert (place.home / name).read_bytes() == TEXT
    for name in ("secret", "master.json", "namespace.json", "signing.pem", "seal/key.txt"):
        assert (place.home / "keys" / name).read_bytes() == (home.settings.home / "keys" / name).read_bytes()
    database = Database(place.database)
    try:
        async with database.read() as session:
            connection = await session.connection()
            assert (await connection.exec_driver_sql("SELECT id FROM issues")).scalars().all() == [home.issue]
    finally:
        await database.close()
    await prepare(place)
    keys = open_keys(place)
    try:
        assert await keys.vault.store.get("with-key") is not None
    finally:
        await keys.close()
    assert place.home.stat().st_mode & 0o077 == 0


def test_no_key_that_nothing_wraps_lies_in_the_backup(home: Home):
    own = home.settings.home / "keys"
    secrets = [(own / "secret").read_bytes(), (own / "signing.pem").read_bytes().splitlines()[1]]
    secrets += [pem.read_bytes().splitlines()[1] for pem in (own / "seal").glob("*.pem")]
    for name in ("master.json", "namespace.json"):
        found = json.loads((own / name).read_bytes())
        secrets += [key.encode() for key in found["keys"].values()]
    assert len(secrets) >= 5
    for path in home.backup.rglob("*"):
        if path.is_file():
            assert not [secret for secret in secrets if secret in path.read_bytes()], path
    assert {path.name for path in (home.backup / "keys").iterdir()} == {"issues.db"}
    assert not (home.keys / "sms.jsonl").exists(), "the phones of residents are no keys"


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["jiesu.db", "temporal.db", "keys/issues.db", "archive/issues/00/a/0-run.zst", "attachments/ab/abcd"]
)
@pytest.mark.parametrize(("how", "said"), [(altered, "was altered"), (Path.unlink, "is missing")])
async def test_an_altered_or_incomplete_backup_is_refused(
    copied: Source, place: Settings, name: str, how: Callable[[Path], None], said: str
):
    how(copied.folder / name)
    with pytest.raises(BackupError, match=f"^{copied.folder / name} {said}"):
        await restore_home(place, copied, LATER)
    assert nothing_is_left(place)


async def test_what_was_put_into_a_backup_is_refused(copied: Source, place: Settings):
    (copied.folder / "archive" / "stray").write_bytes(b"")
    with pytest.raises(BackupError, match="stray is not of this backup"):
        await restore_home(place, copied, LATER)
    (copied.folder / "archive" / "stray").unlink()
    (copied.folder / "archive" / "link").symlink_to("/etc/hostname")
    with pytest.raises(BackupError, match="link is a symbolic link"):
        await restore_home(place, copied, LATER)
    assert nothing_is_left(place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plain: plain | {"version": 2}, "is of version 2, and this release reads version 1"),
        (lambda plain: plain | {"began": "2020-01-01T00:00:00Z"}, "was altered"),
        (lambda _: [], "cannot be read"),
        (None, "is missing: this is no backup, or one that was not finished"),
    ],
)
async def test_a_manifest_that_is_not_the_backups_is_refused(
    copied: Source, place: Settings, change: "Callable[[dict[str, object]], object] | None", said: str
):
    path = copied.folder / NAME
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(change(json.loads(path.read_bytes()))))
    with pytest.raises(BackupError, match=f"^{path} .*{said}"):
        await restore_home(place, copied, LATER)
    assert nothing_is_left(place)


async def test_keys_that_do_not_open_the_backup_are_refused(copied: Source, place: Settings, tmp_path: Path):
    with pytest.raises(BackupError, match="name the folder of its keys by --keys"):
        await restore_home(place, Source(copied.folder), LATER)
    other = await asyncio.to_thread(Home, tmp_path / "other")
    back_up(other.settings, other.backup, other.keys)
    with pytest.raises(BackupError, match="is of another home, or of another time"):
        await restore_home(place, Source(copied.folder, other.keys), LATER)
    assert copied.keys is not None
    altered(copied.keys / "secret")
    with pytest.raises(BackupError, match=f"^{copied.keys / 'secret'} was altered"):
        await restore_home(place, copied, LATER)
    assert nothing_is_left(place)


async def test_nothing_that_is_there_is_replaced(home: Home, place: Settings):
    place.home.mkdir(parents=True)
    (place.home / "mine").touch()
    with pytest.raises(BackupError, match="holds mine: a home is restored into an empty"):
        await restore_home(place, Source(home.backup, home.keys), LATER)
    (place.home / "mine").unlink()
    with hold_home(place.home), pytest.raises(HomeBusy, match="Jiesu runs on"):
        await restore_home(place, Source(home.backup, home.keys), LATER)
    shutil.rmtree(place.home / "run")
    await restore_home(place, Source(home.backup, home.keys), LATER)  # the folder that is left is empty


def test_a_backup_replaces_nothing_and_lies_outside_of_the_home(home: Home, tmp_path: Path):
    before = sorted(tmp_path.iterdir())
    for folder, keys, said in (
        (home.backup, None, "exists already"),
        (home.settings.home / "backup", None, "lies in the home"),
        (tmp_path / "new", home.keys, "exists already"),
        (tmp_path / "new", tmp_path / "new" / "keys", "which would open by itself"),
    ):
        with pytest.raises(BackupError, match=said):
            back_up(home.settings, folder, keys)
    with pytest.raises(BackupError, match=r"is no home: it has no temporal.db"):
        back_up(Settings(home=tmp_path / "none"), tmp_path / "new")
    with pytest.raises(BackupError, match="Temporal runs elsewhere"):
        back_up(Settings(home=home.settings.home, temporal_address="temporal:7233"), tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_database_is_not_backed_up(home: Home, tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    shutil.copytree(home.settings.home, settings.home)
    path = settings.home / "jiesu.db"
    data = bytearray(path.read_bytes())
    data[4096:-4096] = bytes(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(BackupError, match=f"^{path} "):
        back_up(settings, tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_settings_that_place_things_elsewhere_are_those_of_the_backup(
    home: Home, place: Settings, tmp_path: Path
):
    chosen = place.model_copy(update={"archive": (tmp_path / "archive").as_uri()})
    with pytest.raises(BackupError, match="unset JIESU_ARCHIVE"):
        await restore_home(chosen, Source(home.backup, home.keys), LATER)
    assert nothing_is_left(place)


async def test_what_a_newer_key_store_knows_as_erased_is_erased_again(home: Home, place: Settings, tmp_path: Path):
    newer = KeyStore(f"sqlite:///{tmp_path / 'issues.db'}")
    await newer.prepare()
    await newer.destroy("with-key", "request", NOW)
    await newer.close()
    word = await restore_home(place, Source(home.backup, home.keys, tmp_path / "issues.db"), LATER)
    assert word.erased_again == 1
    restored = KeyStore(place.key_store_url)
    try:
        assert await restored.destroyed(["with-key"]) == {"with-key"}
    finally:
        await restored.close()
    assert {path.name for path in (place.home / "keys").glob("*.db")} == {"issues.db"}


async def test_a_restored_log_signs_no_head_until_the_newest_one_is_known(tmp_path: Path, database: Database):
    ring, outlets = LogKeys.create(tmp_path / "keys", "test.example/log"), Destinations(tmp_path / "heads")
    first = await publish(database, ring, outlets, NOW)
    hold_back(outlets.folder, NOW)
    with pytest.raises(HeldHeadsError, match="--no-newer-heads"):
        await publish(database, ring, outlets, LATER)
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(KeptHeadError, match="there is no head"):
        await adopt(database, kept, outlets.folder, ring)
    for file in outlets.folder.glob("0-*.txt"):
        shutil.copy(file, kept)
    assert await adopt(database, kept, outlets.folder, ring) == 0, "it is there already"
    release(outlets.folder)
    assert (await publish(database, ring, outlets, LATER)).size == first.size


async def test_what_a_restored_home_lost_is_said_and_kept(database: Database):
    word = Restored(NOW, LATER, 2)
    stock = Stock(3, ["JS-1"], Rebuilt(issues=4, unread=1), 1, 1, 2, held_back=True)
    said = lines(word, stock)
    assert said[0].startswith("restored from a backup of 2026-11-30 16:00:00")
    assert "until 2026-11-30 17:00:00" in said[0]
    for part in (
        "go on from then: 3",
        "JS-1",
        "a head of 2 closed issues was published, and the log holds 1",
        "2 erasures",
    ):
        assert any(part in line for line in said), part
    for _ in range(2):
        await database.transact(lambda session: raise_alarm(session, word, stock, LATER))
    async with database.read() as session:
        (found,) = await session.run_sync(alarms.open_causes)
    assert (found.kind, found.alarms, found.first.detail["open"]) == ("restored", 1, 3)


async def test_a_read_model_on_postgresql_is_dumped_and_put_back(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
):
    server = shared_server(pytestconfig)
    secret = "s" * 40
    with fresh_database(server) as lost, fresh_database(server) as empty:
        made = await asyncio.to_thread(lambda: Home(tmp_path / "made", database_url=lost, secret=secret))
        back_up(made.settings, made.backup, made.keys)
        assert not (made.backup / "jiesu.db").exists()
        assert Manifest.read(made.backup, "home").elsewhere == ["JIESU_SECRET"]
        source = Source(made.backup, made.keys)
        there = Settings(home=tmp_path / "there", database_url=lost, secret=secret)  # pyright: ignore[reportArgumentType]
        with pytest.raises(BackupError, match="has tables: name an empty one"):
            await restore_home(there, source, LATER)
        with pytest.raises(BackupError, match="the backup holds one of PostgreSQL"):
            await restore_home(Settings(home=tmp_path / "there"), source, LATER)
        there = Settings(home=tmp_path / "there", database_url=empty, secret=secret)  # pyright: ignore[reportArgumentType]
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(BackupError, match="pg_restore is not on this machine"):
            await restore_home(there, source, LATER)
        assert not there.home.exists()
        monkeypatch.undo()
        assert is_empty(empty)
        await restore_home(there, source, LATER)
        database = Database(empty)
        try:
            async with database.read() as session:
                connection = await session.connection()
                assert (await connection.exec_driver_sql("SELECT id FROM issues")).scalars().all() == [made.issue]
        finally:
            await database.close()
