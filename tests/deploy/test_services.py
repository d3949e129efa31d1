"""Our services as docker-compose.yml runs them: two workers and two API processes on PostgreSQL and Temporal.

No container engine is needed: each process gets its command and environment from docker-compose.yml.
"""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from runtime.devserver import find_temporal
from support import compose
from support.again import Again
from support.containers import PATIENCE, Container, Host, replicas
from support.deployment import psql

OPERATIONS = (compose.ROOT / "docs" / "operations.md").read_text("utf-8")
PHONE = "13800000017"
REPORT = {
    "compound": "other", "category": "utilities", "description": "厨房漏水", "location": "3幢2单元501",
    "contact": {"name": "住户", "phone": PHONE},
}  # fmt: skip
"""In a compound whose first deadline is a working day away."""


@dataclass
class Deployment:
    """What runs, and how a person reaches it."""

    workers: list[Container]
    apis: list[Container]
    clients: list[httpx.AsyncClient]
    staff: Mapping[str, str]
    """The headers of somebody at the company."""

    async def report(self, key: str, api: int = 0) -> dict[str, Any]:
        answer = await self.clients[api].post("/v1/issues", json=REPORT, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def command(self, issue: str, name: str, body: dict[str, Any], who: Mapping[str, str], api: int) -> None:
        """Gives a command and waits until it has taken effect."""
        headers = {**who, "Idempotency-Key": str(uuid4())}
        answer = await self.clients[api].post(f"/v1/issues/{issue}/commands/{name}", json=body, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        deadline = time.monotonic() + PATIENCE
        while answer.json()["outcome"] == "queued":
            assert time.monotonic() < deadline, "still queued"
            await asyncio.sleep(0.1)
            answer = await self.clients[api].get(f"/v1/commands/{answer.json()['command_id']}", headers=who)
            assert answer.status_code == 200, answer.text
        assert answer.json()["outcome"] == "applied", answer.text

    async def issue(self, issue: str, who: Mapping[str, str], api: int) -> dict[str, Any]:
        answer = await self.clients[api].get(f"/v1/issues/{issue}", headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def listed(self, issue: str, api: int = 1) -> int:
        """How often the company's list holds the issue, as soon as its row is written."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = await self.clients[api].get("/v1/issues", params={"org": "other-property"}, headers=self.staff)
            times = [each["id"] for each in answer.json()["items"]].count(issue)
            if times > 0 or time.monotonic() > deadline:
                return times
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, database_server: URL, temporal_address: str) -> Host:
    given = compose.example() | {"JIESU_LOCAL_TOKENS": "true", "JIESU_LOG_LEVEL": "debug"}
    return Host(tmp_path_factory.mktemp("deployment"), database_server, temporal_address, given)


def make_keys(host: Host) -> None:
    """By the commands of docs/operations.md: signing keys beside the root and carried over, the others in the volume."""
    tool, offline = Container(host, "jiesu"), host.folder / "offline"
    tool.run("keys", "root", "new", str(offline / "root"))
    carry_signing_keys(host)
    tool.run("keys", "namespace", "new", "/var/lib/jiesu-keys/namespace.json")
    tool.run("keys", "master", "new", "/var/lib/jiesu-keys/master.json")


def carry_signing_keys(host: Host) -> None:
    """Certifies a key for either kind of process and brings both into the volume."""
    tool, offline = Container(host, "jiesu"), host.folder / "offline"
    for process in ("api", "worker"):
        tool.run("keys", "certify", str(offline / "root"), str(offline / process), "--days", "90")
    packed = subprocess.run(["tar", "--create", "./api", "./worker"], cwd=offline, capture_output=True, check=True)
    command = ["tar", "--extract", f"--directory={host.volume('keys')}"]
    subprocess.run(command, input=packed.stdout, check=True)


@pytest.fixture(scope="module")
async def deployment(host: Host) -> AsyncIterator[Deployment]:
    make_keys(host)
    for once in ("migrate", "directory"):
        Container(host, once).run()
    workers, apis = replicas(host, "worker"), replicas(host, "api")
    workers[0].run("audit", "keygen", "--name", "street.example/jiesu")
    try:
        for container in (*workers, *apis):
            container.start()
        for container in (*workers, *apis):
            container.await_health()
        token = apis[0].run("token", "--person", "op1", "--role", "property", "--org", "other-property").strip()
        clients = [Again(base_url=api.url, timeout=PATIENCE) for api in apis]
        yield Deployment(workers, apis, clients, {"Authorization": f"Bearer {token}"})
        for client in clients:
            await client.aclose()
    finally:
        for container in (*workers, *apis):
            container.kill()


@pytest.mark.parametrize("name", ["migrate", "directory"])
def test_what_runs_once_may_run_again(deployment: Deployment, host: Host, name: str):
    Container(host, name).run()


async def test_one_key_on_both_apis_gives_one_issue(deployment: Deployment):
    key = str(uuid4())
    answers = await asyncio.gather(*(deployment.report(key, api) for api in (0, 1, 0, 1)))
    assert len({(each["id"], each["number"], each["tracking_code"]) for each in answers}) == 1
    assert await deployment.listed(answers[0]["id"]) == 1


async def test_reported_through_one_api_accepted_through_the_other(deployment: Deployment):
    issue = await deployment.report(str(uuid4()), api=0)
    await deployment.command(issue["id"], "accept", {"note": "马上到"}, deployment.staff, api=1)
    for api in (1, 0):
        assert (await deployment.issue(issue["id"], deployment.staff, api))["status"] == "accepted"


async def test_one_command_key_on_both_apis_takes_effect_once(deployment: Deployment):
    issue = (await deployment.report(str(uuid4())))["id"]
    headers = {**deployment.staff, "Idempotency-Key": str(uuid4())}
    path = f"/v1/issues/{issue}/commands/accept"
    answers = await asyncio.gather(*(each.post(path, json={}, headers=headers) for each in deployment.clients * 2))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["command_id"] for answer in answers}) == 1
    await deployment.command(issue, "comment", {"text": "已通知住户"}, deployment.staff, api=1)
    timeline = await deployment.clients[0].get(f"/v1/issues/{issue}/timeline", headers=deployment.staff)
    kinds = [event["kind"] for event in timeline.json()["events"]]
    assert kinds.count("accepted") == 1
    assert [event["seq"] for event in timeline.json()["events"]] == list(range(1, len(kinds) + 1))


async def test_both_workers_and_both_apis_show_the_documented_metrics(deployment: Deployment):
    documented = metrics_in_operations()
    assert documented
    shown: set[str] = set()
    for container in (*deployment.workers, *deployment.apis):
        [port] = [port for inside, port in container.ports.items() if inside in str(container.service["healthcheck"])]
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200
        shown |= {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert {name for name in documented if "failed" not in name} <= shown, "what has not happened is not counted"


def metrics_in_operations() -> set[str]:
    """The metrics of our processes that docs/operations.md tells operators to watch."""
    lines = OPERATIONS.splitlines()
    return {line.split("`")[1].split("{")[0] for line in lines if line.startswith(("| `temporal_", "| `jiesu_"))}


async def test_texts_lie_sealed_in_the_read_model_and_their_keys_elsewhere(deployment: Deployment, host: Host):
    issue = (await deployment.report(str(uuid4())))["id"]
    assert await deployment.listed(issue) == 1
    [body] = ask(host, "jiesu", "SELECT body::text FROM events WHERE issue = %s AND seq = 1", issue)
    assert body.count("sealed:") == 4
    assert not [text for text in (PHONE, REPORT["description"], REPORT["location"]) if str(text) in body]
    assert ask(host, "jiesu_keys", "SELECT wrapped IS NOT NULL FROM issue_keys WHERE issue = %s", issue) == [True]


async def test_every_key_is_replaced_while_everything_runs(deployment: Deployment, host: Host):
    """By the commands of docs/operations.md; what began under the old keys goes on under the new ones."""
    before = await deployment.report(str(uuid4()))
    tool, folder = Container(host, "jiesu"), "/var/lib/jiesu-keys"
    namespace, master = f"{folder}/namespace.json", f"{folder}/master.json"
    tool.run("keys", "namespace", "promote", namespace, tool.run("keys", "namespace", "add", namespace).strip())
    old = json.loads((host.volume("keys") / "master.json").read_bytes())["primary"]
    tool.run("keys", "master", "rotate", master, tool.run("keys", "master", "add", master).strip())
    tool.run("keys", "master", "remove", master, old)
    assert old not in ask(host, "jiesu_keys", "SELECT DISTINCT master FROM issue_keys WHERE wrapped IS NOT NULL")
    carry_signing_keys(host)
    for issue in (before, await deployment.report(str(uuid4()))):
        await live_a_life(deployment, issue, api=1)


async def test_a_lost_key_store_comes_back_and_what_was_erased_since_is_erased_again(
    deployment: Deployment, host: Host
):
    """By the commands of docs/operations.md."""
    api, issue = deployment.apis[0], await deployment.report(str(uuid4()))
    await live_a_life(deployment, issue, api=0)
    is_there = ("jiesu_keys", "SELECT wrapped IS NOT NULL FROM issue_keys WHERE issue = %s", issue["id"])
    dump = documented(host, "pg_dump")
    assert "1 issues erased" in api.run("privacy", "erase", "--issue", issue["number"], "--yes")
    assert ask(host, *is_there) == [False]
    documented(host, "pg_restore", dump)
    assert ask(host, *is_there) == [True]
    retain(host)
    async with asyncio.timeout(PATIENCE):
        while ask(host, *is_there) != [False]:
            await asyncio.sleep(0.2)
    assert ask(host, "jiesu", "SELECT kind FROM alarms WHERE kind <> 'calendar-missing'") == ["erasures-differ"]
    for line in re.findall(r"^.*exec keystore psql .*$", OPERATIONS, re.MULTILINE):
        statements = re.findall(r'--command="([^"]*)"', line)
        url = host.database.set(drivername="postgresql", database="jiesu_keys").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            assert [connection.execute(each.encode()).statusmessage for each in statements]


def documented(host: Host, program: str, given: bytes = b"") -> bytes:
    """What the line of docs/operations.md with this program of PostgreSQL's gives, run on the server of the tests."""
    [line] = [line for line in OPERATIONS.splitlines() if f"keystore {program} " in line]
    arguments = re.split(r" [<>] ", line.partition(f"keystore {program} ")[2])[0].split()
    path = psql(program)
    assert path
    where = f"--host={host.database.query['host']}"
    return subprocess.run([path, where, *arguments], input=given, capture_output=True, check=True).stdout


def retain(host: Host) -> None:
    """Has erased what is to be, as docs/operations.md says."""
    [line] = {
        line.partition("temporal-namespace ")[2] for line in OPERATIONS.splitlines() if "schedule trigger" in line
    }
    given = host.service("temporal-namespace")["environment"]
    subprocess.run(
        [find_temporal(), *line.split(), "--address", host.temporal], env=given, capture_output=True, check=True
    )


def ask(host: Host, database: str, query: str, *values: str) -> list[Any]:
    """The first column of what a database of the deployment says."""
    url = host.database.set(drivername="postgresql", database=database)
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        return [row[0] for row in connection.execute(query.encode(), values)]


async def test_a_killed_worker_leaves_its_issues_to_the_other(deployment: Deployment):
    issues = [await deployment.report(str(uuid4()), api=number % 2) for number in range(4)]
    deployment.workers[0].kill()
    for number, issue in enumerate(issues):
        await live_a_life(deployment, issue, api=number % 2)


async def test_a_killed_api_leaves_its_callers_to_the_other(deployment: Deployment):
    issue = await deployment.report(str(uuid4()), api=0)
    deployment.apis[0].kill()
    await live_a_life(deployment, issue, api=1)


async def live_a_life(deployment: Deployment, issue: dict[str, Any], api: int) -> None:
    """Accepted, looked at, done and confirmed."""
    resident = {"X-Tracking-Code": issue["tracking_code"]}
    await deployment.command(issue["id"], "accept", {}, deployment.staff, api)
    await deployment.command(issue["id"], "arrive", {"assessment": "minor"}, deployment.staff, api)
    done = {"note": "换了水管", "answer": "换了水管,试水一小时不漏"}
    await deployment.command(issue["id"], "complete", done, deployment.staff, api)
    rated = {"outcome": "solved", "satisfaction": "satisfied", "comment": "很快"}
    await deployment.command(issue["id"], "confirm", rated, resident, api)
    closed = await deployment.issue(issue["id"], resident, api)
    assert closed["status"] == "closed"
    assert closed["closed"] == {"kind": "solved", "satisfaction": "satisfied"}


def test_only_the_volume_is_written_and_shared(deployment: Deployment):
    assert deployment.apis[0].home == deployment.apis[1].home
    assert {str(path.relative_to(deployment.apis[0].home)) for path in deployment.apis[0].home.rglob("*")} == {
        "keys", "keys/token.pem",
    }  # fmt: skip
    assert not [path for worker in deployment.workers for path in worker.home.iterdir()]


def test_rest_stops_when_asked_and_says_nothing_secret(deployment: Deployment, host: Host):
    left = [each for each in (*deployment.workers, *deployment.apis) if each.is_running]
    assert left
    assert [(each.name, each.stop()) for each in left] == [(each.name, 0) for each in left]
    said = "".join(path.read_text("utf-8") for path in sorted(Path(host.folder).glob("*.log")))
    assert '"event"' in said, "one line of JSON for each event"
    secrets = [host.given[name] for name in compose.SECRETS]
    assert not [secret for secret in (*secrets, PHONE, deployment.staff["Authorization"]) if secret in said]
    alarms = {json.loads(line)["kind"] for line in said.splitlines() if '"event":"alarm"' in line}
    assert alarms <= {"erasures-differ", "calendar-missing"}, "of the key store that was put back, and of a December"


async def test_a_lost_read_model_comes_back_from_the_histories(deployment: Deployment, host: Host):
    worker, api = deployment.workers[1], deployment.apis[1]
    for container in (*deployment.workers, *deployment.apis):
        container.kill()
    worker.start()
    api.start()
    api.await_health()
    issue = await deployment.report(str(uuid4()), api=1)
    await live_a_life(deployment, issue, api=1)
    resident = {"X-Tracking-Code": issue["tracking_code"]}
    path = f"/v1/issues/{issue['id']}/timeline"
    before = (await deployment.clients[1].get(path, headers=resident)).json()
    worker.stop()
    api.stop()
    lose_read_model(host.database)
    for once in ("migrate", "directory"):
        Container(host, once).run()
    assert f"issue {issue['id']}: event 1 (reported) was missing" in worker.run("rebuild")
    assert " 0 differences" in worker.run("rebuild")
    api.start()
    api.await_health()
    assert (await deployment.clients[1].get(path, headers=resident)).json() == before


def lose_read_model(server: URL) -> None:
    """Empties it by the commands of docs/operations.md."""
    [line] = [line for line in OPERATIONS.splitlines() if "DROP DATABASE" in line]
    url = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for command in line.split('--command="')[1:]:
            connection.execute(command.partition('"')[0].encode())
