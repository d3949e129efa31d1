"""A home of `jiesu up` in a folder of its own: started, stopped, and looked at as its users and its operator do."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from PIL import Image
from typer.testing import CliRunner

from cli.app import app
from runtime.settings import Settings
from runtime.supervisor import read_pid_file
from support.ports import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
UP: Final = (sys.executable, "-P", "-m", "cli", "up")
PATIENCE: Final = 200.0
"""Seconds that a start or an end may take."""
ANSWER: Final = 15.0
"""Seconds after which a user takes it that there is no answer."""
_OF_SEASON: Final = {"calendar-missing"}
"""Late in a year, until the next one's working days are published."""
REPORT: Final = {"compound": "other", "category": "noise", "description": "夜里施工", "location": "3幢2单元501"}
"""A report under the pack 12345, whose limits are hours, so that no clock of its own interferes."""


class HouseError(RuntimeError):
    """A home does not do what a drill begins with."""


@dataclass(frozen=True)
class Said:
    """An answer over HTTP: its status, 0 without any, and its detail, if it is an error."""

    status: int
    detail: str = ""
    body: Any = None

    def __str__(self) -> str:
        if not self.status:
            return self.detail
        return f"{self.status} ({self.detail})" if self.detail else str(self.status)


@dataclass(frozen=True)
class Known:
    """What a home holds before it is broken: an open issue with a picture, and one that is closed and sealed."""

    issue: str
    code: dict[str, str]
    picture: str
    closed: str


@dataclass
class House:
    """See the module. `up` is the command line of `jiesu up`; `env` are further variables."""

    folder: Path
    up: tuple[str, ...] = UP
    env: dict[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[bytes] | None = None
    token: str = ""
    """Of somebody of the staff."""

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.log = self.folder / "log"
        self.ports = {name: free_port() for name in ("API", "TEMPORAL", "TEMPORAL_UI")}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.ports['API']}", timeout=ANSWER, trust_env=False)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, api_port=self.ports["API"], temporal_port=self.ports["TEMPORAL"],
                        temporal_ui_port=self.ports["TEMPORAL_UI"])  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("JIESU_")}
        ports = {f"JIESU_{name}_PORT": str(port) for name, port in self.ports.items()}
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        return (
            kept
            | ports
            | {"JIESU_HOME": str(self.home), "JIESU_LOG_FORMAT": "json", "JIESU_RATES": "off", "PYTHONPATH": path}
            | self.env
        )

    # What runs

    def start(self) -> str:
        """Starts it. Returns the empty text once it is ready, or the last line that it said when it did not start."""
        self.log.touch()
        before = self.log.stat().st_size
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.up, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

        def is_over() -> bool:
            return not self.runs or b"Jiesu is ready" in self.log.read_bytes()[before:]

        if not until(is_over):
            raise HouseError("neither ready nor refused within three minutes")
        return "" if self.runs else self.last_line()

    def stop(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.pids().values():
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()

    def close(self) -> None:
        self.stop()
        self.http.close()

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def pids(self) -> dict[str, int]:
        """The children by name: temporal, worker, api; of each that still lives."""
        marks = {path.stem: read_pid_file(path) for path in (self.home / "run").glob("*.pid")}
        return {name: mark.pid for name, mark in marks.items() if mark is not None and mark.process() is not None}

    def kill(self, *names: str) -> None:
        """Kills children, which `jiesu up` starts again."""
        for name, pid in self.pids().items():
            if name in names:
                os.kill(pid, signal.SIGKILL)

    # What users do

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **sent: Any) -> Said:
        key = {} if method == "GET" else {"Idempotency-Key": str(uuid.uuid4())}
        try:
            answer = self.http.request(method, path, headers={**key, **(headers or {})}, **sent)
        except httpx.TimeoutException:
            return Said(0, f"no answer within {ANSWER:.0f} s")
        except httpx.TransportError:
            return Said(0, "nobody answers")
        is_json = "json" in answer.headers.get("content-type", "")
        body = answer.json() if is_json else answer.content
        if answer.is_success:
            return Said(answer.status_code, body=body)
        return Said(answer.status_code, (body.get("detail") or body.get("title", "")) if is_json else "", body)

    def report(self, key: str) -> Said:
        return self.ask("POST", "/v1/issues", {"Idempotency-Key": key}, json=REPORT)

    def comment(self, known: Known, key: str) -> Said:
        path = f"/v1/issues/{known.issue}/commands/comment"
        return self.ask("POST", path, {**known.code, "Idempotency-Key": key}, json={"text": "还在吵"})

    def attach(self, issue: str, code: dict[str, str], shade: int) -> Said:
        headers = {**code, "Content-Type": "image/png"}
        return self.ask("POST", f"/v1/issues/{issue}/attachments", headers, content=photo(shade))

    def ready(self) -> Said:
        """What `/readyz` says; its detail names each check that fails."""
        said = self.ask("GET", "/readyz")
        if said.status not in (200, 503) or not isinstance(said.body, dict):
            return said
        wrong = (f"{name}: {found}" for name, found in said.body["checks"].items() if found is not True)
        return Said(said.status, "; ".join(wrong), said.body)

    # What the operator reads

    def last_line(self) -> str:
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        plain = [line for line in lines if not line.startswith("{") and line != "stopped"]
        return (plain or ["it said nothing"])[-1]

    def lines(self, since: int) -> list[dict[str, Any]]:
        """The log's lines of the levels warning and error, from this byte on."""
        found: list[dict[str, Any]] = []
        for text in self.log.read_bytes()[since:].decode("utf-8", "replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                line = json.loads(text)
                if isinstance(line, dict) and "event" in line and line.get("level") in ("warning", "error", "critical"):
                    found.append(line)
        return found

    def alarms(self) -> set[str]:
        """The causes of open alarms, as `jiesu alarms` lists them, or what it says in their place; none that the season brings."""
        said = self.command("alarms", "--json")
        if not said.startswith("["):
            return {f"`jiesu alarms` says: {said}"}
        return {each["cause"] for each in json.loads(said) if each["seen_at"] is None} - _OF_SEASON

    def command(self, *words: str) -> str:
        """What `jiesu WORDS` prints, or the last line of its error."""
        env = {name: value for name, value in self.environment.items() if name.startswith("JIESU_")}
        said = CliRunner().invoke(app, words, env=env)
        failed = said.exception is not None and not isinstance(said.exception, SystemExit)
        return (str(said.exception) if failed else said.stdout).strip()


def until(holds: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether it held at some time until the patience ended."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def photo(shade: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 24), (shade % 256, 90, 120)).save(file, "PNG")
    return file.getvalue()


def copy(template: Path, folder: Path) -> None:
    """The same home once more."""
    shutil.copytree(template / "home", folder / "home", ignore=shutil.ignore_patterns("run"))
