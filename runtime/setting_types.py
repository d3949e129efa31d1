"""Types of settings, with the checks of their values. The message of a failed check never shows the value."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from runtime.proxies import Proxies

RATES: Final = {
    "report": "1200/hour",
    "command": "600/minute",
    "issue": "60/minute",
    "code": "300/hour",
    "phone": "10/hour",
    "sms": "1000/hour",
    "upload": "120/hour",
    "reveal": "60/hour",
    "export": "60/hour",
    "decode": "1200/hour",
}
"""The default rate limits, by name.

``report``: reports per person, or per network address without a token. ``command``: commands per person. ``issue``:
commands per issue. ``code``: wrong tracking codes per network address. ``phone`` and ``sms``: verification codes sent
to one phone, and to all phones together. ``upload``, ``reveal``, ``export`` and ``decode``: pictures added, whole phone
numbers seen, exports, and requests to decrypt Temporal's payloads, per person.
"""

MOST_CONNECTIONS: Final = 500
"""The usual bound on connections at a time: well below the 1,024 files that many systems let a process open."""
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
SHORTEST_SECRET: Final = 32
_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/(second|minute|hour|day)|off")
_HOST: Final = re.compile(r"[0-9A-Za-z._:-]{1,253}")
_ORIGIN: Final = re.compile(r"https?://[0-9a-z.-]{1,253}(:[0-9]{1,5})?")
_CODE: Final = re.compile(r"[0-9A-Za-z._-]{1,64}")
_LOCAL: Final = re.compile(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?(/.*)?")


def codes(text: str | None) -> tuple[str, ...]:
    """The comma-separated parts of the text, without blanks around them and without repeats."""
    return tuple(dict.fromkeys(code.strip() for code in (text or "").split(",") if code.strip()))


def is_local(address: str) -> bool:
    """Whether the URL is an http URL (without TLS) of this machine."""
    return _LOCAL.fullmatch(address) is not None


def place_of(url: str) -> str:
    """The host and path of a database URL, without driver, user and options: equal for two URLs of one database."""
    rest = url.partition("://")[2].partition("?")[0]
    return rest.rpartition("@")[2] if not rest.startswith("/") else rest


def _absolute(path: Path) -> Path:
    home = path.expanduser().resolve()
    # URLs of databases contain it, and these characters would end or change their path.
    if any(sign in str(home) for sign in "?#%") or not str(home).isprintable():
        raise ValueError("must be a path without ? # % and control characters")
    return home


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host's name or address")
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("must look like host:port")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _database_url(value: SecretStr) -> SecretStr:
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not scheme:
        return value
    if not separator or scheme not in _DRIVERS:
        raise ValueError("must begin with postgresql:// or sqlite://")
    return SecretStr(f"{_DRIVERS[scheme]}://{rest}")


def _secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters")
    return value


def _rates(value: str) -> str:
    for part in codes(value) if value != "off" else ():
        name, _, rate = part.partition("=")
        if name not in RATES or not _RATE.fullmatch(rate):
            raise ValueError(f"must be off, or name=number/hour with commas between; names: {', '.join(RATES)}")
    return value


def _store(value: str) -> str:
    if value.startswith(("file:///", "s3://")):
        return value
    if "://" in value:
        raise ValueError("must be a folder, or begin with file:/// or s3://")
    return _absolute(Path(value)).as_uri()


def _listed(each: re.Pattern[str], what: str) -> AfterValidator:
    """A check that each of the comma-separated values has the form `each`; `what` names the form in the message."""

    def check(value: str) -> str:
        if not all(map(each.fullmatch, codes(value))):
            raise ValueError(f"must be {what} with commas between them")
        return value

    return AfterValidator(check)


def _networks(value: str) -> str:
    try:
        Proxies(value)
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8 with commas between them") from None
    return value


def _public_url(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be an origin such as https://jiesu.example.org, without a path")
    if value.startswith("http://") and not is_local(value):
        raise ValueError("must begin with https://")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
Place = Annotated[Path, AfterValidator(_absolute)]
"""The path of a file or folder, which is made absolute."""
Host = Annotated[str, AfterValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]
"""A host and a port, as ``host:port``."""
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
"""A database URL, to which the driver is added; empty if not set."""
Secret = Annotated[SecretStr, AfterValidator(_secret)]
ObjectStore = Annotated[str, AfterValidator(_store)]
"""The URL of a blob store: ``file:///folder`` (a folder's path becomes that), or ``s3://bucket/prefix``."""
Rates = Annotated[str, AfterValidator(_rates)]
Hosts = Annotated[str, _listed(_HOST, "names of hosts")]
Networks = Annotated[str, AfterValidator(_networks)]
"""Networks such as ``10.0.0.0/8``, comma-separated; empty: none."""
Organisations = Annotated[str, _listed(_CODE, "codes of organisations")]
Origins = Annotated[str, _listed(_ORIGIN, "origins like https://temporal.example")]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
