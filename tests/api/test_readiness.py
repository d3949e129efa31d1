"""With a fault of each store `/readyz` is 503 and names its cause, as do the log and the answers; it never hangs."""

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from audit.archive import Archive
from audit.holdings import Holdings
from audit.service import AuditService
from db.engine import Database
from db.upgrade import upgrade_async
from protocol.clock import now
from protocol.stores import Store, Stores
from runtime.blobs import DigestStore
from runtime.causes import AWAY, BROKEN, DAMAGED, FULL, LOCKED, MISSING, READ_ONLY, SLOW, cause_of
from runtime.settings import Settings
from security.keys import Keys
from security.keystore import KeyStore
from security.master import MasterKeys
from security.opening import prepare_keys, unfit_key
from security.vault import Vault
from support import faults
from support.again import something_is_away
from support.databases import sqlite_url
from support.outage import away
from support.system import REPORT, System
from support.temporal import dev_server


@pytest.fixture
async def database(tmp_path: Path) -> str:
    """The URL of a database of its own, with today's schema."""
    url = sqlite_url(tmp_path)
    await upgrade_async(url)
    return url


@contextlib.asynccontextmanager
async def api(system: System, temporal: Client | None = None, **parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    with something_is_away():
        async with system.api_on(temporal or system.temporal, **parts) as client:
            yield client


async def wrong(client: httpx.AsyncClient) -> dict[str, str]:
    """What `/readyz` says is wrong."""
    answer = await client.get("/readyz")
    checks = answer.json()["checks"]
    assert answer.status_code == (200 if set(checks.values()) == {True} else 503)
    return {name: said for name, said in checks.items() if said is not True}


async def reported(client: httpx.AsyncClient) -> tuple[int, str]:
    """Status and detail of the answer to a report."""
    answer = await client.post("/v1/issues", json=REPORT, headers={"Idempotency-Key": str(uuid.uuid4())})
    return answer.status_code, answer.json().get("detail", "")


@contextlib.asynccontextmanager
async def stored_keys(system: System, file: Path) -> AsyncIterator[Keys]:
    """The keys of the system, with the keys of issues in a file."""
    store = KeyStore(f"sqlite:///{file}")
    await store.prepare()
    yield Keys(system.keys.signer, Vault(store, MasterKeys.new()), system.keys.converter)
    await store.close()


async def until(client: httpx.AsyncClient, expected: dict[str, str]) -> None:
    """A server that has just started, or goes on, may need a moment on a busy machine."""
    async with asyncio.timeout(60):
        while await wrong(client) != expected:
            await asyncio.sleep(0.1)


async def test_a_frozen_temporal_does_not_answer_and_holds_nothing_up(system: System, tmp_path: Path) -> None:
    async with dev_server(tmp_path) as temporal, api(system, temporal, needs_worker=True) as client:
        await until(client, {"worker": "no worker polls"})
        with capture_logs() as lines, faults.frozen(faults.temporal_of(tmp_path)):
            said = await asyncio.wait_for(wrong(client), 60)
            assert said == {"temporal": "does not answer", "worker": "Temporal does not say"}
            assert (await reported(client))[1].startswith("Temporal does not answer")
        assert {"event": "not_ready", "log_level": "error", **said} in lines
        await until(client, {"worker": "no worker polls"})


async def test_a_temporal_that_answers_but_stores_nothing_is_told_from_a_silent_one(
    system: System, tmp_path: Path
) -> None:
    async with dev_server(tmp_path) as temporal, api(system, temporal) as client:
        await until(client, {})
        with faults.writes_nothing(faults.temporal_of(tmp_path)):
            assert (await wrong(client))["temporal"] in (SLOW, BROKEN)
            assert (await reported(client))[1].startswith(("Temporal takes no writes", "the disk of Temporal has"))


async def test_what_is_tried_of_temporal_leaves_nothing_behind(system: System, tmp_path: Path) -> None:
    async with dev_server(tmp_path) as temporal:
        async with api(system, temporal) as client:
            assert await wrong(client) == {}
        async with asyncio.timeout(60):
            while (await temporal.count_workflows()).count:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("pragma", "cause"), [(faults.READ_ONLY, READ_ONLY), (faults.FULL, FULL)], ids=["read-only", "full"]
)
async def test_a_database_that_takes_nothing_is_named_though_it_can_be_read(
    system: System, database: str, pragma: str, cause: str
) -> None:
    with faults.connections_with(pragma):
        ill = Database(database)
        async with api(system, database=ill) as client:
            with capture_logs() as lines:
                assert await wrong(client) == {"database": cause}
        await ill.close()
    assert {"event": "not_ready", "log_level": "error", "database": cause} in lines


async def test_a_locked_database_takes_no_writes(system: System, database: str) -> None:
    held = Database(database)
    async with api(system, database=held) as client, away(database):
        assert (await wrong(client))["database"] in (SLOW, LOCKED)
    await held.close()


async def test_a_database_of_another_version_needs_the_upgrade(system: System, tmp_path: Path) -> None:
    bare = Database(sqlite_url(tmp_path))
    async with bare.read():
        pass
    (tmp_path / "jiesu.db").touch()
    async with api(system, database=bare) as client:
        assert await wrong(client) == {"database": "needs jiesu db upgrade"}
    await bare.close()


async def test_a_key_store_of_another_version_needs_the_upgrade(system: System, tmp_path: Path) -> None:
    async with stored_keys(system, tmp_path / "keys.db") as keys, api(system, keys=keys) as client:
        await keys.vault.store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "keys.db")) as older:
            older.execute("DROP TABLE probes")
        assert await wrong(client) == {"keys": "needs jiesu db upgrade"}


@pytest.mark.parametrize("part", ["beginning", "middle"])
async def test_a_damaged_key_store_is_named_by_the_check_the_answer_and_the_log(
    system: System, tmp_path: Path, part: str
) -> None:
    file = tmp_path / "keys.db"
    async with stored_keys(system, file) as keys, api(system, keys=keys) as client:
        assert (await reported(client))[0] == 201
        assert await wrong(client) == {}
        await keys.vault.store.close()  # so that its log is written back
        if part == "beginning":
            faults.spoil(file)
        else:
            whole = file.read_bytes()
            file.write_bytes(whole[:4096] + b"garbage!" * ((len(whole) - 4096) // 8))
        with capture_logs() as lines:
            assert await reported(client) == (
                503, "the key store is damaged; send the same again, with the same key"
            )  # fmt: skip
            assert await wrong(client) == {"keys": DAMAGED}
    assert {"event": "key_store_fails", "log_level": "warning", "cause": DAMAGED, "error": "DatabaseError"} in lines
    assert {"event": "not_ready", "log_level": "error", "keys": DAMAGED} in lines


@pytest.mark.parametrize(
    ("pragma", "cause"), [(faults.READ_ONLY, READ_ONLY), (faults.FULL, FULL)], ids=["read-only", "full"]
)
async def test_a_key_store_that_takes_no_keys_is_named(system: System, tmp_path: Path, pragma: str, cause: str) -> None:
    async with stored_keys(system, tmp_path / "keys.db") as keys:
        await keys.vault.store.close()
        with faults.connections_with(pragma):
            async with api(system, keys=keys) as client:
                assert await wrong(client) == {"keys": cause}
                if cause == READ_ONLY:  # a full one still takes what its pages have room for
                    assert (await reported(client))[1].startswith("the key store is read-only; send the same again")


async def test_missing_stores_are_missing(system: System, tmp_path: Path) -> None:
    async with stored_keys(system, tmp_path / "keys.db") as keys:
        pictures = DigestStore((tmp_path / "pictures").as_uri())
        async with api(system, keys=keys, blobs=pictures) as client:
            assert await wrong(client) == {}
            (tmp_path / "keys.db").unlink()
            (tmp_path / "pictures").rmdir()
            assert await wrong(client) == {"keys": MISSING, "pictures": MISSING}


@pytest.mark.parametrize(("needs_worker", "archive"), [(True, {"archive": READ_ONLY}), (False, {})])
async def test_pictures_that_cannot_be_kept_are_named_and_an_archive_only_where_it_is_written(
    system: System, tmp_path: Path, needs_worker: bool, archive: dict[str, str]
) -> None:
    """In a deployment the API reads the archive only; in a home it tells for the worker beside it."""
    folders = [tmp_path / name for name in ("pictures", "archive")]
    pictures, kept = DigestStore(folders[0].as_uri()), Archive(folders[1].as_uri())
    audit = AuditService(Holdings(system.database, kept), system.heads, system.temporal)
    async with api(system, blobs=pictures, audit_service=audit, needs_worker=needs_worker) as client:
        assert await wrong(client) == {}
        with faults.read_only(*folders):
            assert await wrong(client) == {"pictures": READ_ONLY, **archive}
        assert await wrong(client) == {}


@pytest.mark.parametrize("name", ["secret", "signing.pem", "namespace.json", "master.json"])
async def test_a_key_file_that_the_next_start_would_miss_is_named_while_it_is_only_in_memory(
    system: System, tmp_path: Path, name: str
) -> None:
    settings = Settings(home=tmp_path)
    await prepare_keys(settings, has_issues=False)
    file = tmp_path / "keys" / name
    whole = file.read_bytes()
    async with api(system, unfit_key=lambda: unfit_key(settings)) as client:
        assert await wrong(client) == {}
        file.write_bytes(b"garbage!")
        with capture_logs() as lines:
            assert await wrong(client) == {"keys": f"{name} damaged"}
        assert {"event": "not_ready", "log_level": "error", "keys": f"{name} damaged"} in lines
        file.unlink()
        assert await wrong(client) == {"keys": f"{name} missing"}
        file.write_bytes(whole)
        file.chmod(0o600)
        assert await wrong(client) == {}


async def test_a_disk_with_little_room_is_full_before_anything_is_tried(tmp_path: Path) -> None:
    async def never() -> None:
        raise AssertionError

    stores = Stores({"pictures": Store(never, path=tmp_path)}, least_free=1 << 62)
    assert await stores.try_all() == {"pictures": FULL}


async def test_a_store_that_hangs_holds_up_no_other_and_is_tried_once(tmp_path: Path) -> None:
    asked = 0

    async def hangs() -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    async def works() -> None:
        pass

    stores = Stores({"a": Store(hangs), "b": Store(works), "c": Store(works, hangs)})
    assert await stores.try_all() == {"a": AWAY, "b": True, "c": SLOW}
    assert await stores.try_all() == {"a": AWAY, "b": True, "c": SLOW}
    assert asked == 2
    await stores.close()


async def test_a_clock_that_differs_from_temporals_is_seen_though_sqlite_shares_it(
    system: System, database: str
) -> None:
    def ahead() -> Any:
        return now() + timedelta(hours=2)

    def strftime(*_: str) -> str:
        return ahead().strftime("%Y-%m-%dT%H:%M:%S.000Z")

    with faults.every_connection(lambda connection: connection.create_function("strftime", -1, strftime)):
        shared = Database(database)
        async with api(system, database=shared, now=ahead) as client:
            assert await wrong(client) == {"clock": "differs from Temporal's by more than 1 s"}
            said = "this host's clock differs from that of Temporal by more than 1 s, so it stamps no commands"
            assert await reported(client) == (503, said)
        await shared.close()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("database or disk is full (13)", FULL),
        ("Error at /a: No space left on device (os error 28)", FULL),
        ("attempt to write a readonly database (8)", READ_ONLY),
        ("database disk image is malformed (11)", DAMAGED),
        ("file is not a database (26)", DAMAGED),
        ("5f/5f0c1e7b2d9a4c3f: altered", DAMAGED),
        ("disk I/O error (10)", BROKEN),
        ("context deadline exceeded", AWAY),
    ],
)
def test_causes_are_told_from_what_servers_write(text: str, cause: str) -> None:
    error = ValueError("it failed")
    error.__cause__ = RuntimeError(text)
    assert cause_of(error) == cause
