"""A home that lacks something its issues need is not started: each missing part is named, and none is made anew."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from activities.codes import hashes
from cli.install import prepare, prepare_key_store
from db import queries
from db.engine import Database
from db.projector import put_codes
from db.tables import IssueRow
from runtime.settings import Settings, SettingsError
from security.opening import open_keys
from support.stories import Story, store

KEYS = ("signing.pem", "namespace.json", "master.json", "issues.db", "secret", "seal")


@pytest.fixture
async def home(tmp_path: Path) -> Settings:
    """A home with one open issue."""
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    await prepare(settings)
    database = Database(settings.database)
    try:
        story = Story()
        await store(database, story, story.reported())
    finally:
        await database.close()
    return settings


def take_away(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_issues_need_is_not_made_anew(home: Settings, name: str):
    lost = home.home / "keys" / name
    before = {path: path.read_bytes() for path in (home.home / "keys").rglob("*") if path.is_file()}
    take_away(lost)
    for making in (prepare, prepare_key_store):
        with pytest.raises(SettingsError, match=rf"^{lost}.* is missing, and issues on record need it"):
            await making(home)
        assert not lost.exists()
    left = {path: path.read_bytes() for path in (home.home / "keys").rglob("*") if path.is_file()}
    assert left == {path: data for path, data in before.items() if path in left}


@pytest.mark.parametrize("name", ["signing.pem", "namespace.json", "master.json"])
async def test_a_damaged_key_is_named_before_anything_starts(home: Settings, name: str):
    (home.home / "keys" / name).write_bytes(b"garbage!")
    with pytest.raises(SettingsError, match=rf"{home.home / 'keys' / name} is damaged: put it back from a backup"):
        await prepare(home)


async def test_keys_that_are_all_lost_are_not_made_anew(home: Settings):
    take_away(home.home / "keys")
    with pytest.raises(SettingsError, match="is missing, and issues on record need it"):
        await prepare(home)
    assert not (home.home / "keys").exists()


async def test_another_secret_than_that_of_the_codes_on_record_is_refused(home: Settings):
    database = Database(home.database)
    try:
        async with database.write() as session:
            found = await session.scalar(select(IssueRow.id))
            issue = await queries.issue(session, found or "")
            assert issue is not None
            codes = hashes(home.server_secret(), issue)
            await session.run_sync(lambda sync: put_codes(sync, issue.id, codes))
    finally:
        await database.close()
    await prepare(home)
    right = home.secret_file.read_bytes()
    home.secret_file.write_bytes(right[::-1])
    with pytest.raises(SettingsError, match=rf"{home.secret_file} is not the secret of the tracking codes on record"):
        await prepare(home)
    home.secret_file.write_bytes(right)
    await prepare(home)


async def test_a_whole_home_is_prepared_again_and_keeps_its_keys(home: Settings):
    before = {
        path: path.read_bytes() for path in (home.home / "keys").rglob("*") if path.is_file() and path.suffix != ".db"
    }
    await prepare(home)
    await prepare_key_store(home)
    assert {path: path.read_bytes() for path in before} == before
    await open_keys(home).close()


def test_no_process_makes_a_lost_secret_anew(tmp_path: Path):
    settings = Settings(home=tmp_path)
    with pytest.raises(SettingsError, match=f"{tmp_path / 'keys' / 'secret'} is missing"):
        settings.server_secret()
    assert not (tmp_path / "keys").exists()
