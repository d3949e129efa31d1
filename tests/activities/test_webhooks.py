"""Webhooks: signed, with an id, without personal data; a slow or failing receiver does not delay the others."""

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from activities.notices import MOST_TRIES, Deliverer, TableChannel
from activities.webhooks import REST_SECONDS, Receiver, WebhookChannel, open_channel, read_receivers
from db.engine import Database
from db.tables import NoticeRow, OutboxRow
from domain.commands import Accept, Urge
from runtime.egress import EgressGuard
from runtime.settings import SettingsError
from support.receiver import receiver
from support.stories import PROPERTY, RESIDENT, START, Story, lit_at_night, store

SECRET = "a secret of this receiver, long enough for anybody"


async def queued(database: Database) -> Story:
    story = Story()
    await store(database, story, story.reported() + story.give(Accept(), PROPERTY))
    return story


class Clock:
    def __init__(self) -> None:
        self.now = START + timedelta(hours=1)

    def __call__(self):
        return self.now

    @property
    def seconds(self) -> float:
        return self.now.timestamp()


def hooked(database: Database, port: int, clock: Clock) -> Deliverer:
    local = EgressGuard([f"127.0.0.1:{port}"], local=True)
    receivers = {PROPERTY.org or "": Receiver(f"http://127.0.0.1:{port}/hook?key=hidden", SECRET.encode())}
    gateway = WebhookChannel(TableChannel(database, clock), receivers, local, lambda: clock.seconds)
    return Deliverer(database, gateway, clock=clock)


async def rows(database: Database) -> list[OutboxRow]:
    async with database.read() as session:
        return list(await session.scalars(select(OutboxRow).order_by(OutboxRow.id)))


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:]), body


async def test_a_light_of_the_night_reaches_a_webhook_at_the_opening(database: Database):
    story, events, opening = lit_at_night()
    await store(database, story, events)
    clock = Clock()
    async with receiver() as found:
        deliverer = hooked(database, found.port, clock)
        told: list[list[str]] = []
        for clock.now in (story.now, opening - timedelta(seconds=1), opening):
            before = len(found.got)
            await deliverer.deliver_pending()
            told.append([json.loads(split(request)[1])["kind"] for request in found.got[before:]])
    assert told == [["dispatched", "warned"], [], ["overdue"]]


async def test_a_webhook_delivers_the_notices_of_its_organisation(database: Database):
    story = await queued(database)
    async with receiver() as found:
        assert await hooked(database, found.port, Clock()).deliver_pending()
    (request,) = found.got
    headers, body = split(request)
    told: dict[str, Any] = json.loads(body)
    (mine,) = [row for row in await rows(database) if row.to_org == PROPERTY.org]
    assert (told["id"], told["kind"], told["issue"], told["org"]) == (
        mine.id,
        "dispatched",
        story.issue.id,
        mine.to_org,
    )
    assert told["number"] == story.issue.number
    assert set(told) <= {
        "id", "kind", "issue", "seq", "org", "number", "place", "category", "level", "clause", "due", "ring",
    }  # fmt: skip
    assert headers["x-jiesu-notice"] == str(mine.id)
    moment, _, given = headers["x-jiesu-signature"].partition(",")
    signed = moment.removeprefix("t=").encode() + b"." + body
    assert given == "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    async with database.read() as session:
        assert len(list(await session.scalars(select(NoticeRow)))) == 2
    assert {row.status for row in await rows(database)} == {"sent"}


async def test_one_that_fails_is_tried_again_with_the_same_id_and_no_one_else_waits(database: Database):
    await queued(database)
    clock = Clock()
    async with receiver() as found:
        found.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        deliverer = hooked(database, found.port, clock)
        await deliverer.deliver_pending()
        states = {row.to_org: row.status for row in await rows(database)}
        assert states == {PROPERTY.org: "pending", None: "sent"}
        (late,) = [row for row in await rows(database) if row.to_org == PROPERTY.org]
        assert late.last_error == "webhook: status 500"
        found.answer = b"HTTP/1.1 204 Good\r\n\r\n"
        clock.now += timedelta(seconds=REST_SECONDS + 1)
        await deliverer.deliver_pending()
    ids = [split(request)[0]["x-jiesu-notice"] for request in found.got]
    assert ids == [str(late.id)] * 2
    assert {row.status for row in await rows(database)} == {"sent"}
    async with database.read() as session:
        assert len(list(await session.scalars(select(NoticeRow)))) == 2


async def test_one_that_failed_is_left_alone_for_a_while(database: Database):
    clock = Clock()
    async with receiver() as found:
        found.answer = b"nonsense\r\n\r\n"
        deliverer = hooked(database, found.port, clock)
        await queued(database)
        await deliverer.deliver_pending()
        await queued(database)
        await deliverer.deliver_pending()
        assert found.connections == 1
        (*_, last) = [row for row in await rows(database) if row.to_org == PROPERTY.org]
        assert (last.status, last.last_error) == ("pending", "the receiver failed a moment ago")
        assert (last.attempts, last.ready_at) == (0, clock.now + timedelta(seconds=REST_SECONDS)), "none was made"
    assert "hidden" not in "".join(row.last_error or "" for row in await rows(database))


async def test_a_receiver_that_is_given_up_is_on_record_as_failed(database: Database):
    await queued(database)
    clock = Clock()
    async with receiver() as found:
        port = found.port
    deliverer = hooked(database, port, clock)
    for _ in range(MOST_TRIES):
        await deliverer.deliver_pending()
        clock.now += timedelta(hours=2)
    (mine,) = [row for row in await rows(database) if row.to_org == PROPERTY.org]
    assert (mine.status, mine.last_error) == ("failed", "webhook: ConnectError")


def test_a_file_names_the_receivers(tmp_path: Path):
    file = tmp_path / "webhooks.json"
    file.write_text(json.dumps({"demo-property": {"url": "https://hooks.example/a", "secret": SECRET}}))
    found = read_receivers(file, EgressGuard(["hooks.example"]))
    assert found == {"demo-property": Receiver("https://hooks.example/a", SECRET.encode())}
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is no JSON"),
        ("[]", "must be an object"),
        ('{"a": 1}', "'a' needs a url and a secret"),
        (json.dumps({"a": {"url": "https://hooks.example/", "secret": SECRET, "x": 1}}), "and nothing else"),
        (json.dumps({"a": {"url": "https://hooks.example/", "secret": "short"}}), "at least 32 characters"),
        (json.dumps({"a": {"url": "https://other.example/", "secret": SECRET}}), "JIESU_OUTGOING_HOSTS"),
        (json.dumps({"a": {"url": "http://hooks.example/", "secret": SECRET}}), "no https address"),
    ],
)
def test_an_unfit_file_stops_the_start_and_shows_no_secret(tmp_path: Path, text: str, reason: str):
    file = tmp_path / "webhooks.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=reason) as caught:
        read_receivers(file, EgressGuard(["hooks.example"]))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_without_a_webhook_file_notices_go_to_the_table(database: Database, tmp_path: Path):
    assert isinstance(open_channel(database, None, EgressGuard([])), TableChannel)
    with pytest.raises(SettingsError, match="cannot be read"):
        open_channel(database, tmp_path / "none", EgressGuard([]))


async def test_a_notice_behind_one_that_waits_can_be_read_here_at_once(database: Database):
    story = await queued(database)
    clock = Clock()
    async with receiver() as found:
        found.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        deliverer = hooked(database, found.port, clock)
        await deliverer.deliver_pending()
        await store(database, story, story.give(Urge(), RESIDENT))
        await deliverer.deliver_pending()
        assert found.connections == 1
        async with database.read() as session:
            read = await session.scalars(select(NoticeRow.template).where(NoticeRow.to_org == PROPERTY.org))
            assert set(read) == {"dispatched", "urged"}
        found.answer = b"HTTP/1.1 204 Good\r\n\r\n"
        clock.now += timedelta(seconds=REST_SECONDS + 1)
        await deliverer.deliver_pending()
    assert [json.loads(split(request)[1])["kind"] for request in found.got] == ["dispatched", "dispatched", "urged"]
