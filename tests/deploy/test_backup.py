"""A home of `jiesu up` is copied during use, lost, and restored by the commands of docs/operations.md."""

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from support.homes import PATIENCE, REPORT, Home, report, written


def report_until(stop: threading.Event, home: Home, acknowledged: dict[str, dict[str, Any]]) -> None:
    """Reports one issue after the other, and notes what was acknowledged."""
    with home.client() as client:
        while not stop.is_set():
            key = str(uuid4())
            acknowledged[key] = report(client, key)


def back_up_under_load(home: Home, copy: Path) -> dict[str, dict[str, Any]]:
    """Copies the home while issues come in; those that were acknowledged before the copying began, by key."""
    acknowledged: dict[str, dict[str, Any]] = {}
    stop = threading.Event()
    crowd = [threading.Thread(target=report_until, args=(stop, home, acknowledged)) for _ in range(2)]
    for person in crowd:
        person.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while len(acknowledged) < 10 and time.monotonic() < deadline:
            time.sleep(0.05)
        before = dict(acknowledged)
        home.run("backup", str(copy), "--keys", str(copy.with_name("keys")))
    finally:
        stop.set()
        for person in crowd:
            person.join(PATIENCE)
    return before


def test_a_home_is_restored_whole(tmp_path: Path):
    lost, restored = Home(tmp_path / "lost"), Home(tmp_path / "restored")
    with lost.up():
        before = back_up_under_load(lost, tmp_path / "copy")
    shutil.rmtree(lost.folder)
    restored.run("restore", str(tmp_path / "copy"), "--keys", str(tmp_path / "keys"))
    with restored.up("--no-worker"):
        again = json.loads(restored.run("rebuild", "--json"))
    assert again["differences"] == [], "the start has made the read model whole"
    assert again["issues"] >= len(before) >= 10
    with restored.up(), restored.client() as client:
        for key, issue in before.items():
            found = report(client, key)
            assert {name: found[name] for name in ("id", "number", "tracking_code", "version")} == {
                name: issue[name] for name in ("id", "number", "tracking_code", "version")
            }
            assert REPORT["description"] in written(client, issue), "the key of its texts is in the copy"
        assert report(client, str(uuid4()))["status"] == "dispatched"


def test_a_lost_read_model_is_refilled_by_the_next_start(tmp_path: Path):
    home = Home(tmp_path / "home")
    listed = ("worklist", "--role", "property", "--org", "other-property", "--json")
    with home.up() as running, home.client() as client:
        issue = report(client, str(uuid4()))
        while not json.loads(home.run(*listed))["items"]:
            assert running.poll() is None
    for path in home.folder.glob("jiesu.db*"):
        path.unlink()
    with home.up("--no-worker"):
        found = json.loads(home.run(*listed))["items"]
    assert [each["id"] for each in found] == [issue["id"]]
    first, second = sorted(tmp_path.glob("home-*.log"), key=lambda log: log.stat().st_mtime)
    assert "refilling" not in first.read_text("utf-8")
    assert "refilling" in second.read_text("utf-8")
    assert "GapError" not in second.read_text("utf-8")


def test_a_lost_file_of_temporal_is_said_and_put_back(tmp_path: Path):
    home, kept = Home(tmp_path / "home"), tmp_path / "kept"
    listed = ("worklist", "--role", "property", "--org", "other-property", "--json")
    with home.up() as running, home.client() as client:
        issue = report(client, str(uuid4()))
        while not json.loads(home.run(*listed))["items"]:
            assert running.poll() is None
    kept.mkdir()
    for path in home.folder.glob("temporal.db*"):
        shutil.move(path, kept / path.name)
    said = "1 issue is open, and Temporal does not hold it"
    assert said in home.refused("up")
    with home.up("--anyway"), home.client() as client:
        assert said in home.refused("worker")
        assert REPORT["description"] in written(client, issue)
        assert report(client, str(uuid4()))["status"] == "dispatched"
    for path in home.folder.glob("temporal.db*"):
        path.unlink()
    for path in kept.iterdir():
        shutil.move(path, home.folder / path.name)
    with home.up(), home.client() as client:
        code = {"X-Tracking-Code": issue["tracking_code"], "Idempotency-Key": str(uuid4())}
        assert (
            client.post(f"/v1/issues/{issue['id']}/commands/comment", json={"text": "?"}, headers=code).status_code
            == 200
        )
