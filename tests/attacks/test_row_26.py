"""No secret of an installation is in its logs, answers, Temporal, SQL or errors."""

import io
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

import domain.commands as c
from activities.notices import UndeliveredError
from activities.sms import SmsError, SmsWebhook
from activities.webhooks import Receiver, WebhookChannel
from api.container import Services
from api.identity.oidc import Provider
from api.identity.tokens import LocalTokens
from db.engine import Database
from db.outbox import Entry
from protocol.caller import Caller
from runtime.egress import EgressGuard
from runtime.observability import SECRET_FIELDS
from runtime.settings import Settings, SettingsError, load_settings
from security.keystore import KeyStore, KeyStoreDown
from security.master import MasterError, MasterKeys
from security.namespace import NamespaceError, NamespaceKeys
from support.browser import site
from support.canary import Canaries
from support.planted import COMPOUND, RESIDENT, Planted, logged, planted
from support.system import SECRET

LIFE = (
    ("property", c.Accept()), ("property", c.Comment()), (RESIDENT, c.Urge()), ("property", c.Complete()),
    (RESIDENT, c.Confirm("solved", "satisfied")),
)  # fmt: skip
NOBODY = "127.0.0.1:1"


def word(canaries: Canaries, where: str) -> str:
    """A secret in ASCII."""
    return canaries.plant(where)[3:] + "-long-enough-for-any-secret"


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Planted]:
    """An installation that has lived, and been attacked with credentials of all kinds."""
    async with planted(tmp_path_factory.mktemp("row-26")) as made:
        issue = await made.live(LIFE)
        await with_codes(made, issue)
        await turned_away(made, issue)
        await broken(made)
        await made.sealed()
        keep(made)
        yield made


async def with_codes(stage: Planted, issue: str) -> None:
    """The tracking code in use."""
    system = stage.system
    taken = await system.report(compound=COMPOUND)
    stage.canaries.secret("tracking code", taken["tracking_code"])
    stage.codes.append(taken["tracking_code"])
    code = {"X-Tracking-Code": taken["tracking_code"]}
    assert (await system.give(taken["id"], "urge", code)).status == 200
    assert (await system.give(taken["id"], "accept", code)).status == 409
    assert (await system.get(f"/v1/issues/{issue}", code)).status == 404
    renewed = await system.give(taken["id"], "renew_code", code)
    assert renewed.status == 200


async def turned_away(stage: Planted, issue: str) -> None:
    """Credentials that open nothing are not to be told either: they may open something elsewhere."""
    for number, form in enumerate(("Bearer {}", "Basic {}", "{}", "Bearer eyJhbGciOiJub25lIn0.{}.")):
        token = word(stage.canaries, f"wrong token {number}")
        answer = await stage.system.get("/v1/issues", {"Authorization": form.format(token)})
        assert answer.status == 401
    for path in (f"/v1/issues/{issue}", f"/v1/issues/{issue}/timeline", "/session"):
        headers = {
            "X-Tracking-Code": word(stage.canaries, "wrong code")[:40],
            "Cookie": "a=" + word(stage.canaries, "cookie"),
        }
        assert (await stage.system.get(path, headers)).status in (401, 404)


async def broken(stage: Planted) -> None:
    """An API process whose database and identity provider are not there."""
    password, client_secret = word(stage.canaries, "database password"), word(stage.canaries, "client secret")
    database = Database(f"postgresql://jiesu:{password}@{NOBODY}/jiesu")
    auditor = stage.headers("auditor")
    async with stage.system.api_on(stage.system.temporal, whole=False, database=database) as client:
        client.event_hooks["response"].append(stage.hear)
        for path in ("/readyz", "/v1/issues", "/v1/access", "/v1/worklist", "/metrics", "/v1/audit/mining"):
            await client.get(path, headers=auditor)
        await client.post("/v1/issues", json={}, headers=auditor)
        await client.post("/v1/phones", json={"phone": stage.canaries.phone("phone")})
    await database.close()
    provider = Provider(f"http://{NOBODY}", plain_loopback=True)
    async with (
        site(stage.system, provider, client_secret) as served,
        httpx.AsyncClient(base_url=served.origin) as client,
    ):
        client.event_hooks["response"].append(stage.hear)
        assert (await client.get("/session/login")).status_code == 503
        await client.get("/session/callback", params={"code": word(stage.canaries, "login code"), "state": "x"})


def keep(stage: Planted) -> None:
    """What everything is searched for."""
    canaries, home = stage.canaries, stage.system.home
    canaries.secret("server secret", SECRET.decode())
    for role, header in stage.tokens.items():
        token = header["Authorization"].removeprefix("Bearer ")
        canaries.secret(f"token of {role}", token)
        canaries.secret(f"signature of the token of {role}", token.rpartition(".")[2])
    canaries.keys[stage.root.private_bytes_raw()] = "signing root"
    canaries.keys[stage.system.keys.signer._source().private.private_bytes_raw()] = "signing key"
    canaries.keys |= dict.fromkeys(stage.masters.keys.values(), "master key")
    canaries.keys |= dict.fromkeys(stage.namespace.keys.values(), "namespace key")
    canaries.keys[stage.namespace.mark] = "mark of the namespace keys"
    pems = [path for path in (home / "keys").rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    for path in pems:
        private: Any = load_pem_private_key(path.read_bytes(), None)
        canaries.keys[private.private_bytes_raw()] = path.name
    assert len(pems) >= 2, "those of tokens and of heads"


async def test_row_26_no_secret_is_in_what_is_put_out(stage: Planted) -> None:
    words = {"issues.words", "jiesu.db", "jiesu.db-wal"}  # what was reported, which is no secret of this kind
    seen = 0
    async for where, data in stage.outputs():
        seen += 1
        if not where.startswith("keys/"):
            hits = [
                hit for hit in stage.canaries.found(data) if where not in words or not hit.startswith(("report", "?"))
            ]
            assert hits == [], where
    assert seen > 50
    assert stage.log.getvalue().count("\n") > 50
    assert {int(body.split(None, 1)[0]) for _, body in stage.answered} >= {401, 404, 409, 503}


def test_row_26_a_log_line_redacts_secret_fields() -> None:
    canaries, stream = Canaries(), io.StringIO()
    with logged(stream):
        for name in SECRET_FIELDS:
            said = {name: word(canaries, name), "deep": [{name.upper(): word(canaries, name)}]}
            structlog.stdlib.get_logger("row-26").warning("by mistake", **said)
        logging.getLogger("row-26").warning("another library's line")
    assert canaries.found(stream.getvalue().encode()) == []
    assert stream.getvalue().count("[withheld]") == 2 * len(SECRET_FIELDS)


async def test_row_26_an_error_of_the_database_shows_no_value(tmp_path: Path) -> None:
    canaries = Canaries()
    (file := tmp_path / "x.db").touch()
    database = Database(f"sqlite:///{file}")
    secret = word(canaries, "value")

    async def failing(session: AsyncSession) -> None:
        await session.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": secret})

    with pytest.raises(SQLAlchemyError) as raised:
        async with database.write() as session:
            await failing(session)
    with pytest.raises(SQLAlchemyError) as again:
        await database.transact(lambda session: session.execute(text("SELECT :value FROM nowhere"), {"value": secret}))
    assert all("no such table: nowhere" in str(each.value) for each in (raised, again))
    assert canaries.found(f"{raised.value} {again.value} {again.value!r}".encode()) == []
    await database.close()


async def test_row_26_connection_errors_show_no_credentials() -> None:
    canaries = Canaries()
    said: list[str] = []
    password, secret = word(canaries, "password"), word(canaries, "secret")
    store = KeyStore(f"postgresql://jiesu:{password}@{NOBODY}/keys")
    with pytest.raises(KeyStoreDown) as down:
        await store.get("x")
    said.append(f"{down.value!r} {down.value.__cause__!r}")
    outgoing = EgressGuard([NOBODY], local=True)
    with pytest.raises(SmsError) as failed:
        await SmsWebhook(f"http://{NOBODY}/{secret}", secret.encode(), outgoing).send("+8613800000000", "x")
    said.append(repr(failed.value))
    hooks = WebhookChannel(Deaf(), {"org": Receiver(f"http://{NOBODY}/{secret}", secret.encode())}, outgoing)
    with pytest.raises(UndeliveredError) as undelivered:
        await hooks.deliver(Entry(1, "x", 1, "notice", "warned", "org", False, {}, 1, datetime.now(UTC)))
    said += [repr(undelivered.value), repr(hooks)]
    for refused in (MasterKeys.parse, NamespaceKeys.parse):
        with pytest.raises((MasterError, NamespaceError)) as unfit:
            refused(f'{{"primary": "{secret}", "mark": "{secret}", "keys": {{"{secret}": "{secret}"}}}}')
        said.append(repr(unfit.value))
    assert canaries.found(" ".join(said).encode()) == []


class Deaf:
    """Takes a notice and does nothing."""

    repeatable = True

    async def deliver(self, notice: Entry) -> None:
        pass


def test_row_26_what_holds_a_secret_does_not_show_it(stage: Planted, tmp_path: Path) -> None:
    canaries = Canaries()
    secret = word(canaries, "secret")
    settings = Settings(
        database_url=f"postgresql://jiesu:{secret}@db/jiesu", key_store=f"postgresql://jiesu:{secret}@db/keys",
        secret=secret, sms_secret=secret, sms_url=f"https://sms.example/{secret}", oidc_client_secret=secret,
    )  # type: ignore[arg-type]  # fmt: skip
    services = Services(
        temporal=stage.system.temporal, database=Database(f"postgresql://jiesu:{secret}@{NOBODY}/x"),
        verifier=LocalTokens(tmp_path), secret=secret.encode(), policies={}, calendars=(), keys=stage.system.keys,
        registry=CollectorRegistry(),
    )  # type: ignore[arg-type]  # fmt: skip
    held = [
        settings, services, services.database.engine, services.database.url, stage.system.keys, stage.masters, stage.namespace,
        Caller(None, secret, secret.encode()), Receiver(secret, secret.encode()), Canaries(),
    ]  # fmt: skip
    for key in (*stage.masters.keys.values(), *stage.namespace.keys.values(), stage.namespace.mark):
        canaries.keys[key] = "key"
    for each in held:
        shown = f"{each!r} {each}".encode()
        assert canaries.found(shown) == [], type(each)
        assert secret.encode() not in shown


@pytest.mark.parametrize("name", ["DATABASE_URL", "KEY_STORE", "SECRET", "SMS_URL", "OIDC_CLIENT_ID", "NO_SUCH"])
def test_row_26_a_setting_that_is_refused_is_named_and_not_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = Canaries()
    value = canaries.plant(name)[3:]  # for none of them of a form that would do
    monkeypatch.setenv(f"JIESU_{name}", value)
    try:
        settings = load_settings()
    except SettingsError as error:
        assert f"JIESU_{name}" in str(error)
        assert canaries.found(repr(error).encode()) == []
    else:
        assert canaries.found(repr(settings).encode()) == []
