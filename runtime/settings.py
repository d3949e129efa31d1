"""What an installation may be told from outside: the `JIESU_*` environment, read once and checked whole.

A mistyped variable would otherwise be ignored in silence, so an unknown one stops the start and is named.
"""

import difflib
import os
import secrets
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.files import read_or_create
from runtime.setting_types import (
    RATES,
    SHORTEST_SECRET,
    Address,
    DatabaseUrl,
    Host,
    Hosts,
    LogLevel,
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


class SettingsError(ValueError):
    """The environment cannot be used; the message is one line that names the variable and never shows its value."""


def _default_home() -> Path:
    here = Path(__file__).resolve().parents[1]
    return (here if (here / "pyproject.toml").exists() else Path.cwd()) / ".jiesu"


class Settings(BaseSettings):
    """One field per variable: `api_port` is `JIESU_API_PORT`. Build it with `load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Place = Field(default_factory=_default_home)
    api_host: Host = LOOPBACK
    api_port: Port = 8000
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    temporal_address: Address | None = None
    """`host:port` of a Temporal run elsewhere; without it the embedded dev server is meant."""
    temporal_namespace: str = "default"
    database_url: DatabaseUrl = SecretStr("")
    """Without it, SQLite under the home."""
    archive: ObjectStore | None = None
    """Where the histories of closed issues are kept for ever: a folder, or ``s3://bucket/prefix``."""
    attachments: ObjectStore | None = None
    """Where pictures are kept, sealed: a folder, or ``s3://bucket/prefix``."""
    heads: Place | None = None
    """The folder, outside the database, into which the log's signed heads are put."""
    head_recipients: Organisations | None = None
    """The organisations that are sent each head, by code, with commas between them."""
    seal_keys: Place | None = None
    """The folder of the key that signs heads."""
    signing_keys: Place | None = None
    """The folder of the key with which this process signs commands, and of its certificates."""
    namespace_keys: Place | None = None
    """The file of the keys with which everything in Temporal is encrypted."""
    master_keys: Place | None = None
    """The file of the master keys that wrap the keys of issues."""
    key_store: DatabaseUrl = SecretStr("")
    """Where the keys of issues lie: a database of their own, never the read model."""
    codec_origins: Origins | None = None
    """The origins of Temporal's user interface, whose pages may have payloads decrypted, with commas between them."""
    webhooks: Place | None = None
    """The file of the webhooks by which organisations are told what concerns them."""
    sms_url: SecretStr = SecretStr("")
    """Where texts to phones are handed in; without it, no phone is verified but by those who try the embedded default."""
    sms_secret: SecretStr = SecretStr("")
    """What such texts are signed with."""
    outgoing_hosts: Hosts | None = None
    """The hosts that webhooks and the SMS gateway may call, with commas between them; with a port where it is not 443."""
    outgoing_local: bool = False
    """Whether they may lie on this machine, also without TLS: for trying out, in the embedded default only."""
    retention: Place | None = None
    """A TOML file that says for how long what people wrote is kept; without it the product's own rules."""
    log_level: LogLevel = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    secret: Secret | None = None
    """From it intake ids and tracking codes derive: all API processes of an installation share one, for ever."""
    local_tokens: bool | None = None
    """Whether tokens signed with the home's own key are accepted; without it, by the embedded default only."""
    oidc_issuer: str | None = None
    """The identity provider whose bearer tokens are accepted, as its discovery document names it."""
    oidc_audience: str = "jiesu"
    """For whom those tokens must be."""
    oidc_client_id: str | None = None
    """As which client of the provider browsers sign in here; without it they cannot."""
    oidc_client_secret: SecretStr = SecretStr("")
    public_url: PublicUrl | None = None
    """The origin at which browsers see this installation, such as ``https://jiesu.example.org``."""
    embedded_provider: bool | None = None
    """Whether anybody may sign in as anybody, for trying out; without it, by the embedded default on loopback only."""
    metrics_host: str = LOOPBACK
    metrics_port: Port | None = None
    """Where the worker shows its metrics; without it on an ephemeral port."""
    rate_per_subject: Annotated[int, Field(ge=0)] = 3000
    """Requests a minute that one token's subject, or one tracking code, may send to one API process; 0: no limit."""
    rate_per_address: Annotated[int, Field(ge=0)] = 6000
    """The same for one address, of requests without a token."""
    rates: Rates | None = None
    """Other rates than `RATES`, as ``reveal=30/hour,command=off``; ``off`` for none at all."""
    access_days: Annotated[int, Field(ge=183)] = 400
    """How long it is kept who saw what; half a year is the least."""
    ready_needs_worker: bool = False
    """Whether `/readyz` of the API waits for a polling worker, as it does under `jiesu up`."""

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
        return self.embedded and self.oidc_issuer is None if self.local_tokens is None else self.local_tokens

    @property
    def offers_provider(self) -> bool:
        """Whether the embedded identity provider is wanted; `api.provider` refuses where it may not be."""
        if self.embedded_provider is not None:
            return self.embedded_provider
        stays_here = is_local(f"http://{self.api_host}") and is_local(self.origin)
        return self.embedded and self.accepts_local_tokens and stays_here

    @property
    def origin(self) -> str:
        """Scheme, host and port at which browsers see this installation."""
        return self.public_url or f"http://{self.api_host}:{self.api_port}"

    @property
    def rates_by_name(self) -> dict[str, str]:
        """Those that are in force, without those that are off."""
        told = dict(part.split("=") for part in codes(self.rates) if "=" in part)
        rates = {} if self.rates == "off" else {**RATES, **told}
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
        """Of heads, each once."""
        return codes(self.head_recipients)

    @property
    def ui_origins(self) -> tuple[str, ...]:
        """Of Temporal's user interface."""
        if self.codec_origins is not None:
            return codes(self.codec_origins)
        return (f"http://{LOOPBACK}:{self.temporal_ui_port}",) if self.embedded_temporal else ()

    @property
    def outgoing(self) -> tuple[str, ...]:
        """The hosts that may be called, each once."""
        return codes(self.outgoing_hosts)

    @property
    def seal_keys_folder(self) -> Path:
        return self.seal_keys or self.home / "keys" / "seal"

    @property
    def makes_keys(self) -> bool:
        """Whether keys that nobody has made are made here; a deployment, on several hosts, is given the same ones."""
        return self.embedded_temporal or self.embedded_database

    @property
    def signing_root(self) -> Path:
        """The root of the embedded default, which certifies keys by itself."""
        return self.home / "keys" / "signing.pem"

    @property
    def namespace_keys_file(self) -> Path:
        return self.namespace_keys or self.home / "keys" / "namespace.json"

    @property
    def master_keys_file(self) -> Path:
        return self.master_keys or self.home / "keys" / "master.json"

    @property
    def key_store_url(self) -> str:
        """It may hold a password: never log it."""
        return self.key_store.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'keys' / 'issues.db'}"

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
        path = self.home / "keys" / "secret"
        found = read_or_create(path, lambda: secrets.token_hex(32).encode())
        if len(found) < SHORTEST_SECRET:  # an empty one would let anybody work out every tracking code
            raise SettingsError(f"{path} has less than {SHORTEST_SECRET} bytes: put it back from a backup")
        return found


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


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
