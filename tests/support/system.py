"""A whole Jiesu in one process for tests: dev server, database, worker and API, each of which can be stopped.

Worker and API each have their own database connections, as two processes would.
"""

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import httpx
from temporalio.client import Client
from temporalio.worker import Worker

import calendars
import worker as worker_root
from activities.codes import CodeJobs
from activities.notices import Deliverer, TableChannel
from activities.sms import SmsLog
from api.app import create_app
from api.container import Services
from api.identity.authenticator import LocalVerifier
from api.identity.tokens import LocalTokens, issue_token
from audit.archive import Archive
from audit.holdings import Holdings
from audit.service import AuditService
from db.directory import store_directory
from db.engine import Database
from db.upgrade import upgrade_async
from domain.directory_csv import parse
from domain.vocabulary import Role
from domain.wire import truncate
from pages.routers import ROUTERS
from policies.loader import shipped
from protocol.hub import Hub
from runtime.blobs import DigestStore
from runtime.temporal import encrypting
from runtime.web import server
from security.keys import Keys
from support.again import SECONDS, Again, client_of, something_is_away
from support.keys import ephemeral_keys
from support.temporal import dev_server

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "directory"
SECRET = b"a secret of tests, at least thirty-two bytes long"
LACKING: Final = {"now", "audit_service", "sms"}
"""Services that a test replaces by something that does not work."""
assert {each.name for each in fields(Services)} >= LACKING
REPORT = {"compound": "demo", "category": "leak", "description": "厨房漏水", "location": "3幢2单元501"}


@dataclass
class Answer:
    """An answer with what tests look at."""

    status: int
    body: Any
    headers: httpx.Headers

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


@dataclass
class System:
    """See the module; made by `running_system`."""

    home: Path
    temporal: Client
    database_url: str = ""
    """Without it, SQLite in the home."""
    client: Again = field(default_factory=Again)
    patience: float = SECONDS
    keys: Keys = field(default_factory=ephemeral_keys)
    whole: ClassVar[bool] = True
    """Whether its API lacks nothing."""
    hub: Hub = field(init=False)
    """That of the API that began last."""
    _working: contextlib.AsyncExitStack | None = None
    _serving: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def __post_init__(self) -> None:
        self.temporal = encrypting(self.temporal, self.keys.converter)
        self.database = Database(self.url)
        self._workers_database = Database(self.url)
        self._apis_database = Database(self.url)

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'jiesu.db'}"

    @property
    def archive(self) -> Archive:
        return Archive((self.home / "archive").as_uri())

    @property
    def texts(self) -> Path:
        """What was sent to phones."""
        return self.home / "sms.jsonl"

    @property
    def heads(self) -> Path:
        """Where heads are published."""
        return self.home / "heads"

    async def __aenter__(self) -> Self:
        await upgrade_async(self.url)
        files = {path.name: path.read_bytes() for path in sorted(EXAMPLE.glob("*.csv"))}
        directory = parse(files, policies=[policy.id for policy in shipped()])
        async with self.database.write() as session:
            await store_directory(session, directory, truncate(datetime.now(UTC)))
        await self.start_worker()
        await self.start_api()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_api()
        await self.stop_worker()
        for database in self._databases:
            await database.close()

    # What runs

    async def start_worker(self, **options: Any) -> None:
        if self._working is not None:
            return
        self._working = contextlib.AsyncExitStack()
        codes = CodeJobs(self._workers_database, self.keys.vault, SECRET, SmsLog(self.texts))
        running: Worker = worker_root.build(self.temporal, self._workers_database, codes=codes, **options)
        await self._working.enter_async_context(running)
        stop = asyncio.Event()
        handlers = worker_root.handlers(
            self.temporal, self._workers_database, self.archive, self.keys, codes=codes
        )  # fmt: skip
        deliverer = Deliverer(self._workers_database, TableChannel(self._workers_database), handlers)
        task = asyncio.create_task(deliverer.run(stop))

        async def finish() -> None:
            stop.set()
            await task

        self._working.push_async_callback(finish)

    async def stop_worker(self) -> None:
        if self._working is not None:
            await self._working.aclose()
            self._working = None

    async def start_api(self) -> None:
        self._serving = contextlib.AsyncExitStack()
        self.client = await self._serving.enter_async_context(self.api_on(self.temporal))

    async def stop_api(self) -> None:
        await self._serving.aclose()

    @contextlib.asynccontextmanager
    async def api_on(
        self, temporal: Client, *, whole: bool | None = None, port: int = 0, **parts: Any
    ) -> AsyncIterator[Again]:
        """One more API process, as it were, on this Temporal; `whole` says that it lacks nothing."""
        given = Services(
            temporal=temporal, database=self._apis_database, verifier=LocalVerifier(LocalTokens(self.home)),
            secret=SECRET, policies={policy.id: policy for policy in shipped()}, calendars=calendars.load_all(),
            audit_service=AuditService(Holdings(self._apis_database, self.archive), self.heads, temporal), keys=self.keys,
            blobs=DigestStore((self.home / "attachments").as_uri()), sms=SmsLog(self.texts),
            mint=partial(issue_token, self.home, role="resident", org=None),
        )  # fmt: skip
        services = replace(given, **parts)
        self.hub = services.hub
        running = server(create_app(services, ROUTERS), "127.0.0.1", port, on_stop=services.hub.close)
        task = asyncio.create_task(running.serve())
        while not running.started:
            await asyncio.sleep(0.01)
        try:
            if whole is None:
                whole = self.whole and temporal is self.temporal and not parts.keys() & LACKING
            async with client_of(f"http://127.0.0.1:{running.port}", whole=whole) as client:
                yield client
        finally:
            running.stop()
            await task

    @contextlib.asynccontextmanager
    async def without_sql(self) -> AsyncIterator[None]:
        """The database is gone for everybody, until a test mends it or this ends."""
        with something_is_away():
            await self.break_sql()
            try:
                yield
            finally:
                if (self.home / "away").exists():
                    await self.mend_sql()

    async def break_sql(self) -> None:
        """Its file is elsewhere and a folder lies in its place."""
        for database in self._databases:
            await database.disconnect()
        away = self.home / "away"
        away.mkdir()
        for path in self.home.glob("jiesu.db*"):
            shutil.move(path, away / path.name)
        (self.home / "jiesu.db").mkdir()

    async def mend_sql(self) -> None:
        (self.home / "jiesu.db").rmdir()
        for path in (self.home / "away").iterdir():
            shutil.move(path, self.home / path.name)
        (self.home / "away").rmdir()

    @property
    def _databases(self) -> tuple[Database, ...]:
        return (self.database, self._workers_database, self._apis_database)

    # What tests do with it

    def token(self, person: str, role: Role, org: str | None = None) -> dict[str, str]:
        """The header of somebody's bearer token."""
        return {"Authorization": f"Bearer {issue_token(self.home, person, role, org)}"}

    @property
    def staff(self) -> dict[str, str]:
        return self.token("p1", "property", "demo-property")

    @property
    def community(self) -> dict[str, str]:
        return self.token("c1", "community", "demo-community")

    @property
    def street(self) -> dict[str, str]:
        return self.token("s1", "street", "demo-street")

    async def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return _answer(await self.client.get(path, headers=headers, params=query))

    async def report(self, headers: dict[str, str] | None = None, key: str | None = None, **body: Any) -> Answer:
        sent = {"Idempotency-Key": key or str(uuid.uuid4()), **(headers or {})}
        return _answer(await self.client.post("/v1/issues", json={**REPORT, **body}, headers=sent))

    async def send(
        self, issue: str, command: str, headers: dict[str, str], key: str | None = None, /, **body: Any
    ) -> Answer:
        """Gives a command; the answer is 202 where nobody works, or on a machine that is busy otherwise."""
        sent = {"Idempotency-Key": key or str(uuid.uuid4()), **headers}
        path = f"/v1/issues/{issue}/commands/{command}"
        return _answer(await self.client.post(path, json=body, headers=sent))

    async def give(
        self, issue: str, command: str, headers: dict[str, str], key: str | None = None, /, **body: Any
    ) -> Answer:
        """As `send`, and again with the same key as long as the command is queued."""
        sent = {"Idempotency-Key": key or str(uuid.uuid4()), **headers}
        return _answer(await self.client.command(f"/v1/issues/{issue}/commands/{command}", sent, json=body))

    async def until(
        self, path: str, headers: dict[str, str], ready: Any, patience: float | None = None, **query: Any
    ) -> Answer:
        """What a path answers once that is as wanted."""
        async with asyncio.timeout(patience or self.patience):
            while True:
                answer = await self.get(path, headers, **query)
                if answer.status == 200 and ready(answer.body):
                    return answer
                await asyncio.sleep(0.05)


def _answer(answer: httpx.Response) -> Answer:
    is_json = "json" in answer.headers.get("content-type", "")
    return Answer(answer.status_code, answer.json() if is_json else answer.text, answer.headers)


@contextlib.asynccontextmanager
async def running_system(folder: Path, database_url: str = "") -> AsyncIterator[System]:
    """A whole system in a folder of its own."""
    async with dev_server(folder) as temporal, System(folder, temporal, database_url) as system:
        yield system
