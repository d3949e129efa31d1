"""A weekend without receiver: an organisation's webhook is down from Friday to Monday, in virtual time."""

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from sqlalchemy import select

from activities.notices import Deliverer, NotTriedError, TableChannel
from activities.webhooks import REST_SECONDS, WebhookChannel, read_receivers
from db.engine import Database
from db.outbox import Entry
from db.tables import OutboxRow
from runtime.egress import EgressGuard
from support.ports import free_port
from tests.drills.house import House, HouseError, until

ORG: Final = "other-property"
HOURS: Final = 63
"""From Friday, 18:00, to Monday, 9:00."""


class Hook(BaseHTTPRequestHandler):
    """Answers 500 while the weekend lasts."""

    down = False
    got: tuple[str, ...] = ()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not type(self).down:
            type(self).got += (self.headers["X-Jiesu-Notice"],)
        self.send_response(500 if type(self).down else 204)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def served(house: House) -> Iterator[None]:
    """A receiver of this home's webhook, named in its environment."""
    port = free_port()
    server = ThreadingHTTPServer(("127.0.0.1", port), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = house.folder / "webhooks.json"
    file.write_text(json.dumps({ORG: {"url": f"http://127.0.0.1:{port}/hook", "secret": "s" * 32}}))
    house.env |= {
        "JIESU_WEBHOOKS": str(file),
        "JIESU_OUTGOING_HOSTS": f"127.0.0.1:{port}",
        "JIESU_OUTGOING_LOCAL": "true",
    }
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def away(house: House) -> Iterator[None]:
    """The receiver fails within the block, and for the rest of the weekend; at its end all notices are with it."""
    Hook.down = True
    try:
        until(lambda: house.report(str(uuid.uuid4())).status == 201)
        yield
        house.stop()
        tries = asyncio.run(_weekend(house))
    finally:
        Hook.down = False
    if waits := asyncio.run(_monday(house, tries)):
        raise HouseError(f"after the weekend {waits} notices had not been sent")


class _Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()


@contextlib.asynccontextmanager
async def _deliverer(house: House, clock: _Clock):
    database = Database(f"sqlite:///{house.home / 'jiesu.db'}")
    guard = EgressGuard([house.env["JIESU_OUTGOING_HOSTS"]], local=True)
    receivers = read_receivers(house.folder / "webhooks.json", guard)

    async def later(_: Entry) -> None:
        raise NotTriedError("not today", timedelta(hours=1))

    async with database.read() as session:
        names = await session.scalars(select(OutboxRow.template).where(OutboxRow.kind == "job").distinct())
    channel = WebhookChannel(TableChannel(database, clock), receivers, guard, clock.seconds)
    try:
        yield database, Deliverer(database, channel, dict.fromkeys(names, later), clock)
    finally:
        await database.close()


async def _weekend(house: House) -> timedelta:
    """Lets the hours pass, a quarter of one at a time; raises HouseError if a notice was given up."""
    clock = _Clock()
    began = clock.now
    async with _deliverer(house, clock) as (database, deliverer):
        while clock.now < began + timedelta(hours=HOURS):
            clock.now += timedelta(minutes=15)
            await deliverer.deliver_pending()
        if await _left(database, "failed"):
            raise HouseError("a notice was given up during the weekend")
        if not await _left(database, "pending"):
            raise HouseError("no notice waited during the weekend")
    return clock.now - began


async def _monday(house: House, passed: timedelta) -> int:
    """How many notices are not with the receiver two hours after it came back."""
    clock = _Clock()
    clock.now += passed
    async with _deliverer(house, clock) as (database, deliverer):
        for _ in range(8):
            clock.now += timedelta(minutes=15, seconds=REST_SECONDS)
            await deliverer.deliver_pending()
        return await _left(database, "pending") + await _left(database, "failed")


async def _left(database: Database, status: str) -> int:
    async with database.read() as session:
        query = select(OutboxRow.id).where(
            OutboxRow.to_org == ORG, OutboxRow.status == status, OutboxRow.kind == "notice"
        )
        return len((await session.scalars(query)).all())
