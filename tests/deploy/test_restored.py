"""A home is backed up while it runs, goes on and is lost; restored, it says what it lost, verifies, and goes on by itself."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from support.homes import PATIENCE, REPORT, Home, report, written


def withdraw(client: httpx.Client, issue: dict[str, Any]) -> None:
    headers = {"X-Tracking-Code": issue["tracking_code"], "Idempotency-Key": str(uuid4())}
    answer = client.post(f"/v1/issues/{issue['id']}/commands/withdraw", json={}, headers=headers)
    assert answer.status_code in (200, 202), answer.text


def closed(home: Home, client: httpx.Client) -> dict[str, Any]:
    """An issue that its resident has withdrawn, once it is sealed and a head covers it."""
    issue = report(client, str(uuid4()))
    withdraw(client, issue)
    wait_for(lambda: list(home.folder.glob(f"archive/issues/*/{issue['id']}/seal.zst")))
    home.run("audit", "head", "--publish")
    return issue


def wait_for(found: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def acts_by_itself(client: httpx.Client, issue: dict[str, Any]) -> bool:
    """Waits until a timer of this issue has fired from now on."""
    now = datetime.now(UTC)

    def fired() -> bool:
        events = json.loads(written(client, issue))["events"]
        return any(each["actor"] is None and datetime.fromisoformat(each["at"]) > now for each in events)

    wait_for(fired)
    return True


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_a_restored_home_says_what_it_lost_and_goes_on(tmp_path: Path):
    lost, restored, kept = Home(tmp_path / "lost"), Home(tmp_path / "restored"), tmp_path / "kept"
    with lost.up(), lost.client() as client:
        first = closed(lost, client)
        waits = report(client, str(uuid4()), compound="demo")
        lost.run("backup", str(tmp_path / "backup"), "--keys", str(tmp_path / "keys"))
        later = closed(lost, client)
        lost.run("privacy", "erase", "--issue", first["number"], "--yes")
    shutil.copytree(lost.folder / "heads", kept)
    newer = lost.folder / "keys" / "issues.db"
    restored.run("restore", str(tmp_path / "backup"), "--keys", str(tmp_path / "keys"), "--erased", str(newer))
    shutil.rmtree(lost.folder)
    assert "start it by `jiesu up`" in restored.refused("worker")

    with restored.up(), restored.client() as client:
        (said,) = restored.logs()
        for part in (
            "restored from a backup of",
            "open issues that go on from then: 1\n",
            "heads may have been published after it, so none is signed",
            "1 erasures were done again",
        ):
            assert part in said, said
        found = json.loads(restored.run("alarms", "--cause", "restored", "--json"))
        assert [(each["detail"]["open"], each["detail"]["without_workflow"], each["seen_at"]) for each in found] == [
            (1, 0, None)
        ]
        assert acts_by_itself(client, waits)
        gone = client.get(f"/v1/issues/{later['id']}", headers={"X-Tracking-Code": later["tracking_code"]})
        assert gone.status_code == 404, "it came in after the backup"
        assert REPORT["description"] not in written(client, first), "what was erased stays erased"
        restored.run("audit", "verify", "--all")
        assert "--no-newer-heads" in restored.refused("audit", "head", "--publish")

    assert "the log was rolled back" in restored.refused("audit", "restore", "--heads", str(kept))
    assert "--no-newer-heads" in restored.refused("audit", "head", "--publish")
    assert rows(restored.folder / "jiesu.db", "SELECT count(*) FROM heads") == [(1,)]
    with restored.up("--no-worker"):
        assert "restored from a backup" not in restored.logs()[-1]
    assert rows(restored.folder / "jiesu.db", "SELECT count(*) FROM alarms WHERE kind = 'restored'") == [(1,)]
