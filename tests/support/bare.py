"""The API over a database, without Temporal and worker: for requests that are refused before either is called."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

from fastapi import FastAPI
from fastapi.routing import APIRoute
from temporalio.client import Client

import support.system
from support.system import System


class Bare(System):
    """See the module; its home and its database must not be those of another one."""

    app: FastAPI
    whole = False

    async def start_worker(self, **options: Any) -> None:
        """There is none."""

    async def start_api(self) -> None:
        made = support.system.create_app

        def remembered(*parts: Any) -> FastAPI:
            self.app = made(*parts)
            return self.app

        with mock.patch.object(support.system, "create_app", remembered):
            await super().start_api()

    @property
    def routes(self) -> list[APIRoute]:
        """Every route of the app that somebody wrote."""
        return [route for route in self.app.routes if isinstance(route, APIRoute)]


@contextlib.asynccontextmanager
async def bare_api(folder: Path, database_url: str = "") -> AsyncIterator[Bare]:
    """The API over a new database; port 1 is nobody's, so Temporal refuses at once."""
    nobody = await Client.connect("127.0.0.1:1", lazy=True)
    async with Bare(folder, nobody, database_url) as bare:
        yield bare
