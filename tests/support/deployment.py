"""Parts of docker-compose.yml run as processes of this machine."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sqlalchemy import URL

from runtime.devserver import find_temporal
from support import compose

_SECONDS: Final = 60


def psql(name: str = "psql") -> str | None:
    """The client program, or another one that comes with the server's package."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(newest[-1]) if newest else None)


def run_database_script(
    client: str, server: URL, environment: dict[str, str] | None = None, name: str = "postgres"
) -> subprocess.CompletedProcess[str]:
    """Makes roles and databases as the image of PostgreSQL does at the first start of that service."""
    service = compose.services()[name]
    [(script, _, _)] = compose.bind_mounts(service)
    command = [
        client, "--set=ON_ERROR_STOP=1", "--no-psqlrc", "--quiet", "--username=postgres",
        f"--host={server.query['host']}", f"--file={script}",
    ]  # fmt: skip
    given = service["environment"] if environment is None else environment
    return _run(command, {**compose.plain_environment(), **given})


def run_namespace_script(address: str) -> subprocess.CompletedProcess[str]:
    """Runs the one-shot that makes the namespace, against Temporal at another address."""
    return _run_entrypoint("temporal-namespace", {"TEMPORAL_ADDRESS": address}, find_temporal().parent)


def run_schema_script(programs: Path) -> subprocess.CompletedProcess[str]:
    """Runs the one-shot that lays Temporal's schema, with the programs of a folder first on its path."""
    return _run_entrypoint("temporal-schema", {}, programs)


def _run_entrypoint(name: str, changed: dict[str, str], programs: Path) -> subprocess.CompletedProcess[str]:
    service = compose.services()[name]
    mounted = {target: str(source) for source, target, _ in compose.bind_mounts(service)}
    environment = {**compose.plain_environment(), **service["environment"], **changed}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    return _run([mounted.get(part, part) for part in service["entrypoint"]], environment)


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
