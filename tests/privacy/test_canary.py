"""What is personal is found nowhere but under its key and in the rows that may hold it; once erased, nowhere at all."""

from collections.abc import AsyncIterator

import pytest

from support.planted import Planted, parts, planted


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Planted]:
    async with planted(tmp_path_factory.mktemp("planted")) as made:
        for life in parts():
            await made.live(life)
        await made.sealed()
        yield made


async def test_it_lies_only_where_it_may(stage: Planted) -> None:
    found = await stage.leaks()
    for where, hits in found.items():
        print(where, len(hits), hits[:2])
    assert not found
