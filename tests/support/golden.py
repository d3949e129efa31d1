"""Records the golden histories from real runs: ``make golden``. Read CONTRIBUTING.md before you commit new ones."""

import asyncio
import contextlib
import importlib.metadata
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
from domain.personal import Sealed
from domain.pins import pins_digest, read_calendars
from domain.wire import dump, format_time, truncate
from policies.loader import load_pack
from security.credentials import Signer
from support.derived import Derived, derive, runs_of
from support.scenarios import OUTAGE, RESIDENT, SCENARIOS, SIGNED
from support.temporal import dev_server
from workflows.contract import PREFIX, TASK_QUEUE, Start
from workflows.signals import signal

HISTORIES = Path(__file__).resolve().parents[1] / "workflows" / "histories"
"""Those of the era that is going on. One that is over keeps its folder; the next gets one of its own beside it."""
ERA = (HISTORIES / "era").read_text("utf-8").strip()
"""The version that records them: what an earlier one recorded is never recorded anew."""
PLACE = {
    "compound": "demo", "community": "demo-community", "street": "demo-street",
    "operator": "demo-property", "operator_kind": "company", "name": "体验小区",
}  # fmt: skip


def _now() -> datetime:
    return truncate(datetime.now(UTC))


def _grants(actor: dict[str, Any]) -> list[dict[str, Any]]:
    found = {"role": actor["role"], "org": actor.get("org"), "by": "token"}
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


async def start_issue(client: Client, issue: str, command: str = "report", signer: Signer | None = None) -> datetime:
    """Starts an issue in compound `demo` as the API would, signed if there is a signer; when."""
    began = _now()
    report = {
        "id": command, "at": format_time(began), "actor": RESIDENT,
        "body": {"number": f"JS-{issue}", "place": PLACE, "category": "leak", "description": "厨房漏水"},
    }  # fmt: skip
    # Only the years that matter to a demo issue, so that the files stay small.
    years = [dump(year) for year in calendars.load_all() if year.year == began.year]
    policy = load_pack("demo")
    if signer is not None:
        covers = pins_digest(policy, read_calendars(years), RULES_VERSION)
        report["body"] |= {"root": signer.root, "pins": covers, "description": str(Sealed(issue, "bm9ib2R5"))}
        report = signer.sign(signer.root, issue, "report", report | {"grants": [{"role": "resident", "by": "report"}]})
    # Nothing was signed under the first version of the rules.
    start = Start(issue, dump(policy), years, 1 if signer is None else RULES_VERSION, report)
    await client.start_workflow("Issue", start, id=PREFIX + issue, task_queue=TASK_QUEUE)
    return began


async def play(client: Client, name: str, database_file: Path) -> None:
    """Starts the issue and sends it the scenario's commands, one after the other."""
    issue = f"golden-{name}"
    signer = Signer.ephemeral() if name in SIGNED else None
    began = await start_issue(client, issue, f"{name}-report", signer)
    handle = client.get_workflow_handle(PREFIX + issue)
    outage = asyncio.create_task(_outage(database_file, *OUTAGE[name])) if name in OUTAGE else None
    await asyncio.sleep(0.3)
    for number, (pause, command, actor, body) in enumerate(SCENARIOS[name]):
        await asyncio.sleep(pause + 0.05)
        if command:
            at = format_time(_now())
            plain = {"id": f"{name}-{number}", "at": at, "actor": actor, "body": _resolved(body, began)}
            if signer is not None and number != SIGNED[name]:
                plain = signer.sign(signer.root, issue, command, plain | {"grants": _grants(actor)})
            try:
                await signal(client, issue, command, plain)
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
    """Plays the scenarios side by side and writes ``NAME.RUN.pb`` and ``NAME.json`` into the era's folder."""
    if not importlib.metadata.version("jiesu").startswith(f"{ERA}."):
        raise SystemExit(f"{HISTORIES} is what {ERA} recorded: begin an era of your own, see CONTRIBUTING.md")
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
