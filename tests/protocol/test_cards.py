"""Cards of a worklist: the viewer's own first, then by light; words only for who may read them; few queries for many."""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from db import work
from db.directory import store_directory
from db.engine import Database
from db.upgrade import upgrade
from domain.commands import Accept, Actor, Assign
from domain.directory import Community, Compound, Contract, Directory, Operator, Street
from policies.loader import load_pack
from protocol.cards import PAGE, Card, Cards, Wanted, Worklist
from protocol.directory_cache import DirectoryCache
from protocol.masking import MASK
from protocol.read_model import ReadModel
from security.keystore import KeyRow, KeyStore, KeyStoreDown
from security.master import MasterKeys
from security.vault import Vault
from support.databases import sqlite_url
from support.stories import PROPERTY, START, Story, store

TOWN = Directory(
    streets=(Street("demo-street", ""),), communities=(Community("demo-community", "", "demo-street"),),
    compounds=(Compound("demo", "", "demo-community"),), operators=(Operator("demo-property", "", "company"),),
    contracts=(Contract("demo-property", "demo"),),
)  # fmt: skip
HELPER = Actor("worker-2", "property", "demo-property")
AUDITOR = Actor("auditor-1", "auditor", "demo-street")
PATIENT = load_pack("52022")


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    upgrade(sqlite_url(tmp_path))
    found = Database(sqlite_url(tmp_path))
    async with found.write() as session:
        await store_directory(session, TOWN, START)
    yield found
    await found.close()


@pytest_asyncio.fixture
async def keys(tmp_path: Path) -> AsyncIterator[KeyStore]:
    found = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", patience=60)
    await found.prepare()
    yield found
    await found.close()


def cards_of(database: Database, vault: Vault, after: timedelta = timedelta(minutes=1)) -> Cards:
    model = ReadModel(database)
    return Cards(model, vault, DirectoryCache(model), lambda: START + after)


async def kept(database: Database, *stories: Story) -> None:
    for story in stories:
        await store(database, story, list(story.told) or story.reported())


async def work_of(cards: Cards, viewer: Actor = PROPERTY, org: str = "demo-property", **wanted: object) -> Worklist:
    return await cards.worklist(viewer, org, replace(Wanted(), **wanted))


def places(cards: Sequence[Card]) -> list[str]:
    return [card.where for card in cards]


@contextmanager
def statements(*engines: AsyncEngine) -> Iterator[list[str]]:
    """What is asked of these databases meanwhile."""
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield asked
    for engine in engines:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def sealed(vault: Vault, story: Story) -> Story:
    """The story with its report sealed, as the API hands it in."""
    (report,) = story.reported()[:1]
    key = await vault.key_for(story.id, make=True)
    for name in ("location", "description"):
        report["data"][name] = str(key.seal(report["data"][name], "command", name))
    return story


async def test_as_many_statements_and_looks_at_keys_for_forty_issues_as_for_two(
    database: Database, keys: KeyStore
) -> None:
    masters = MasterKeys.new()
    counts: list[int] = []
    for first, last in ((0, 2), (2, 40)):
        for number in range(first, last):
            story = Story(policy=PATIENT, location=f"{number}幢", now=START + timedelta(seconds=number))
            await kept(database, await sealed(Vault(keys, masters), story))
        await work_of(cards_of(database, Vault(keys, masters)))  # policies are kept in memory from now on
        reader = cards_of(database, Vault(keys, masters))
        with statements(database.engine, keys._engine) as asked:
            found = await work_of(reader)
        assert (len(found.cards), found.total) == (min(last, PAGE), last)
        assert places(found.cards) == [f"{n}幢" for n in range(len(found.cards))], "opened, the least time left first"
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


async def test_the_viewers_own_come_first_then_red_yellow_green_each_by_the_time_left(
    database: Database, keys: KeyStore
) -> None:
    def waiting(location: str, minutes: int) -> Story:
        story = Story(policy=PATIENT, location=location, now=START + timedelta(minutes=minutes))
        story.reported()
        return story

    red, worse, yellow, green = waiting("红", -20), waiting("更红", -30), waiting("黄", -9), waiting("绿", 0)
    mine = waiting("我的", 0)
    mine.give(Accept(), PROPERTY)
    mine.give(Assign("worker-2", appointed="worker-2"), PROPERTY)
    await kept(database, green, yellow, red, worse, mine)
    cards = cards_of(database, Vault(keys, MasterKeys.new()), timedelta(seconds=40))
    found = await work_of(cards, HELPER)
    assert places(found.cards) == ["我的", "更红", "红", "黄", "绿"]
    assert [card.is_mine for card in found.cards] == [True, False, False, False, False]
    assert found.lights == {"red": 2, "yellow": 1, "green": 2}
    assert places((await work_of(cards, PROPERTY)).cards)[:2] == ["更红", "红"], "another has another order"
    assert places((await work_of(cards, HELPER, light="yellow")).cards) == ["黄"]
    assert (await work_of(cards, HELPER, category="drain")).total == 0
    assert places((await work_of(cards, HELPER, start=3)).cards) == ["黄", "绿"]


async def test_who_may_not_read_words_sees_none_and_strangers_see_no_card(database: Database, keys: KeyStore) -> None:
    vault, story = Vault(keys, MasterKeys.new()), Story(policy=PATIENT)
    await kept(database, await sealed(vault, story))
    cards = cards_of(database, vault)
    (card,) = (await work_of(cards)).cards
    assert (card.where, card.what) == ("3幢2单元501", "厨房漏水")
    assert (await work_of(cards, Actor("o", "property", "other-property"), "other-property")).cards == []
    (card,) = (await work_of(cards, AUDITOR)).cards
    assert (card.where, card.what, card.issue.number) == ("", "", story.issue.number)
    await keys.close()
    shut = cards_of(database, Vault(Shut(keys._engine.url), MasterKeys.new()))
    (card,) = (await work_of(shut)).cards
    assert (card.where, card.what) == (MASK, MASK), "the list is of use while the keys are away"


class Shut(KeyStore):
    """A key store that does not answer."""

    async def several(self, issues: Collection[str]) -> dict[str, KeyRow]:
        raise KeyStoreDown("away")


async def test_a_list_that_is_cut_does_not_say_that_it_is_whole(
    database: Database, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(database, *(Story(policy=PATIENT) for _ in range(3)))
    cards = cards_of(database, Vault(keys, MasterKeys.new()))
    monkeypatch.setattr(work, "MOST", 3)
    assert (await work_of(cards)).is_whole
    monkeypatch.setattr(work, "MOST", 2)
    found = await work_of(cards)
    assert (found.total, found.is_whole) == (2, False)
