"""A home of `jiesu up` of a test's own, run by the real command."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from runtime.settings import LOOPBACK
from runtime.supervisor import guarded
from support import compose
from support.again import SECONDS, AgainBlocking
from support.ports import free_port

JIESU = str(Path(sys.executable).parent / "jiesu")
PATIENCE = 120.0
REPORT = {"compound": "other", "category": "leak", "description": "厨房漏水"}


class Home:
    """One home and the ports it is served on."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = {
            **compose.plain_environment(),
            "JIESU_HOME": str(folder),
            "JIESU_API_PORT": str(self.port),
            "JIESU_TEMPORAL_PORT": str(free_port()),
            "JIESU_TEMPORAL_UI_PORT": str(free_port()),
            **more,
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

    def refused(self, *command: str) -> str:
        """The last line with which it refuses to start."""
        done = subprocess.run(
            guarded([JIESU, *command]),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 1, done.stdout
        return done.stderr.strip().splitlines()[-1]

    def logs(self) -> list[str]:
        """What each `up` of this home said, in order."""
        found = sorted(self.folder.parent.glob(f"{self.folder.name}-*.log"), key=lambda log: log.stat().st_mtime)
        return [log.read_text("utf-8") for log in found]

    def client(self) -> httpx.Client:
        return AgainBlocking(base_url=f"http://{LOOPBACK}:{self.port}", timeout=SECONDS)


def report(client: httpx.Client, key: str, **more: str) -> dict[str, Any]:
    answer = client.post("/v1/issues", json=REPORT | more, headers={"Idempotency-Key": key})
    assert answer.status_code == 201, answer.text
    return answer.json()


def written(client: httpx.Client, issue: dict[str, Any]) -> str:
    """All that its resident reads of an issue."""
    answer = client.get(f"/v1/issues/{issue['id']}/timeline", headers={"X-Tracking-Code": issue["tracking_code"]})
    assert answer.status_code == 200, answer.text
    return answer.text
