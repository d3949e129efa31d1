"""A phone code works once, for few tries and a short time, also under concurrency."""

import asyncio
from datetime import timedelta

from sqlalchemy import select

from db import phones
from db.engine import Database
from db.tables import PhoneCodeRow
from support.stories import START


async def put(database: Database, phone: str = "p", code: str = "c", **shift: float) -> None:
    now = START + timedelta(**shift)
    await database.transact(lambda session: phones.put(session, phone, code, now, now + timedelta(minutes=5)))


async def use(database: Database, phone: str = "p", code: str = "c", **shift: float) -> bool:
    now = START + timedelta(**shift)
    return await database.transact(lambda session: phones.use(session, phone, code, now))


async def test_a_phone_code_is_used_once_under_concurrency(database: Database):
    await put(database)
    assert sorted(await asyncio.gather(*(use(database) for _ in range(4)))) == [False, False, False, True]


async def test_concurrent_wrong_codes_use_up_the_tries(database: Database):
    await put(database)
    assert not any(await asyncio.gather(*(use(database, code="x") for _ in range(phones.TRIES))))
    assert not await use(database)


async def test_a_phone_code_expires(database: Database):
    await put(database)
    assert not await use(database, minutes=5)
    assert await use(database, minutes=4.99)


async def test_a_new_one_replaces_the_old_and_sweeps_what_is_past(database: Database):
    await put(database, code="old")
    await put(database, phone="other")
    await use(database, code="x")
    await put(database, code="new", minutes=1)
    assert not await use(database, code="old", minutes=1)
    assert await use(database, code="new", minutes=1)
    await put(database, phone="third", minutes=6)
    async with database.read() as session:
        assert [row.phone for row in await session.scalars(select(PhoneCodeRow))] == ["third"]
