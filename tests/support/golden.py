"""Records the golden histories from real runs: ``make golden``. Read CONTRIBUTING.md before you commit new ones."""

import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.history.v1 import History
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

import calendars
import worker
from db.engine import Database
from db.upgrade import upgrade
from domain.issue import RULES_VERSION
from domain.pins import pins_digest
from domain.policy import Policy
from domain.wire import dump, format_time, truncate
from policies.loader import load_pack
from support.derived import Derived, derive, runs_of
from support.scenarios import OPERATOR, OUTAGE, RESIDENT, SCENARIOS, UNSIGNED
from support.signers import lasting_signer
from support.temporal import dev_server
from workflows.contract import PREFIX, TASK_QUEUE, Start
from workflows.signals import signal

HISTORIES = Path(__file__).resolve().parents[1] / "workflows" / "histories"
SIGNER = lasting_signer()
"""Stands for the API in all that is played here."""
PLACE = {
    "compound": "demo", "community": "demo-community", "street": "demo-street",
    "operator": "demo-property", "operator_kind": "company", "name": "体验小区",
}  # fmt: skip


def _now() -> datetime:
    return truncate(datetime.now(UTC))


def grants_of(actor: dict[str, Any]) -> list[dict[str, Any]]:
    by = "order" if actor["person"] == OPERATOR["person"] else "token"
    found = {"role": actor["role"], "org": actor.get("org"), "by": by}
    return [found | {"compound": "demo"} if actor["role"] == "property" else found]


def _resolved(body: dict[str, Any], began: datetime) -> dict[str, Any]:
    """The body with its relative times made absolute and its policy put in."""

    def moment(seconds: float) -> str:
        return format_time(began + timedelta(seconds=seconds))

    found = dict(body)
    for name in ("time", "review"):
        if name in found:
            found[name] = moment(found[name])
    if "steps" in found:
        found["steps"] = [{**step, "due": moment(step["due"])} for step in found["steps"]]
    if "body" in found:
        found["body"] = dump(load_pack(found["body"]))
    return found


async def start_issue(
    client: Client, issue: str, command: str = "report", policy: Policy | None = None, category: str = "leak"
) -> datetime:
    """Starts an issue in compound `demo` as the API would, by default under the demo pack; when."""
    began = _now()
    # Only the years that matter to a demo issue, so that the files stay small.
    years = tuple(year for year in calendars.load_all() if year.year == began.year)
    policy = policy or load_pack("demo")
    report = {
        "id": command, "at": format_time(began), "actor": RESIDENT,
        "body": {
            "number": f"JS-{issue}", "place": PLACE, "category": category, "common": True, "description": "厨房漏水",
            "root": SIGNER.root, "pins": pins_digest(policy, years, RULES_VERSION),
        },
        "grants": [{"role": "resident", "by": "report"}],
    }  # fmt: skip
    signed = SIGNER.sign(SIGNER.root, issue, "report", report)
    start = Start(issue, dump(policy), [dump(year) for year in years], RULES_VERSION, signed)
    await client.start_workflow("Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE)
    return began


async def give(client: Client, issue: str, command: str, plain: dict[str, Any]) -> None:
    """Sends the command ``{id, at, actor, body}`` as the API would, with what its actor holds."""
    signed = SIGNER.sign(SIGNER.root, issue, command, plain | {"grants": grants_of(plain["actor"])})
    # A slow machine takes longer than any caller would wait to continue a workflow as a new run.
    await signal(client, issue, command, signed, timeout=timedelta(seconds=60))


async def play(client: Client, name: str, database_file: Path) -> None:
    """Starts the issue and sends it the scenario's commands, one after the other."""
    issue = f"golden-{name}"
    began = await start_issue(client, issue, f"{name}-report")
    handle = client.get_workflow_handle(PREFIX + issue)
    outage = asyncio.create_task(_outage(database_file, *OUTAGE[name])) if name in OUTAGE else None
    await asyncio.sleep(0.3)
    for number, (pause, command, actor, body) in enumerate(SCENARIOS[name]):
        await asyncio.sleep(pause + 0.05)
        if command:
            at = format_time(_now())
            plain = {"id": f"{name}-{number}", "at": at, "actor": actor, "body": _resolved(body, began)}
            send = signal if UNSIGNED.get(name) == number else give
            try:
                await send(client, issue, command, plain)
            except RPCError as error:
                raise RuntimeError(f"{name}: command {number} {command}: {error.message}") from error
    await asyncio.wait_for(handle.result(), 120)
    if outage is not None:
        await outage


async def _later(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(seconds)
    await work


async def _outage(file: Path, begin: float, end: float) -> None:
    """Nobody else can write while this connection holds the lock."""
    await asyncio.sleep(begin)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        await asyncio.sleep(end - begin)
        connection.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Client, Path]]:
    """A real dev server that suggests continue-as-new early, a migrated SQLite file, a worker."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "golden.db"
        url = f"sqlite+aiosqlite:///{file}"
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        async with (
            dev_server(Path(folder), "limit.historyCount.suggestContinueAsNew=60") as client,
            worker.build(client, database),
        ):
            yield client, file
        await database.close()


def expected(derived: Derived) -> dict[str, Any]:
    """What is committed beside a history: the commands and the events that the code of that day gave."""
    return {"commands": derived.commands, "events": derived.events}


async def record(names: list[str]) -> None:
    """Plays the scenarios side by side and writes ``NAME.RUN.pb`` and ``NAME.json``."""
    async with running() as (client, file):
        outages = [name for name in names if name in OUTAGE]
        calm = [name for name in names if name not in outages]
        # Not all at once: a local activity that is merely slow would leave an outage in a history of calm days.
        await asyncio.gather(*(_later(n * 1.5, play(client, name, file)) for n, name in enumerate(calm)))
        for name in outages:
            await play(client, name, file)
        for name in names:
            runs = await runs_of(client, f"golden-{name}")
            for old in HISTORIES.glob(f"{name}.*.pb"):
                old.unlink()
            for number, run in enumerate(runs):
                history = History(events=run.events)
                (HISTORIES / f"{name}.{number}.pb").write_bytes(history.SerializeToString(deterministic=True))
            derived = await derive(f"golden-{name}", runs)
            text = json.dumps(expected(derived), ensure_ascii=False, indent=1, sort_keys=True)
            (HISTORIES / f"{name}.json").write_text(text + "\n", "utf-8")


def load_runs(name: str) -> list[WorkflowHistory]:
    """The committed runs of one golden issue, the oldest first."""
    files = sorted(HISTORIES.glob(f"{name}.*.pb"), key=lambda file: int(file.suffixes[-2][1:]))
    found: list[WorkflowHistory] = []
    for file in files:
        history = History()
        history.ParseFromString(file.read_bytes())
        found.append(WorkflowHistory(f"issue-golden-{name}", history.events))
    return found


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(SCENARIOS)))
