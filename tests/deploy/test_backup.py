"""A home of `jiesu up` is copied during use, lost, and restored by the commands of docs/operations.md."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from runtime.settings import LOOPBACK
from runtime.supervisor import guarded
from support import compose
from support.again import SECONDS, AgainBlocking
from support.ports import free_port

JIESU = str(Path(sys.executable).parent / "jiesu")
COPY = [sys.executable, str(compose.ROOT / "deploy" / "backup_home.py")]
REPORT = {"compound": "other", "category": "leak", "description": "厨房漏水"}
PATIENCE = 120.0


class Home:
    """One home and the ports it is served on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **compose.plain_environment(),
            "JIESU_HOME": str(folder),
            "JIESU_API_PORT": str(self.port),
            "JIESU_TEMPORAL_PORT": str(free_port()),
            "JIESU_TEMPORAL_UI_PORT": str(free_port()),
        }

    @contextmanager
    def up(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """`jiesu up`, once it is ready; stopped in order at the end, if it still runs."""
        log = self.folder.parent / f"{self.folder.name}-{uuid4().hex[:4]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                guarded([JIESU, "up", *options]), env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE
            while b"Jiesu is ready" not in log.read_bytes():
                assert process.poll() is None, log.read_text("utf-8")[-2000:]
                assert time.monotonic() < deadline, log.read_text("utf-8")[-2000:]
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [JIESU, *command], env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def client(self) -> httpx.Client:
        return AgainBlocking(base_url=f"http://{LOOPBACK}:{self.port}", timeout=SECONDS)


def report(client: httpx.Client, key: str) -> dict[str, Any]:
    answer = client.post("/v1/issues", json=REPORT, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return answer.json()


def written(client: httpx.Client, issue: dict[str, Any]) -> str:
    """All that its resident reads of an issue."""
    answer = client.get(f"/v1/issues/{issue['id']}/timeline", headers={"X-Tracking-Code": issue["tracking_code"]})
    assert answer.status_code == 200, answer.text
    return answer.text


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
        subprocess.run([*COPY, str(home.folder), str(copy)], check=True, timeout=PATIENCE)
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
    shutil.copytree(tmp_path / "copy", restored.folder)
    with restored.up("--no-worker"):
        restored.run("rebuild")
        again = json.loads(restored.run("rebuild", "--json"))
    assert again["differences"] == []
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


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["nowhere", "target"]])
def test_wrong_use_is_one_line(arguments: list[str], tmp_path: Path):
    done = subprocess.run([*COPY, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "target").exists()


def test_a_backup_never_overwrites_another(tmp_path: Path):
    home, target = tmp_path / "home", tmp_path / "target"
    home.mkdir()
    target.mkdir()
    for name in ("jiesu.db", "temporal.db"):
        (home / name).touch()
    done = subprocess.run([*COPY, home, target], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert not list(target.iterdir())
