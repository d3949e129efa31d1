"""What an installation may be told from outside: the `JIESU_*` environment, read once and checked whole.

A mistyped variable would otherwise be ignored in silence, so an unknown one stops the start and is named.
"""

import contextlib
import difflib
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "JIESU_"
TEST_PREFIX: Final = "JIESU_TEST_"
LOOPBACK: Final = "127.0.0.1"
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_SHORTEST_SECRET: Final = 32
_HOST: Final = re.compile(r"[0-9A-Za-z._:-]{1,253}")
_CODE: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")

Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Literal["debug", "info", "warning", "error"]


class SettingsError(ValueError):
    """The environment cannot be used; the message is one line that names the variable and never shows its value."""


def _default_home() -> Path:
    here = Path(__file__).resolve().parent
    return (here if (here / "pyproject.toml").exists() else Path.cwd()) / ".jiesu"


def _absolute(path: Path) -> Path:
    home = path.expanduser().resolve()
    # Both databases live below it and are named by URLs, in which these would end or change the path.
    if any(sign in str(home) for sign in "?#%") or not str(home).isprintable():
        raise ValueError("must be a path without ? # % and control characters")
    return home


def _codes(text: str) -> list[str]:
    return [code.strip() for code in text.split(",") if code.strip()]


class Settings(BaseSettings):
    """One field per variable: `api_port` is `JIESU_API_PORT`. Build it with `load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Annotated[Path, AfterValidator(_absolute)] = Field(default_factory=_default_home)
    api_host: str = LOOPBACK
    api_port: Port = 8000
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    temporal_address: str | None = None
    """`host:port` of a Temporal run elsewhere; without it the embedded dev server is meant."""
    temporal_namespace: str = "default"
    database_url: SecretStr = SecretStr("")
    """Without it, SQLite under the home."""
    archive: str | None = None
    """Where the histories of closed issues are kept for ever: a folder, or ``s3://bucket/prefix``."""
    heads: Annotated[Path, AfterValidator(_absolute)] | None = None
    """The folder, outside the database, into which the log's signed heads are put."""
    head_recipients: str | None = None
    """The organisations that are sent each head, by code, with commas between them."""
    seal_keys: Annotated[Path, AfterValidator(_absolute)] | None = None
    """The folder of the key that signs heads."""
    log_level: LogLevel = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    secret: SecretStr | None = None
    """From it intake ids and tracking codes derive: all API processes of an installation share one, for ever."""
    local_tokens: bool | None = None
    """Whether tokens signed with the home's own key are accepted; without it, by the embedded default only."""
    metrics_host: str = LOOPBACK
    metrics_port: Port | None = None
    """Where the worker shows its metrics; without it on an ephemeral port."""
    rate_per_subject: Annotated[int, Field(ge=0)] = 3000
    """Requests a minute that one token's subject, or one tracking code, may send to one API process; 0: no limit."""
    rate_per_address: Annotated[int, Field(ge=0)] = 6000
    """The same for one address, of requests without a token."""
    ready_needs_worker: bool = False
    """Whether `/readyz` of the API waits for a polling worker, as it does under `jiesu up`."""

    @field_validator("api_host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError("must be a host's name or address")
        return value

    @field_validator("temporal_address")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None:
            host, _, port = value.rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
                raise ValueError("must look like host:port")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_level(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not scheme:
            return value
        if not separator or scheme not in _DRIVERS:
            raise ValueError("must begin with postgresql:// or sqlite://")
        return SecretStr(f"{_DRIVERS[scheme]}://{rest}")

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"must have at least {_SHORTEST_SECRET} characters")
        return value

    @field_validator("archive")
    @classmethod
    def _check_archive(cls, value: str | None) -> str | None:
        if value is None or value.startswith(("file:///", "s3://")):
            return value
        if "://" in value:
            raise ValueError("must be a folder, or begin with file:/// or s3://")
        return _absolute(Path(value)).as_uri()

    @field_validator("head_recipients")
    @classmethod
    def _check_recipients(cls, value: str | None) -> str | None:
        if value is not None and not all(_CODE.fullmatch(code) for code in _codes(value)):
            raise ValueError("must be codes of organisations with commas between them")
        return value

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        seen: dict[int, str] = {}
        for name in ("api_port", "temporal_port", "temporal_ui_port", "metrics_port"):
            port: int | None = getattr(self, name)
            if port is not None and port in seen:
                raise ValueError(f"{variable(seen[port])} and {variable(name)} are both {port}")
            if port is not None:
                seen[port] = name
        return self

    @property
    def embedded_temporal(self) -> bool:
        """Whether the dev server of this home is meant, not a Temporal run elsewhere."""
        return self.temporal_address is None

    @property
    def address(self) -> str:
        """`host:port` at which Temporal is reached."""
        return self.temporal_address or f"{LOOPBACK}:{self.temporal_port}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL with its driver and, maybe, a password: never log it."""
        return self.database_url.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'jiesu.db'}"

    @property
    def embedded_database(self) -> bool:
        return self.database.startswith("sqlite")

    @property
    def embedded(self) -> bool:
        """Whether all of it is on this machine, for one who tries it."""
        return self.embedded_temporal and self.embedded_database

    @property
    def accepts_local_tokens(self) -> bool:
        return self.embedded if self.local_tokens is None else self.local_tokens

    @property
    def archive_url(self) -> str:
        return self.archive or (self.home / "archive").as_uri()

    @property
    def heads_folder(self) -> Path:
        return self.heads or self.home / "heads"

    @property
    def recipients(self) -> tuple[str, ...]:
        """Of heads, each once."""
        return tuple(dict.fromkeys(_codes(self.head_recipients or "")))

    @property
    def seal_keys_folder(self) -> Path:
        return self.seal_keys or self.home / "keys" / "seal"

    def environment(self) -> dict[str, str]:
        """These settings as variables, for a child process that shall see exactly the same ones."""
        plain: dict[str, str] = {}
        for name in type(self).model_fields:
            value: object = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None and value != "":
                plain[variable(name)] = str(value)
        return plain

    def server_secret(self) -> bytes:
        """The secret behind ids and tracking codes; made under the home's keys when none was given.

        Raises SettingsError with a shared database and no `JIESU_SECRET`: two API hosts, each with a secret of its
        own, would take one repeated report for two.
        """
        if self.secret is not None:
            return self.secret.get_secret_value().encode()
        if not self.embedded_database:
            raise SettingsError("JIESU_SECRET must be set where JIESU_DATABASE_URL names a shared database")
        return read_or_create(self.home / "keys" / "secret", lambda: secrets.token_hex(32).encode())


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a secret file, made with mode 0600 when it is missing.

    Of several processes that find it missing at once, one creates it and all return what that one wrote; a process
    killed half-way leaves no half-written secret.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces what another process has just put there.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()


def _unknown() -> list[str]:
    known = {variable(name) for name in Settings.model_fields}
    names = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    said: list[str] = []
    for name in names:
        if name in known or name.upper().startswith(TEST_PREFIX):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        said.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return said


_FAULTS: Final = {
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "bool_parsing": "must be true or false",
}
"""Pydantic's faults in words for those who set a variable."""


def _one_line(error: ValidationError) -> str:
    faults: list[str] = []
    for fault in error.errors():
        where = variable(str(fault["loc"][0])) + ": " if fault["loc"] else ""
        said = _FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        faults.append(where + said.format(**fault.get("ctx", {})))
    return "; ".join(faults)


def load_settings() -> Settings:
    """The settings of this process. Raises SettingsError, in one line, for an unknown or unusable variable."""
    if unknown := _unknown():
        raise SettingsError("unknown environment variable: " + ", ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        # Not chained: the original shows the values it refuses, and one of them may be a password.
        raise SettingsError(_one_line(error)) from None
