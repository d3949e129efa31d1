"""Settings: the `JIESU_*` environment variables, read and checked once.

A process with an unknown `JIESU_*` variable does not start, and names it: a mistyped name would be ignored silently.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.proxies import LOOPBACK as LOOPBACK_NETWORKS
from runtime.setting_types import (
    MOST_CONNECTIONS,
    RATES,
    SHORTEST_SECRET,
    Address,
    DatabaseUrl,
    Host,
    Hosts,
    LogLevel,
    Networks,
    ObjectStore,
    Organisations,
    Origins,
    Place,
    Port,
    PublicUrl,
    Rates,
    Secret,
    codes,
    is_local,
    place_of,
)

PREFIX: Final = "JIESU_"
TEST_PREFIX: Final = "JIESU_TEST_"
LOOPBACK: Final = "127.0.0.1"
WORKER_MIB: Final = 256
PUT_BACK: Final = "put it back, or let `jiesu db upgrade` make it in a new home"


class SettingsError(ValueError):
    """A setting is unusable; the message is one line that names the variable and never shows its value."""


def _default_home() -> Path:
    here = Path(__file__).resolve().parents[1]
    return (here if (here / "pyproject.toml").exists() else Path.cwd()) / ".jiesu"


class Settings(BaseSettings):
    """The settings: one field per variable, such as `api_port` for `JIESU_API_PORT`. `load_settings` makes them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Place = Field(default_factory=_default_home)
    api_host: Host = LOOPBACK
    api_port: Port = 8000
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    temporal_address: Address | None = None
    """`host:port` of a Temporal server; if not set, the embedded dev server is used."""
    temporal_namespace: str = "default"
    database_url: DatabaseUrl = SecretStr("")
    """The URL of the read model's database; if not set, a SQLite file in the home."""
    archive: ObjectStore | None = None
    """Where the histories of closed issues are kept for ever: a folder, or ``s3://bucket/prefix``."""
    attachments: ObjectStore | None = None
    """Where sealed pictures are kept: a folder, or ``s3://bucket/prefix``."""
    heads: Place | None = None
    """The folder in which the signed heads of the Merkle log are published."""
    head_recipients: Organisations | None = None
    """The organisations that receive each head: codes, comma-separated."""
    seal_keys: Place | None = None
    """The folder with the key that signs heads."""
    signing_keys: Place | None = None
    """The folder with the key that signs commands, and with the certificates of this key."""
    namespace_keys: Place | None = None
    """The file with the namespace keys, which encrypt all payloads in Temporal."""
    master_keys: Place | None = None
    """The file with the master keys, which encrypt (wrap) the keys of issues."""
    key_store: DatabaseUrl = SecretStr("")
    """The URL of the key store, the database with the keys of issues. It must not be the database of the read model."""
    codec_origins: Origins | None = None
    """The origins of Temporal's user interface that may use the codec server, comma-separated."""
    webhooks: Place | None = None
    """The file that lists the webhooks to which the notices of organisations are sent."""
    sms_url: SecretStr = SecretStr("")
    """The URL of the SMS gateway. Without it only the embedded default verifies phones: it writes codes to a file."""
    sms_secret: SecretStr = SecretStr("")
    """The secret that signs requests to the SMS gateway."""
    outgoing_hosts: Hosts | None = None
    """The hosts that webhooks and the SMS gateway may be on, comma-separated; with the port if it is not 443."""
    outgoing_local: bool = False
    """Whether the outgoing hosts may be on loopback, also without TLS; in the embedded default only."""
    retention: Place | None = None
    """The TOML file that says how long people's texts are kept; if not set, the built-in periods hold."""
    policies: Place | None = None
    """The folder with policy packs beside the shipped ones; each process that uses packs reads it when it starts."""
    calendars: Place | None = None
    """The file or folder with calendars beside the shipped ones; each process reads it when it starts."""
    log_level: LogLevel = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """The form of log lines. `auto` means `console` on a terminal and `json` elsewhere."""
    secret: Secret | None = None
    """The secret from which issue ids and tracking codes derive. All API processes share it; it may never change."""
    local_tokens: bool | None = None
    """Whether tokens signed with the home's key are accepted; if not set, only in the embedded default without OIDC."""
    oidc_issuer: str | None = None
    """The issuer URL of the identity provider, as in its discovery document."""
    oidc_audience: str = "jiesu"
    """The audience that bearer tokens of the identity provider must have."""
    oidc_client_id: str | None = None
    """The client id with which browsers sign in at the identity provider; if not set, staff cannot sign in by browser."""
    oidc_client_secret: SecretStr = SecretStr("")
    public_url: PublicUrl | None = None
    """The origin of this installation for browsers, such as ``https://jiesu.example.org``."""
    embedded_provider: bool | None = None
    """Whether the demo identity provider runs; if not set, only in the embedded default on loopback."""
    metrics_host: str = LOOPBACK
    metrics_port: Port | None = None
    """The port on which the worker serves its metrics; if not set, any free port."""
    rate_per_subject: Annotated[int, Field(ge=0)] = 3000
    """Requests per minute to one API process by one token subject or tracking code; 0: no limit."""
    connections: Annotated[int, Field(ge=1)] = MOST_CONNECTIONS
    """How many connections to one API process may be open at a time; requests on further ones are answered with 503."""
    trusted_proxies: Networks = LOOPBACK_NETWORKS
    """The networks whose word is believed on where a request comes from, comma-separated; empty: nobody's."""
    rate_per_address: Annotated[int, Field(ge=0)] = 6000
    """Requests per minute to one API process by one network address without a token; 0: no limit."""
    rates: Rates | None = None
    """Rate limits other than in `RATES`, such as ``reveal=30/hour,command=off``; ``off`` alone removes all limits."""
    access_days: Annotated[int, Field(ge=183)] = 400
    """How many days lines of the access log are kept: at least half a year."""
    worker_mib: Annotated[int, Field(ge=8)] = WORKER_MIB
    """The memory in MiB in which a worker keeps open issues, so that it need not replay them; what the process itself takes comes on top."""
    ready_needs_worker: bool = False
    """Whether `/readyz` of the API says ready only while a worker polls, as under `jiesu up`."""

    @model_validator(mode="after")
    def _check_local(self) -> Self:
        if self.outgoing_local and not self.embedded:
            raise ValueError(f"{variable('outgoing_local')} is for the embedded default only")
        return self

    @model_validator(mode="after")
    def _check_key_store(self) -> Self:
        if place_of(self.key_store_url) == place_of(self.database):
            raise ValueError(f"{variable('key_store')} must be another database than {variable('database_url')}")
        return self

    @model_validator(mode="after")
    def _check_sign_in(self) -> Self:
        issuer = self.oidc_issuer
        if issuer is not None and not issuer.startswith("https://") and not (self.embedded and is_local(issuer)):
            raise ValueError("JIESU_OIDC_ISSUER must begin with https://")
        if issuer is not None and self.local_tokens:
            raise ValueError("JIESU_LOCAL_TOKENS and JIESU_OIDC_ISSUER exclude each other: one of them says who it is")
        if self.oidc_client_id is not None and (issuer is None or self.public_url is None):
            raise ValueError("JIESU_OIDC_CLIENT_ID needs JIESU_OIDC_ISSUER and JIESU_PUBLIC_URL")
        if self.oidc_client_id == self.oidc_audience:
            raise ValueError("JIESU_OIDC_AUDIENCE and JIESU_OIDC_CLIENT_ID must differ: ID tokens are for the client")
        return self

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
        """Whether Temporal is the dev server that runs in this home."""
        return self.temporal_address is None

    @property
    def temporal_file(self) -> Path | None:
        """The file of the embedded dev server's database."""
        return self.home / "temporal.db" if self.embedded_temporal else None

    @property
    def address(self) -> str:
        """`host:port` of the Temporal server in use."""
        return self.temporal_address or f"{LOOPBACK}:{self.temporal_port}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the read model, with driver and perhaps a password: never log it."""
        return self.database_url.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'jiesu.db'}"

    @property
    def embedded_database(self) -> bool:
        return self.database.startswith("sqlite")

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded default: Temporal and database both on this machine."""
        return self.embedded_temporal and self.embedded_database

    @property
    def accepts_local_tokens(self) -> bool:
        return self.embedded and self.oidc_issuer is None if self.local_tokens is None else self.local_tokens

    @property
    def offers_provider(self) -> bool:
        """Whether the settings want the demo identity provider to run.

        Where it is not allowed, `EmbeddedProvider.of` refuses to make it.
        """
        if self.embedded_provider is not None:
            return self.embedded_provider
        stays_here = is_local(f"http://{self.api_host}") and is_local(self.origin)
        return self.embedded and self.accepts_local_tokens and stays_here

    @property
    def origin(self) -> str:
        """Scheme, host and port of this installation for browsers."""
        return self.public_url or f"http://{self.api_host}:{self.api_port}"

    @property
    def rates_by_name(self) -> dict[str, str]:
        """The rate limits in force, by name, without the limits that are off."""
        changed = dict(part.split("=") for part in codes(self.rates) if "=" in part)
        rates = {} if self.rates == "off" else {**RATES, **changed}
        return {name: rate for name, rate in rates.items() if rate != "off"}

    @property
    def archive_url(self) -> str:
        return self.archive or (self.home / "archive").as_uri()

    @property
    def attachments_url(self) -> str:
        return self.attachments or (self.home / "attachments").as_uri()

    @property
    def heads_folder(self) -> Path:
        return self.heads or self.home / "heads"

    @property
    def recipients(self) -> tuple[str, ...]:
        """The codes of the organisations that receive each head, without repeats."""
        return codes(self.head_recipients)

    @property
    def ui_origins(self) -> tuple[str, ...]:
        """The origins of Temporal's user interface that may use the codec server."""
        if self.codec_origins is not None:
            return codes(self.codec_origins)
        return (f"http://{LOOPBACK}:{self.temporal_ui_port}",) if self.embedded_temporal else ()

    @property
    def outgoing(self) -> tuple[str, ...]:
        """The hosts that webhooks and the SMS gateway may be on, without repeats."""
        return codes(self.outgoing_hosts)

    @property
    def seal_keys_folder(self) -> Path:
        return self.seal_keys or self.home / "keys" / "seal"

    @property
    def makes_keys(self) -> bool:
        """Whether missing keys are generated. Not in a deployment: there the operator gives all hosts the same keys."""
        return self.embedded_temporal or self.embedded_database

    @property
    def signing_root(self) -> Path:
        """The file with the private key of the embedded default's root, which certifies the keys that sign commands."""
        return self.home / "keys" / "signing.pem"

    @property
    def namespace_keys_file(self) -> Path:
        return self.namespace_keys or self.home / "keys" / "namespace.json"

    @property
    def master_keys_file(self) -> Path:
        return self.master_keys or self.home / "keys" / "master.json"

    @property
    def key_store_url(self) -> str:
        """The SQLAlchemy URL of the key store, perhaps with a password: never log it."""
        return self.key_store.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'keys' / 'issues.db'}"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables for a child process."""
        plain: dict[str, str] = {}
        for name in type(self).model_fields:
            value: object = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None and value != "":
                plain[variable(name)] = str(value)
        return plain

    @property
    def secret_file(self) -> Path:
        """The file with the secret from which issue ids and tracking codes derive, unless `JIESU_SECRET` is set."""
        return self.home / "keys" / "secret"

    def server_secret(self) -> bytes:
        """The secret from which issue ids and tracking codes derive. If not set, it is read from a file in the home.

        Raises SettingsError if this file is missing: with another secret all tracking codes would be dead. Also if
        `JIESU_SECRET` is not set though the database is shared: two API hosts with different secrets would take one
        repeated report for two reports.
        """
        if self.secret is not None:
            return self.secret.get_secret_value().encode()
        if not self.embedded_database:
            raise SettingsError("JIESU_SECRET must be set where JIESU_DATABASE_URL names a shared database")
        path = self.secret_file
        if not path.exists():
            raise SettingsError(f"{path} is missing: {PUT_BACK}")
        found = path.read_bytes()
        if len(found) < SHORTEST_SECRET:  # with an empty one, anybody could compute all tracking codes
            raise SettingsError(f"{path} has less than {SHORTEST_SECRET} bytes: put it back from a backup")
        return found


def variable(field: str) -> str:
    """The name of the environment variable for a field of `Settings`."""
    return PREFIX + field.upper()


def _unknown() -> list[str]:
    known = {variable(name) for name in Settings.model_fields}
    names = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    unknown: list[str] = []
    for name in names:
        if name in known or name.upper().startswith(TEST_PREFIX):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        unknown.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return unknown


_FAULTS: Final = {
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "bool_parsing": "must be true or false",
}
"""The messages for operators, by the type of Pydantic's error."""


def _one_line(error: ValidationError) -> str:
    faults: list[str] = []
    for fault in error.errors():
        where = variable(str(fault["loc"][0])) + ": " if fault["loc"] else ""
        said = _FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        faults.append(where + said.format(**fault.get("ctx", {})))
    return "; ".join(faults)


def load_settings() -> Settings:
    """The settings of this process, from its environment. Raises SettingsError if a variable is unknown or unusable."""
    if unknown := _unknown():
        raise SettingsError("unknown environment variable: " + ", ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        # Not chained: the original shows the invalid values, which may be passwords.
        raise SettingsError(_one_line(error)) from None
