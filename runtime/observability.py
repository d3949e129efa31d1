"""How the processes speak to their operator: one structured line per event, and Prometheus metrics.

A log line is evidence too: what people typed must not start a new line, colour a terminal or pass for another field,
and a workflow that is replayed must not say a second time what it said the first time.
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
"""Fields that hold secrets or personal data: a line that carries one by mistake shows that it did, not the value."""
MASK: Final = "[withheld]"

Event = MutableMapping[str, Any]


def escape(text: str) -> str:
    r"""The text with every character that could end a line or steer a terminal written as `\uXXXX`."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    """Whether it can break a line, steer a terminal or reorder what is read; a blank of any width cannot."""
    return not char.isprintable() and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    point = ord(char)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def drop_replays(_logger: object, _method: str, event: Event) -> Event:
    """Drops what a workflow says while it is only being replayed: it was said the first time."""
    if _is_replaying():
        raise structlog.DropEvent
    return event


def _is_replaying() -> bool:
    return workflow.in_workflow() and workflow.unsafe.is_replaying_history_events()


def bind_workflow(_logger: object, _method: str, event: Event) -> Event:
    """Adds the ids of the workflow that speaks."""
    if workflow.in_workflow():
        info = workflow.info()
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("run_id", info.run_id)
    return event


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Masks the fields that hold secrets or personal data, at any depth."""
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
    """One line of JSON; Chinese stays readable, unsafe characters are escaped."""
    text = json.dumps(event, ensure_ascii=False, default=repr, separators=(",", ":"))
    # JSON has already escaped C0 controls; what is left can only stand inside strings, where \uXXXX means the same.
    if text.isprintable():
        return text
    return "".join(_json_escaped(char) if _is_unsafe(char) else char for char in text)


def _json_escaped(char: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in _utf16(char))


def _utf16(char: str) -> list[int]:
    raw = char.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def render_console(_logger: object, _method: str, event: Event) -> str:
    """One line for people; a traceback follows, each of its lines marked so that none passes for an event."""
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
    """Sends structlog and the standard library's logging through the same processors to one stream (stderr)."""
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
    # Lines of other libraries meet no processor before they are formatted, where it is too late to drop one.
    handler.addFilter(lambda _record: not _is_replaying())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Our own lines say what is needed: these would repeat the requests, query strings included, and bury the start.
    for noisy in (
        "uvicorn.access", "uvicorn.error", "httpx", "httpcore", "sqlalchemy.engine", "alembic", "temporalio.worker",
        "aiosqlite", "psycopg", "PIL",  # which at `debug` tell values of statements, and what cameras write into pictures
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
    """A registry of its own with the usual figures of the process; the process makes one and hands it on."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class SdkMetrics(Collector):
    """The figures of Temporal's SDK, which opens a port of its own, shown among those of the process."""

    def __init__(self, port: int) -> None:
        self._port = port

    def describe(self) -> Iterable[Metric]:
        """Nothing known beforehand; without this, registering would already ask the port."""
        return []

    def collect(self) -> Iterable[Metric]:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=1)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            # The process's own figures must not fail with the SDK's.
            return []
        finally:
            connection.close()
        return text_string_to_metric_families(text)


def temporal_runtime(registry: CollectorRegistry) -> Runtime:
    """The SDK's runtime, one per process: its figures join the registry, its warnings the log."""
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
    """Shows the registry over HTTP, for a process that serves nothing else; returns the port.

    Raises SettingsError when the port is taken.
    """
    port = settings.metrics_port or free_port(settings.metrics_host)
    check_ports([(settings.metrics_host, port, variable("metrics_port"))])
    start_http_server(port, addr=settings.metrics_host, registry=registry)
    return port
