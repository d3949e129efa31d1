"""Malformed signals: each is refused by Temporal or recorded, and the issue goes on."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from db.engine import Database
from db.tables import EventRow
from domain.wire import format_time, truncate
from security.signing import sign
from support.databases import database_url
from support.derived import derive, runs_of
from support.golden import SIGNER, give, grants_of, start_issue
from support.scenarios import STAFF
from support.temporal import dev_server
from worker import build
from workflows.contract import PREFIX

__all__ = ["database_url"]

MEGABYTE = 1024 * 1024
DEEP = b"[" * 1000 + b"]" * 1000


def raw(data: bytes, encoding: str = "json/plain") -> Payload:
    return Payload(metadata={"encoding": encoding.encode()}, data=data)


def letter(body: object, **changes: Any) -> Payload:
    head = {"id": str(uuid.uuid4()), "at": format_time(truncate(datetime.now(UTC))), "actor": STAFF, "body": body}
    head["grants"] = grants_of(STAFF)
    return raw(json.dumps({**head, **changes}).encode())


def signed(issue: str, name: str, payload: Payload) -> Payload:
    """As by somebody who has the key: so that what looks at a command behind its signature has to take it, too."""
    with contextlib.suppress(ValueError, RecursionError):
        plain = json.loads(payload.data)
        if isinstance(plain, dict):
            return raw(json.dumps(sign(SIGNER._source(), SIGNER.root, issue, name, plain)).encode())
    return payload


def around(body: bytes) -> Payload:
    """A good envelope around a body that is JSON only just."""
    return raw(letter("@@").data.replace(b'"@@"', body))


POISON: dict[str, tuple[str, Sequence[Payload]]] = {
    "unknown-signal": ("frobnicate", [letter({})]),
    "unshowable-signal": ("frob\0\nnicate", [letter({})]),
    "report-again": ("report", [letter({})]),
    "no-payload": ("accept", []),
    "two-payloads": ("accept", [letter({}), letter({})]),
    "unknown-encoding": ("accept", [raw(b"\xff\x00", "binary/encrypted")]),
    "no-encoding": ("accept", [Payload(data=b"{}")]),
    "no-json": ("accept", [raw(b"{nope")]),
    "no-utf-8": ("accept", [raw(b'{"id": "\xff"}')]),
    "a-list": ("accept", [raw(b"[1, 2]")]),
    "nothing": ("accept", [raw(b"", "binary/null")]),
    "missing-key": ("accept", [raw(b'{"at": "2026-11-21T08:00:00.000Z", "body": {}}')]),
    "missing-id": ("comment", [letter({"text": "x"}, id="")]),
    "missing-field": ("assess", [letter({})]),
    "unknown-field": ("comment", [letter({"level": "street"})]),
    "unstorable-name": ("comment", [letter({"a\0\ud800": "x"})]),
    "nul": ("comment", [letter({"text": "a\0b"})]),
    "half-a-character": ("comment", [letter({"text": "\ud800"})]),
    "deep": ("comment", [raw(DEEP)]),
    "deep-body": ("comment", [around(b'{"text": ' + DEEP + b"}")]),
    "not-a-number": ("comment", [letter({"text": "x"}, at=float("nan"))]),
    "before-all-time": ("comment", [letter({"text": "x"}, at="0001-01-01T00:00:00+23:00")]),
    "after-all-time": ("comment", [letter({"text": "x"}, at="9999-12-31T23:59:59.999Z")]),
    "at-the-beginning-of-time": ("comment", [letter({"text": "x"}, at="0001-01-01T00:00:00.000Z")]),
    "no-limit": ("extend", [letter({"reason": "x", "by": "99999999999999s"})]),
    "endless-id": ("comment", [letter({"text": "x"}, id="i" * 10_000)]),
    "too-heavy": ("comment", [letter({"text": "y" * 300_000})]),
    "two-megabytes-less-one": ("comment", [raw(b'"' + b"z" * (2 * MEGABYTE - 3) + b'"')]),
    "two-megabytes-as-a-whole": ("comment", [letter({"text": "z" * (2 * MEGABYTE - 1000)})]),
    "two-megabytes-and-one": ("comment", [raw(b'"' + b"z" * (2 * MEGABYTE - 1) + b'"')]),
}
ODD: dict[str, tuple[str, Sequence[Payload]]] = {
    "huge-version": ("comment", [letter({"text": "x"}, expected_version=10**300)]),
    "huge-number": ("step_done", [letter({"step": 10**300})]),
    "far-review": ("wait", [letter({"reason": "parts", "review": "9999-12-31T23:59:59.999Z"})]),
    "far-step": ("plan", [letter({"steps": [{"title": "x", "due": "9999-12-31T23:59:59.999Z"}]})]),
    "far-appointment": ("schedule", [letter({"time": "9999-12-31T23:59:59.999Z"})]),
}
"""What can be read, and is then applied or refused by the rules."""


@contextlib.asynccontextmanager
async def shell(folder: Path, url: str) -> AsyncIterator[tuple[Client, Database]]:
    database = Database(url)
    async with dev_server(folder) as client, build(client, database):
        yield client, database
    await database.close()


async def throw(client: Client, issue: str, name: str, payloads: Sequence[Payload]) -> bool:
    """Sends the signal, signed where that can be done; whether the server took it."""
    payloads = [signed(issue, name, payload) for payload in payloads]
    execution = WorkflowExecution(workflow_id=PREFIX + issue)
    request = SignalWorkflowExecutionRequest(
        namespace=client.namespace, workflow_execution=execution, signal_name=name, input=Payloads(payloads=payloads)
    )
    try:
        await client.workflow_service.signal_workflow_execution(request)
    except RPCError:
        return False
    return True


async def stored(database: Database, issue: str) -> list[dict[str, Any]]:
    async with database.read() as session:
        query = select(EventRow.body).where(EventRow.issue == issue).order_by(EventRow.seq)
        return list(await session.scalars(query))


async def after(client: Client, database: Database, issue: str) -> list[dict[str, Any]]:
    """The record once a good command that was sent last is on it; the history leads to the same."""
    at = format_time(truncate(datetime.now(UTC)))
    await give(client, issue, "comment", {"id": "good", "at": at, "actor": STAFF, "body": {"text": "还活着"}})
    async with asyncio.timeout(60):
        while not any(event.get("command", {}).get("id") == "good" for event in await stored(database, issue)):
            await asyncio.sleep(0.1)
    record = await stored(database, issue)
    derived = await derive(issue, await runs_of(client, issue))
    assert derived.events[: len(record)] == record[: len(derived.events)]
    assert (await client.get_workflow_handle(PREFIX + issue).query("snapshot"))["state"]["version"] >= len(record)
    return record


async def test_poison_is_put_on_record_and_the_issue_lives(tmp_path: Path, database_url: str) -> None:
    async with shell(tmp_path, database_url) as (client, database):
        for name, (kind, payloads) in POISON.items():
            await start_issue(client, name)
            taken = await throw(client, name, kind, payloads)
            record = await after(client, database, name)
            kinds = [event["kind"] for event in record]
            assert kinds.count("rejected_signal") == taken, (name, kinds)
            assert "commented" in kinds, name
            assert taken or name.startswith("two-megabytes"), f"{name} was not even taken"


async def test_what_is_odd_but_readable_is_for_the_rules(tmp_path: Path, database_url: str) -> None:
    async with shell(tmp_path, database_url) as (client, database):
        for name, (kind, payloads) in ODD.items():
            await start_issue(client, name)
            await accept_and_arrive(client, name)
            assert await throw(client, name, kind, payloads)
            record = await after(client, database, name)
            first = json.loads(payloads[0].data)["id"]
            assert [event["kind"] for event in record if event.get("command", {}).get("id") == first], name


async def accept_and_arrive(client: Client, issue: str) -> None:
    at = format_time(truncate(datetime.now(UTC)))
    await give(client, issue, "accept", {"id": "accept", "at": at, "actor": STAFF, "body": {}})
    body = {"assessment": "complex"}
    await give(client, issue, "arrive", {"id": "arrive", "at": at, "actor": STAFF, "body": body})
