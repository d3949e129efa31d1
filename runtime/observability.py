"""Logging, one structured line per log event, and Prometheus metrics.

User input in a line must not begin a new line, control a terminal or look like another field. A workflow logs nothing
while it is replayed.
"""

import http.client
import json
import logging
import sys
import unicodedata
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from temporalio import workflow
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from runtime.ports import check_ports, free_port
from runtime.settings import LOOPBACK, Settings, variable

SECRET_FIELDS: Final = frozenset(
    {
        "authorization", "comment", "contact", "cookie", "description", "location", "password", "phone", "secret",
        "text", "token", "tracking_code", "x-tracking-code",
    }
)  # fmt: skip
"""The names of fields that hold secrets or personal data. If one is logged by mistake, its value is masked."""
MASK: Final = "[withheld]"

Event = MutableMapping[str, Any]


def escape(text: str) -> str:
    r"""The text with every character that could end a line or steer a terminal written as `\uXXXX`."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    """Whether the character can end a line, control a terminal or reorder text. A blank of any width cannot."""
    return not char.isprintable() and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    point = ord(char)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def drop_replays(_logger: object, _method: str, event: Event) -> Event:
    """Drops the log lines of a workflow that is being replayed: they were logged when it first ran."""
    if _is_replaying():
        raise structlog.DropEvent
    return event


def _is_replaying() -> bool:
    return workflow.in_workflow() and workflow.unsafe.is_replaying_history_events()


def bind_workflow(_logger: object, _method: str, event: Event) -> Event:
    """Adds to a log line the ids of the workflow and run that log it, if a workflow does."""
    if workflow.in_workflow():
        info = workflow.info()
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("run_id", info.run_id)
    return event


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Masks the values of SECRET_FIELDS in a log line, at any depth."""
    return {key: MASK if key.lower() in SECRET_FIELDS else _withheld(value) for key, value in event.items()}


def _withheld(value: Any) -> Any:
    match value:
        case Mapping():
            fields = cast(Mapping[Any, Any], value)
            return {key: MASK if str(key).lower() in SECRET_FIELDS else _withheld(fields[key]) for key in fields}
        case list() | tuple():
            return [_withheld(inner) for inner in cast(Iterable[Any], value)]
        case _:
            return value


def render_json(_logger: object, _method: str, event: Event) -> str:
    """The log line as one line of JSON. Chinese stays readable, unsafe characters are escaped."""
    text = json.dumps(event, ensure_ascii=False, default=repr, separators=(",", ":"))
    # JSON has already escaped C0 controls; what is left can only stand inside strings, where \uXXXX means the same.
    if text.isprintable():
        return text
    return "".join(json.dumps(char)[1:-1] if _is_unsafe(char) else char for char in text)


def render_console(_logger: object, _method: str, event: Event) -> str:
    """The log line for people, then its traceback, each line of which is marked so that it looks like no log line."""
    trace = event.pop("exception", None)
    head = [str(event.pop("timestamp", "")), f"{event.pop('level', ''):<7}", escape(str(event.pop("event", "")))]
    fields = [f"{escape(str(key))}={_quoted(value)}" for key, value in sorted(event.items())]
    lines = [" ".join([*head, *fields])]
    lines += ["    | " + escape(line) for line in str(trace).split("\n")] if trace else []
    return "\n".join(lines)


def _quoted(value: object) -> str:
    if isinstance(value, str):
        plain = value.isprintable() and value and not any(sign in value for sign in ' "=\\')
        return value if plain else json.dumps(escape(value), ensure_ascii=False)
    return escape(repr(value))


def configure_logging(
    level: str = "info", style: Literal["auto", "json", "console"] = "auto", stream: TextIO | None = None
) -> None:
    """Makes structlog and standard logging write to one stream, by default stderr, in one form and with one masking."""
    target = stream or sys.stderr
    console = style == "console" or (style == "auto" and target.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bind_workflow,
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                withhold,
                render_console if console else render_json,
            ],
        )
    )
    # Lines of other libraries reach processors only in the formatter, which cannot drop them.
    handler.addFilter(lambda _record: not _is_replaying())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These would repeat each request with its query string, and hide our own lines at the start.
    for noisy in (
        "uvicorn.access", "uvicorn.error", "httpx", "httpcore", "sqlalchemy.engine", "alembic", "temporalio.worker",
        "aiosqlite", "psycopg", "PIL",  # at `debug` these log SQL values and metadata of pictures
    ):  # fmt: skip
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            drop_replays,
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def metrics_registry() -> CollectorRegistry:
    """A new registry with the standard metrics of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class SdkMetrics(Collector):
    """Adds the metrics of Temporal's SDK to those of the process.

    The SDK serves its metrics over HTTP, on a port of loopback, from which they are read.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def describe(self) -> Iterable[Metric]:
        """No metrics. Without this method, registering the collector would call `collect` before the port is open."""
        return []

    def collect(self) -> Iterable[Metric]:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=1)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            # A failure of the SDK's metrics must not hide the others.
            return []
        finally:
            connection.close()
        return text_string_to_metric_families(text)


def temporal_runtime(registry: CollectorRegistry) -> Runtime:
    """The runtime of Temporal's SDK, one per process. Its metrics go to the registry, its warnings to the log."""
    port = free_port()
    runtime = Runtime(
        telemetry=TelemetryConfig(
            metrics=PrometheusConfig(bind_address=f"{LOOPBACK}:{port}"),
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")),
            ),
        )
    )
    registry.register(SdkMetrics(port))
    return runtime


def serve_metrics(settings: Settings, registry: CollectorRegistry) -> int:
    """Serves the metrics in the registry over HTTP, for a process that has no HTTP server; returns the port.

    Raises SettingsError if the port is taken.
    """
    port = settings.metrics_port or free_port(settings.metrics_host)
    check_ports([(settings.metrics_host, port, variable("metrics_port"))])
    start_http_server(port, addr=settings.metrics_host, registry=registry)
    return port
