"""Texts and pictures under proof: where keys are at hand, where they are not, and erasures on their way."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import domain.commands as c
from activities.pictures import StoredPictures
from activities.privacy import REQUEST, Privacy
from audit.archive import Archive
from audit.content import NOTED, NOWHERE, Places, attached, check_erasure, check_uploads, cited, sealed_texts
from audit.holdings import Holdings
from audit.service import AuditService
from audit.verify import verify
from audit.verify_all import open_holdings
from cli.app import app
from db.engine import Database
from db.tables import ErasureRow
from domain.personal import is_sealed
from domain.retention import Retention
from runtime.blobs import BlobError, DigestStore
from security.keystore import KeyRow, KeyStore, Wrapped
from security.master import MasterFile
from security.vault import Vault
from support.completions import completed
from support.crowd import Crowd
from support.tampering import Subject, some, subjects
from tests.audit.whatif_cases import Recorded
from tests.domain.play import COMPANY

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def subject(crowd: Crowd) -> Subject:
    """One with texts, its report among them as in every installation, and a picture."""
    known = await subjects(crowd)
    return some(
        each for each in known if not each.erased and cited(each.folded) and is_sealed(each.folded.events[0].body)
    )


@pytest.fixture
def home(crowd: Crowd, tmp_path: Path) -> Path:
    """The home of the installation in which the crowd lived."""
    made = crowd.copied(tmp_path / "home")
    shutil.copytree(made.vault, made.keys, dirs_exist_ok=True)
    return made.folder


def verified(home: Path, *arguments: str, code: int = 0) -> Sequence[str]:
    """What `jiesu audit` prints, its last line last; a warning, if any, first."""
    result = CliRunner().invoke(app, ["audit", *arguments], env={"JIESU_HOME": str(home), "COLUMNS": "120"})
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output.splitlines()


def test_where_keys_are_the_texts_are_opened(home: Path, subject: Subject) -> None:
    said = verified(home, "verify", subject.issue)
    count = len(list(sealed_texts(subject.folded)))
    assert f"content: {count} texts opened, {len(cited(subject.folded))} pictures compared" in said
    assert said[-1].startswith("everything holds for 1 closed issue; ")


@pytest.mark.parametrize("gone", ["master.json", "issues.db", "both"])
def test_without_keys_the_verdict_says_that_texts_were_not_opened(home: Path, subject: Subject, gone: str) -> None:
    for name in ("master.json", "issues.db") if gone == "both" else (gone,):
        (home / "keys" / name).unlink()
    said = verified(home, "verify", subject.issue)
    assert said[0].startswith("texts cannot be opened here: ")
    assert said[-1].startswith("texts were not opened; the rest holds for 1 closed issue; ")


def test_a_key_store_that_cannot_be_read_opens_nothing(home: Path, subject: Subject) -> None:
    (home / "keys" / "issues.db").write_bytes(b"no database" * 1000)
    assert verified(home, "verify", subject.issue)[-1].startswith("texts were not opened; the rest holds for 1 closed")


def test_pictures_that_are_gone_from_a_host_with_keys_are_findings(home: Path, subject: Subject) -> None:
    shutil.rmtree(home / "attachments")
    found = verified(home, "verify", subject.issue, code=1)
    assert sum(f"{subject.issue}: pictures: picture " in line for line in found) == len(cited(subject.folded))


def test_on_another_host_there_are_neither(home: Path, subject: Subject) -> None:
    shutil.rmtree(home / "attachments")
    for name in ("master.json", "issues.db"):
        (home / "keys" / name).unlink()
    said = verified(home, "verify", subject.issue)[-1]
    assert said.startswith("texts were not opened and pictures were not compared; the rest holds for 1 closed issue; ")
    assert not (home / "attachments").exists()


def test_who_has_a_bundle_is_told_that_no_text_was_opened(home: Path, subject: Subject, tmp_path: Path) -> None:
    bundle = str(tmp_path / "bundle")
    verified(home, "export", subject.issue, "-o", bundle)
    said = verified(home, "check", bundle)[-1]
    assert said == "texts were not opened and pictures were not compared; the rest holds for 1 closed issue"


async def test_a_service_says_how_many_texts_it_opened(crowd: Crowd, subject: Subject) -> None:
    database, count = Database(crowd.database_url), len(list(sealed_texts(subject.folded)))
    try:
        holdings = Holdings(database, Archive(crowd.archive_url))
        for places, expected in ((crowd.places, (count, 0)), (NOWHERE, (0, count))):
            verdict = await AuditService(holdings, crowd.heads, places=places).verdict(subject.issue)
            assert (verdict.findings, verdict.opened, verdict.unopened) == ((), *expected)
    finally:
        await database.close()


async def test_pictures_of_an_erased_issue_may_be_gone(crowd: Crowd, subject: Subject, tmp_path: Path) -> None:
    copy = crowd.copied(tmp_path / "copy")
    database, store = Database(copy.database_url), KeyStore(copy.places.key_store or "", patience=60)
    pictures = DigestStore(copy.places.pictures or "")
    vault = Vault(store, MasterFile(copy.vault / "master.json"))
    privacy = Privacy(database, vault, StoredPictures(database, pictures), Retention(1095), 400)
    await privacy.ask([subject.issue], REQUEST)
    assert (await privacy.carry_out()).erased == [subject.issue]
    await database.close()
    await store.close()
    for digest in cited(subject.folded):
        with pytest.raises(BlobError):
            await pictures.get(digest)
    for places in (copy.places, Places(copy.places.pictures)):  # with keys, and without
        source = replace(copy.source, places=places)
        async with open_holdings(source) as holdings, places.open(holdings.database) as contents:
            (verdict,) = await verify(await holdings.cases([subject.issue]), contents=contents)
        assert (verdict.findings, verdict.opened, verdict.pictures, verdict.unseen) == ((), 0, 0, 0)


KEY = KeyRow("x", Wrapped("m", b"k"), NOW)


def erased(asked: datetime, done: datetime | None, why: str = "request") -> ErasureRow:
    return ErasureRow(issue="x", why=why, asked_at=asked, done_at=done)


def tombstone(at: datetime) -> KeyRow:
    return KeyRow("x", None, NOW - 9 * HOUR, at, "request")


@pytest.mark.parametrize(
    ("row", "erasure", "content", "found"),
    [
        (KEY, None, True, None),
        (None, None, False, None),
        (None, None, True, "key"),
        (KEY, erased(NOW, None), True, None),  # asked for, and not carried out yet
        (KEY, erased(NOW, NOW), True, "erasure"),
        (None, erased(NOW, NOW), True, "erasure"),
        (None, erased(NOW, None), True, "key"),
        (tombstone(NOW), erased(NOW, NOW), True, None),
        (tombstone(NOW), erased(NOW - HOUR, NOW + 90 * HOUR), True, None),  # it was interrupted for long
        (tombstone(NOW), erased(NOW - HOUR, None), True, None),  # it was interrupted a moment ago
        (tombstone(NOW - NOTED - HOUR), erased(NOW - 90 * HOUR, None), True, "erasure"),
        (tombstone(NOW), erased(NOW + HOUR, NOW + HOUR), True, "erasure"),
        (tombstone(NOW), erased(NOW - HOUR, NOW - HOUR), True, "erasure"),
        (tombstone(NOW), erased(NOW, NOW, "retention"), True, "erasure"),
        (tombstone(NOW), None, False, "erasure"),
    ],
)
def test_key_store_and_database_must_agree_on_an_erasure(
    row: KeyRow | None, erasure: ErasureRow | None, content: bool, found: str | None
) -> None:
    told = [each.where for each in check_erasure("x", row, erasure, has_content=content, now=NOW)]
    assert told == ([] if found is None else [found])


def test_events_tell_of_uploads_by_their_digest() -> None:
    """The kind of event is read by its name, whatever else it bears."""
    events = [
        SimpleNamespace(kind=kind, body=SimpleNamespace(**body))
        for kind, body in (("attached", {"digest": "ab"}), ("attached", {}), ("commented", {"digest": "cd"}))
    ]
    assert list(attached(cast("Any", events))) == ["ab"]


@pytest.mark.parametrize(
    ("person", "org", "later", "found"),
    [
        (COMPANY.person, COMPANY.org, -1, []),
        (COMPANY.person, "rival", -1, ["picture 000000000000"]),
        (COMPANY.person, COMPANY.org, 60, ["picture 000000000000"]),
        ("another", "rival", 60, []),  # whose own event may not have come to be: SQL is held to the key
    ],
)
def test_a_completion_says_of_an_upload_what_its_event_says(
    person: str, org: str | None, later: int, found: list[str]
) -> None:
    stage = Recorded()
    stage.give(COMPANY, c.Accept())
    stage.give(COMPANY, c.Attach("0" * 64))
    stage.uploads["0" * 64] = c.Upload("0" * 64, person, org, stage.now + timedelta(seconds=later))
    stage.give(COMPANY, completed(COMPANY.org or "", stage.now))
    assert [each.where for each in check_uploads(stage.case())] == found


async def test_what_somebody_else_put_into_the_database_is_named(database: Database) -> None:
    statements = {"view spy": "CREATE VIEW spy AS SELECT id FROM issues"}
    if database.is_sqlite:
        statements["trigger spy"] = "CREATE TRIGGER spy AFTER UPDATE ON issues BEGIN SELECT 1; END"
    else:
        statements |= {
            "rule spy": "CREATE RULE spy AS ON DELETE TO issues DO INSTEAD NOTHING",
            "policy spy": "CREATE POLICY spy ON issues USING (true)",
        }
        async with database.write() as session:
            await session.execute(
                text("CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN RETURN NEW; END $$ LANGUAGE plpgsql")
            )
        statements["trigger spy"] = "CREATE TRIGGER spy AFTER UPDATE ON issues FOR EACH ROW EXECUTE FUNCTION f()"
    async with NOWHERE.open(database) as contents:
        assert [each async for each in contents.check_stores()] == []
        for statement in statements.values():
            async with database.write() as session:
                await session.execute(text(statement))
        assert [each.where async for each in contents.check_stores()] == sorted(statements)
