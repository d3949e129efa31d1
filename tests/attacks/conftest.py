"""One running system for all attacks that need one, and a check that the code under attack is that of this tree."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import domain
from support.bare import Bare, bare_api
from support.databases import database, database_url
from support.system import System, running_system

__all__ = ["database", "database_url"]

# A defence is taken out in a copy of the tree: attacked there must be the copy, not what is installed.
assert Path(domain.__file__).resolve().is_relative_to(Path(__file__).resolve().parents[2]), domain.__file__


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("attacked")) as running:
        yield running


@pytest.fixture(scope="session")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bare]:
    async with bare_api(tmp_path_factory.mktemp("bare")) as running:
        yield running
