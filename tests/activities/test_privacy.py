"""Erasure: keys are destroyed as requested despite interruptions; open issues and failed erasures wait."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from activities.pictures import StoredPictures
from activities.privacy import BATCH, REQUEST, RETENTION, Privacy
from activities.search import SearchJobs
from audit import log as seals
from db import access_log, attachments
from db.access_log import Entry as Line
from db.engine import Database
from db.outbox import Entry
from db.queries import Filters, list_issues, timeline
from db.tables import AccessRow, AlarmRow, ErasureRow, IssueRow
from db.writer import Work
from domain.events import Reported
from domain.retention import Retention
from domain.wire import truncate
from runtime.blobs import DigestStore
from security.keystore import Erasure, KeyStore, KeyStoreDown
from security.master import MasterKeys
from security.vault import ERASED, Erased, Vault
from support import logs
from support.stories import Story, store

T = TypeVar("T")
RULES = Retention(200, {"drain": 400})
WORD = "厨房漏水"
NOW = truncate(datetime.now(UTC))


@dataclass
class Place:
    """Where everything lies: read model, keys, pictures."""

    database: Database
    vault: Vault
    keys: KeyStore
    blobs: DigestStore
    folder: Path

    def privacy(self, database: Database | None = None, vault: Vault | None = None, access_days: int = 400) -> Privacy:
        held = database or self.database
        return Privacy(
            held, vault or self.vault, StoredPictures(held, self.blobs), RULES, access_days, clock=lambda: NOW
        )

    async def issue(self, *, days: int | None = 300, **options: Any) -> Story:
        """A sealed one with a picture, found by its words; closed so many days ago, or open."""
        story = Story(now=NOW - timedelta(days=days or 0), **options)
        key = await self.vault.key_for(story.id, make=True)
        story.description = key.seal(WORD, "report", "description")  # type: ignore[assignment]
        story.location = key.seal("3幢", "report", "location")  # type: ignore[assignment]
        await store(self.database, story, [*story.reported(), *(() if days is None else story.until_closed())])
        await self.index(story)
        digest = await self.blobs.put(await self.vault.seal_bytes(story.id, b"a picture"))
        row = {"issue": story.id, "digest": digest, "kind": "image/png", "size": 9, "added_by": "sealed:x:y",
               "role": "resident", "org": None, "added_at": NOW}  # fmt: skip
        assert await self.database.transact(lambda session: attachments.add(session, row)) == "added"
        return story

    async def index(self, story: Story) -> None:
        job = Entry(1, story.id, 1, "job", "index", None, False, {"issue": story.id}, 1, NOW)
        await SearchJobs(self.database, self.vault).index(job)

    async def state(self, story: Story) -> str:
        """``whole``, ``erased``, or what is in between."""
        async with self.database.read() as session:
            events = await self.vault.open_body(story.id, await timeline(session, story.id))
            found = [row.id for row in (await list_issues(session, Filters(q=WORD))).items]
            row = await session.get(ErasureRow, story.id)
            pictures = await attachments.of_issue(session, story.id)
        assert isinstance(events[0].body, Reported)
        parts = (
            events[0].body.description == ERASED, story.id not in found, not pictures, row is not None and row.done_at == NOW
        )  # fmt: skip
        if len(set(parts)) == 1:
            return "erased" if parts[0] else "whole"
        return str(parts)

    async def rows(self) -> dict[str, tuple[str, bool]]:
        async with self.database.read() as session:
            return {row.issue: (row.why, row.done_at is not None) for row in await session.scalars(select(ErasureRow))}


@pytest.fixture
async def place(database: Database, tmp_path: Path) -> AsyncIterator[Place]:
    keys = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", patience=60)
    await keys.prepare()
    vault = Vault(keys, MasterKeys.new())
    yield Place(database, vault, keys, DigestStore((tmp_path / "pictures").as_uri()), tmp_path)
    await vault.close()


async def test_carry_out_erases_the_requested_closed_issues_only(place: Place) -> None:
    mine, other, unfinished = await place.issue(), await place.issue(), await place.issue(days=None)
    privacy = place.privacy()
    await privacy.ask([mine.id, unfinished.id], REQUEST)
    done = await privacy.carry_out()
    assert (done.erased, dict(done.by_category), done.failed) == ([mine.id], {"leak": 1}, 0)
    assert [await place.state(each) for each in (mine, other, unfinished)] == ["erased", "whole", "whole"]
    assert await place.rows() == {mine.id: (REQUEST, True), unfinished.id: (REQUEST, False)}
    with pytest.raises(Erased):
        await place.vault.key_for(mine.id, make=True)
    assert (await privacy.carry_out()).erased == []
    assert sorted(path.name for path in (place.folder / "pictures").rglob("*") if path.is_file()) == [
        row.digest for row in await pictures_of(place, other, unfinished)
    ]


async def pictures_of(place: Place, *stories: Story) -> list[Any]:
    async with place.database.read() as session:
        rows = [row for story in stories for row in await attachments.of_issue(session, story.id)]
    return sorted(rows, key=lambda row: row.digest)


async def test_what_is_open_is_erased_once_it_is_closed(place: Place) -> None:
    story = await place.issue(days=None)
    privacy = place.privacy()
    await privacy.ask([story.id], REQUEST)
    assert (await privacy.retain())["erased"] == 0
    await store(place.database, story, story.until_closed())
    assert await privacy.retain() == {
        "erased": 1,
        "by_category": {"leak": 1},
        "failed": 0,
        "accesses": 0,
    }
    assert await place.state(story) == "erased"


async def test_carry_out_erases_only_the_issues_it_is_given(place: Place) -> None:
    one, two = await place.issue(), await place.issue()
    privacy = place.privacy()
    await privacy.ask([one.id, two.id], REQUEST)
    assert (await privacy.carry_out([two.id])).erased == [two.id]
    assert [await place.state(each) for each in (one, two)] == ["whole", "erased"]


async def test_retention_erases_issues_past_the_limit_of_their_category(place: Place) -> None:
    old, young = await place.issue(days=201), await place.issue(days=199)
    drain, old_drain = await place.issue(days=399, category="drain"), await place.issue(days=401, category="drain")
    unfinished = await place.issue(days=None)
    done = await place.privacy().retain()
    assert done == {"erased": 2, "by_category": {"drain": 1, "leak": 1}, "failed": 0, "accesses": 0}
    states = [await place.state(each) for each in (old, young, drain, old_drain, unfinished)]
    assert states == ["erased", "whole", "whole", "erased", "whole"]
    assert await place.rows() == dict.fromkeys((old.id, old_drain.id), (RETENTION, True))
    assert (await place.privacy().retain())["erased"] == 0


async def test_the_report_is_logged_and_names_nobody(place: Place) -> None:
    story = await place.issue()
    with capture_logs() as lines:
        await place.privacy().retain()
    (line,) = [each for each in lines if each["event"] == "retained"]
    assert line == {
        "event": "retained", "log_level": "info", "erased": 1, "by_category": {"leak": 1}, "failed": 0, "accesses": 0
    }  # fmt: skip
    assert WORD not in str(lines)
    assert story.id not in str(line)


async def test_lines_of_the_access_log_go_when_their_time_is_over(place: Place) -> None:
    lines = [
        Line(NOW - timedelta(days=days), "p1", "property", None, "s", "phone", None, "shown") for days in (1, 399, 401)
    ]
    await place.database.transact(lambda session: access_log.put(session, lines))
    assert (await place.privacy().retain())["accesses"] == 1
    assert (await place.privacy().retain())["accesses"] == 0
    async with place.database.read() as session:
        assert set(await session.scalars(select(AccessRow.at))) == {line.at for line in lines[:2]}


# What goes wrong


async def test_while_the_key_store_is_down_it_waits(place: Place) -> None:
    story, other = await place.issue(), await place.issue()
    privacy = place.privacy()
    await privacy.ask([story.id, other.id], REQUEST)
    await place.keys.close()
    file = place.folder / "keys.db"
    file.rename(place.folder / "away")
    file.mkdir()
    done = await privacy.carry_out()
    assert (done.erased, done.failed) == ([], 2)
    file.rmdir()
    (place.folder / "away").rename(file)
    assert [await place.state(each) for each in (story, other)] == ["whole", "whole"]
    assert sorted((await privacy.carry_out()).erased) == sorted([story.id, other.id])
    assert [await place.state(each) for each in (story, other)] == ["erased", "erased"]


async def test_one_whose_pictures_cannot_be_taken_away_waits_and_holds_up_nobody(place: Place) -> None:
    story, other = await place.issue(), await place.issue()
    privacy = place.privacy()
    await privacy.ask([story.id, other.id], REQUEST)
    (row,) = await pictures_of(place, story)
    file = place.folder / "pictures" / row.digest[:2] / row.digest
    kept = file.read_bytes()
    file.unlink()
    (file / "in the way").mkdir(parents=True)
    done = await privacy.carry_out()
    assert (done.erased, done.failed) == ([other.id], 1)
    with pytest.raises(Erased):  # the key is gone all the same
        await place.vault.key_for(story.id, make=False)
    (file / "in the way").rmdir()
    file.rmdir()
    file.write_bytes(kept)
    assert (await privacy.carry_out()).erased == [story.id]
    assert await place.state(story) == "erased"
    assert not file.exists()


class CutError(BaseException):
    """The process ends here."""


class Cut(Database):
    """A database whose user is killed at its n-th transaction, before or after that is committed."""

    def __init__(self, url: str, at: int, *, committed: bool) -> None:
        super().__init__(url)
        self._left = at
        self._committed = committed

    async def transact(self, work: Work[T]) -> T:
        self._left -= 1
        if self._left == 0 and not self._committed:
            raise CutError
        result = await super().transact(work)
        if self._left == 0:
            raise CutError
        return result


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("at", range(1, 7))
async def test_an_interrupted_retention_run_is_completed_by_the_next(place: Place, at: int, committed: bool) -> None:
    stories = [await place.issue(days=days) for days in (300, 301)]
    cut = Cut(str(place.database.url.render_as_string(hide_password=False)), at, committed=committed)
    with pytest.raises(CutError):
        await place.privacy(cut).retain()
    await cut.close()
    assert (await place.privacy().retain())["failed"] == 0
    assert [await place.state(each) for each in stories] == ["erased", "erased"]


class Mumbling(KeyStore):
    """It destroys, and then says that it does not know whether it did."""

    async def destroy(self, issue: str, why: str, now: datetime) -> bool:
        await super().destroy(issue, why, now)
        raise KeyStoreDown("TimeoutError")


async def test_what_was_destroyed_but_reported_as_failed_is_done_by_the_next_look(place: Place) -> None:
    story = await place.issue()
    keys = Mumbling(f"sqlite:///{place.folder / 'keys.db'}")
    privacy = place.privacy(vault=Vault(keys, MasterKeys.new()))
    await privacy.ask([story.id], REQUEST)
    assert (await privacy.carry_out()).failed == 1
    await keys.close()
    place.vault.forget(story.id)
    assert (await place.privacy().carry_out()).erased == [story.id]
    assert await place.state(story) == "erased"


async def test_an_erasure_is_not_done_while_a_reader_blocks_the_scrub(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engine._LOCK_TIMEOUT", 0.1)
    story = await place.issue()
    privacy = place.privacy()
    await privacy.ask([story.id], REQUEST)
    async with place.database.read() as session:
        await session.scalar(select(IssueRow.id).limit(1))
        with capture_logs() as lines:
            done = await privacy.carry_out()
    if place.database.is_sqlite:
        assert (done.erased, done.failed) == ([], 1)
        assert len(logs.of(lines, ("not_scrubbed",))) == 1
        done = await privacy.carry_out()
    assert (done.erased, done.failed) == ([story.id], 0)
    assert await place.state(story) == "erased"


# One of the two databases was lost, or put back from a backup


async def alarms(database: Database) -> list[dict[str, Any]]:
    async with database.read() as session:
        return [row.detail for row in await session.scalars(select(AlarmRow).where(AlarmRow.kind == "erasures-differ"))]


@pytest.mark.parametrize("batch", [1, BATCH])
async def test_a_read_model_that_was_lost_learns_again_what_was_asked_for(
    place: Place, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.privacy.BATCH", batch)
    gone, also, other = await place.issue(), await place.issue(), await place.issue(days=1)
    unfinished, another = await place.issue(days=None), await place.issue(days=None)
    privacy = place.privacy()
    await privacy.ask([each.id for each in (gone, also, unfinished, another)], "person")
    await privacy.carry_out()
    await place.database.transact(lambda session: session.execute(delete(ErasureRow)))
    assert await place.rows() == {}
    await privacy.retain()
    learned = {gone.id: True, also.id: True, unfinished.id: False, another.id: False}
    assert await place.rows() == {issue: ("person", is_done) for issue, is_done in learned.items()}
    assert await alarms(place.database) == [{"learned": 4, "again": 0}]
    await store(place.database, unfinished, unfinished.until_closed())
    assert (await privacy.retain())["erased"] == 1
    assert [await place.state(each) for each in (gone, also, unfinished, other, another)] == [
        "erased", "erased", "erased", "whole", "whole",
    ]  # fmt: skip
    assert len(await alarms(place.database)) == 1


async def test_a_read_model_from_before_shows_its_words_no_more(place: Place) -> None:
    story = await place.issue()
    await place.keys.destroy(story.id, "Zhang San, 138", NOW)
    assert await place.state(story) != "erased"
    assert (await place.privacy().retain())["erased"] == 1
    assert await place.state(story) == "erased"
    assert await place.rows() == {story.id: ("unnamed", True)}, "whatever stands there, only words go on record"
    assert await alarms(place.database) == [{"learned": 1, "again": 0}]


async def test_a_sealed_issue_without_a_row_is_erased(place: Place) -> None:
    for issue in ("sealed", "open"):
        await place.vault.key_for(issue, make=True)
        await place.vault.store.request_erasures([Erasure(issue, REQUEST, NOW)])
    await place.database.transact(lambda session: seals.append(session, "sealed", {"issue": "sealed"}, b"s" * 32, NOW))
    report = await place.privacy().retain()
    assert (report["erased"], report["by_category"]) == (1, {"unknown": 1})
    with pytest.raises(Erased):
        await place.vault.key_for("sealed", make=False)
    assert (await place.vault.key_for("open", make=False)).issue == "open"


@pytest.mark.parametrize("cut", [False, True])
async def test_in_a_key_store_from_before_what_was_destroyed_is_destroyed_again(place: Place, *, cut: bool) -> None:
    story, asked = await place.issue(), await place.issue(days=None)
    await place.keys.close()
    file = place.folder / "keys.db"
    before = file.read_bytes()
    privacy = place.privacy()
    await privacy.ask([story.id, asked.id], REQUEST)
    await privacy.carry_out()
    assert await place.state(story) == "erased"
    await place.keys.close()
    file.write_bytes(before)
    place.vault.forget(story.id)
    assert (await place.vault.key_for(story.id, make=False)).issue == story.id, "it is back"
    if cut:
        url = place.database.url.render_as_string(hide_password=False)
        killed = Cut(url, 1, committed=True)
        with pytest.raises(CutError):
            await place.privacy(killed).retain()
        await killed.close()
    assert (await privacy.retain())["erased"] == 1
    assert await alarms(place.database) == ([] if cut else [{"learned": 0, "again": 1}])
    assert await place.state(story) == "erased"
    assert [each.issue for each in await place.keys.requested_erasures("", 9)] == [asked.id]
    assert [each.issue for each in await place.keys.tombstones("", 9)] == [story.id]


async def test_a_request_made_while_the_key_store_is_down_reaches_it_at_the_next_run(place: Place) -> None:
    story, asked = await place.issue(), await place.issue(days=None)
    await place.keys.close()
    file = place.folder / "keys.db"
    file.rename(place.folder / "away")
    file.mkdir()
    with capture_logs() as lines:
        await place.privacy().ask([story.id, asked.id], REQUEST)
        assert (await place.privacy().retain())["failed"] == 1
    failures = ("not_requested", "not_compared", "not_erased")
    assert logs.of(lines, failures) == [(failure, "warning") for failure in failures]
    file.rmdir()
    (place.folder / "away").rename(file)
    assert (await place.privacy().retain())["erased"] == 1
    assert await place.state(story) == "erased"
    assert [each.issue for each in await place.keys.requested_erasures("", 9)] == [asked.id]
    assert await alarms(place.database) == []


# What comes afterwards


async def test_what_is_indexed_late_is_not_found(place: Place) -> None:
    story = await place.issue()
    stale = Vault(place.keys, place.vault._masters)
    await stale.key_for(story.id, make=False)
    privacy = place.privacy()
    await privacy.ask([story.id], REQUEST)
    await privacy.carry_out()
    place.vault = stale
    assert (await stale.key_for(story.id, make=False)).issue == story.id
    await place.index(story)
    async with place.database.read() as session:
        assert (await list_issues(session, Filters(q=WORD))).items == ()
        assert await session.scalar(select(IssueRow.words).where(IssueRow.id == story.id)) == ""


async def test_those_that_two_ask_for_at_once_are_erased_once(place: Place) -> None:
    stories = [await place.issue() for _ in range(3)]
    privacy = place.privacy()
    await asyncio.gather(*(privacy.ask([story.id for story in stories], why) for why in (REQUEST, "other")))
    await asyncio.gather(privacy.carry_out(), privacy.carry_out())
    # In the same file they may be in each other's way: what neither could finish is done by the next look.
    await privacy.carry_out()
    assert [await place.state(each) for each in stories] == ["erased"] * 3
    assert BATCH >= 3
