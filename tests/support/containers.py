"""Services of docker-compose.yml as processes of this machine: their command, their environment, their health check.

`Host` holds all differences from a container: host names resolve to servers of the tests, ports are free ones on
loopback, volumes are folders.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, make_url

from runtime.settings import LOOPBACK
from runtime.supervisor import guarded
from support import compose
from support.ports import free_port

PATIENCE: Final = 120.0
"""Seconds for anything that should take one."""


@dataclass(frozen=True)
class Host:
    """Where the parts of a deployment are on this machine."""

    folder: Path
    """Holds volumes and logs."""
    database: URL
    temporal: str
    given: Mapping[str, str]
    """What stands in `.env`."""

    def volume(self, name: str) -> Path:
        found = self.folder / "volumes" / name
        found.mkdir(parents=True, exist_ok=True)
        return found

    def service(self, name: str) -> dict[str, Any]:
        return compose.services(self.given)[name]


@dataclass
class Container:
    """One replica of a service."""

    host: Host
    name: str
    number: int = 1
    ports: dict[str, int] = field(default_factory=dict[str, int])
    """By the container's port, as it stands in the environment."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def service(self) -> dict[str, Any]:
        return self.host.service(self.name)

    @property
    def log(self) -> Path:
        return self.host.folder / f"{self.name}-{self.number}.log"

    @property
    def home(self) -> Path:
        """Its JIESU_HOME: the volume mounted there, else a folder of the image, into which nobody may write."""
        return self._outside(self.service["environment"]["JIESU_HOME"])

    def _outside(self, inside: str) -> Path:
        """Where a folder of the container is on this machine: in a volume, else beside what the image holds."""
        for volume in self.service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if inside == target or inside.startswith(f"{target}/"):
                return self.host.volume(source) / inside.removeprefix(target).lstrip("/")
        return self.host.volume(f"image-{self.name}-{self.number}")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports[self.service['environment']['JIESU_API_PORT']]}"

    def environment(self) -> dict[str, str]:
        """What the process is given: Compose's variables, and of this machine's what a container has as well."""
        changed = dict(self.service["environment"])
        # The server of the tests, one for both of the deployment's, listens on a socket in a folder.
        for name in {"JIESU_DATABASE_URL", "JIESU_KEY_STORE"} & changed.keys():
            local = make_url(changed[name]).set(host=None, port=None, query=self.host.database.query)
            changed[name] = local.render_as_string(hide_password=False)
        changed["JIESU_TEMPORAL_ADDRESS"] = self.host.temporal
        for name, value in changed.items():
            if value.startswith("/"):
                changed[name] = str(self._outside(value))
        for name, value in changed.items():
            if name.endswith("_PORT"):
                changed[name] = str(self.ports.setdefault(value, free_port()))
            if name.endswith("_HOST"):
                changed[name] = LOOPBACK
        kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
        return {name: value for name, value in os.environ.items() if name in kept} | changed

    def argv(self, *command: str) -> list[str]:
        """The image's entry point, with the service's command unless another is given."""
        mounted = {target: str(source) for source, target, _ in compose.bind_mounts(self.service)}
        program = str(Path(sys.executable).parent / _entrypoint())
        parts = [mounted.get(part, part) for part in command or self.service["command"]]
        return [program, *(str(self._outside(part)) if part.startswith("/var/lib/") else part for part in parts)]

    def run(self, *command: str) -> str:
        """Runs it to its end, as `docker compose run` does; what it printed. Raises AssertionError if it failed."""
        done = subprocess.run(
            self.argv(*command), env=self.environment(), cwd=self.home, capture_output=True, text=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"{self.name}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                guarded(self.argv()), env=self.environment(), cwd=self.home, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, start_new_session=True,
            )  # fmt: skip

    def is_healthy(self) -> bool:
        """What the service's health check says, asked of the port that the process has here."""
        kind, program, *arguments = self.service["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        ports = {inside: str(outside) for inside, outside in self.ports.items()}
        local = [re.sub(r"(?<=:)\d+(?=/)", lambda found: ports[found[0]], each) for each in arguments]
        done = subprocess.run([sys.executable, *local], capture_output=True, check=False, timeout=PATIENCE)
        return done.returncode == 0

    def await_health(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_healthy():
            assert self.is_running, f"{self.name} has ended: {self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} does not become healthy: {self.tail()}"
            time.sleep(0.5)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a crash would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def stop(self) -> int:
        """As `docker compose stop` does; the exit code, of SIGKILL if it takes longer than the service is given."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(float(self.service["stop_grace_period"].removesuffix("s")))
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait(PATIENCE)

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else ""


def replicas(host: Host, name: str) -> list[Container]:
    """As many as the service asks for."""
    return [Container(host, name, number + 1) for number in range(host.service(name)["deploy"]["replicas"])]


def _entrypoint() -> str:
    found = re.search(r'^ENTRYPOINT \["(\w+)"\]$', (compose.ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]
