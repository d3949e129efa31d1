"""The audit routes: for auditors of the street only, logged, and page by page."""

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select
from structlog.testing import capture_logs

from audit.archive import Archive
from audit.heads import Destinations, publish
from audit.holdings import Holdings
from audit.log_keys import LogKeys
from audit.service import AuditService
from db.engine import Database
from db.tables import SealRow
from policies.loader import SHIPPED
from support.archiving import now
from support.system import System

COUNT = 3
OURS = "category=greening"
"""Of which nobody else here reports anything."""
HEAD = "/v1/audit/head"
WHATIF = "/v1/audit/whatif"
LISTS = ("/v1/audit/verdicts", f"/v1/audit/bundle?query={OURS}", "/v1/audit/mining")
ONE = ("verdict", "proof", "timeline?at=1", "diff")


@pytest.fixture
def auditor(system: System) -> dict[str, str]:
    return system.token("a1", "auditor", "demo-street")


@pytest.fixture
def stranger(system: System) -> dict[str, str]:
    """An auditor of another street."""
    return system.token("a2", "auditor", "other-street")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sealed(system: System) -> AsyncIterator[list[str]]:
    """Closed, sealed and covered by a head; the oldest first."""
    issues = [await closed(system) for _ in range(COUNT)]
    async with asyncio.timeout(system.patience):
        while await number_of_leaves(system, issues) < COUNT:
            await asyncio.sleep(0.05)
    ring = LogKeys.create(system.home / "seals", "city.example/jiesu")
    await publish(system.database, ring, Destinations(system.heads, roots=lambda: system.keys.signer.roots), now())
    yield issues


async def closed(system: System, category: str = "greening") -> str:
    taken = await system.report(category=category, description="树倒了 <b>")
    issue, code = taken["id"], {"X-Tracking-Code": taken["tracking_code"]}
    await system.give(issue, "accept", system.staff, note="马上到")
    await system.give(issue, "arrive", system.staff, assessment="minor")
    await system.give(issue, "complete", system.staff, answer="树已经扶正,加了三根支撑")
    done = await system.give(issue, "confirm", code, outcome="solved", satisfaction="satisfied")
    assert done["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    return issue


async def number_of_leaves(system: System, issues: list[str]) -> int:
    async with system.database.read() as session:
        return await session.scalar(select(func.count()).where(SealRow.issue.in_(issues))) or 0


async def status(system: System, path: str, headers: dict[str, str] | None, body: Any = None) -> int:
    method = "GET" if body is None else "POST"
    return (await system.client.request(method, path, headers=headers, json=body)).status_code


def paths(issue: str) -> list[tuple[str, Any]]:
    """Every route, with the body that it takes."""
    one = [(f"/v1/audit/issues/{issue}/{name}", None) for name in ONE]
    return [*one, *((path, None) for path in LISTS), (HEAD, None), (WHATIF, {"policy": "52022"})]


async def test_audit_routes_are_for_auditors_alone(system: System, sealed: list[str], auditor: dict[str, str]) -> None:
    others = [
        system.staff, system.community, system.street, system.token("e1", "department", "demo-enforcement"),
        system.token("v1", "volunteer", "demo-volunteers"), system.token("r1", "resident"),
        system.token("m1", "admin", "demo-street"),
    ]  # fmt: skip
    for path, body in paths(sealed[0]):
        assert await status(system, path, auditor, body) == 200, path
        assert await status(system, path, None, body) == 401, path
        for headers in others:
            assert await status(system, path, headers, body) == 404, path


async def test_an_auditor_does_not_find_issues_of_another_street(
    system: System, sealed: list[str], stranger: dict[str, str], auditor: dict[str, str]
) -> None:
    for name in ONE:
        assert await status(system, f"/v1/audit/issues/{sealed[0]}/{name}", stranger) == 404
        assert await status(system, f"/v1/audit/issues/nobody/{name}", auditor) == 404
    assert (await system.get("/v1/audit/verdicts", stranger, query=OURS))["items"] == []
    assert (await system.get("/v1/audit/verdicts", stranger, query=OURS, after=sealed[0])).status == 404
    assert (await system.get("/v1/audit/bundle", stranger, query=OURS)).status == 404
    assert (await system.get("/v1/audit/mining", stranger, query=OURS))["objects"] == []
    answer = await system.client.post(WHATIF, json={"policy": "52022", "query": OURS}, headers=stranger)
    assert answer.json()["issues"] == 0


async def test_an_auditor_reads_verdict_proof_timeline_and_difference_of_one_issue(
    system: System, sealed: list[str], auditor: dict[str, str]
) -> None:
    issue = sealed[0]
    one = f"/v1/audit/issues/{issue}"
    found = await system.get(f"{one}/verdict", auditor)
    assert (found["holds"], found["issue"], found["findings"], found["erased"]) == (True, issue, [], False)
    assert found["commands"] > 0
    assert (await system.get(f"{one}/verdict", auditor, fold_only=True))["commands"] == 0

    proof = await system.get(f"{one}/proof", auditor)
    head = await system.get(HEAD, auditor)
    assert (proof["issue"], proof["record"]["issue"]) == (issue, issue)
    assert (proof["head"], proof["root"], proof["size"]) == (head["note"], head["root"], head["size"])

    view = await system.get(f"{one}/timeline", auditor, at=3)
    assert (view["event"]["seq"], view["status"]) == (3, "accepted")
    assert view["responsible"]["lead"] == "demo-property"
    assert (await system.get(f"{one}/timeline", auditor, at="2100-01-01"))["status"] == "closed"
    for at in ("99", "2000-01-01", "soon", "\u0000"):
        answer = await system.get(f"{one}/timeline", auditor, at=at)
        assert (answer.status, answer["errors"][0]["field"]) == (422, "at")

    diff = await system.get(f"{one}/diff", auditor)
    assert diff["same"]
    assert {"temporal", "archive", "sql"} <= set(diff["events"][0])
    assert len(diff["events"]) == found["events"]


async def test_an_open_issue_has_no_verdict_yet(system: System, auditor: dict[str, str]) -> None:
    issue = (await system.report())["id"]
    one = f"/v1/audit/issues/{issue}"
    await system.until(f"{one}/diff", auditor, lambda diff: diff["same"] and len(diff["events"]) == 2)
    assert (await system.get(f"{one}/timeline", auditor, at=2))["status"] == "dispatched"
    for name in ("verdict", "proof"):
        answer = await system.get(f"{one}/{name}", auditor)
        assert answer.status == 404
        assert answer["detail"].startswith(f"issue {issue} is not sealed yet")
    assert set((await system.get(f"{one}/diff", auditor))["events"][0]) == {"seq", "same", "temporal", "sql"}


async def test_verdicts_come_page_by_page(system: System, sealed: list[str], auditor: dict[str, str]) -> None:
    found: list[str] = []
    after: dict[str, str] = {}
    sizes: list[int] = []
    for _ in range(COUNT):
        page = await system.get("/v1/audit/verdicts", auditor, query=OURS, limit=2, fold_only=True, **after)
        found += [item["issue"] for item in page["items"]]
        sizes.append(len(page["items"]))
        assert all(item["holds"] for item in page["items"])
        if page["next_after"] is None:
            break
        after = {"after": page["next_after"]}
    assert (found, sizes) == (sealed, [2, 1])
    assert (await system.get("/v1/audit/verdicts", auditor, query=f"issue={sealed[1]}"))["items"][0]["commands"] > 0
    assert (await system.get("/v1/audit/verdicts", auditor, after="nobody")).status == 404
    for bad in ({"after": "\u0000"}, {"after": "x" * 65}, {"limit": 51}, {"limit": 0}, {"colour": "red"}):
        assert (await system.get("/v1/audit/verdicts", auditor, **bad)).status == 422, bad


async def test_a_bundle_can_be_verified(
    system: System, sealed: list[str], auditor: dict[str, str], tmp_path: Path
) -> None:
    answer = await system.client.get("/v1/audit/bundle", params={"query": OURS}, headers=auditor)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        packed.extractall(tmp_path)
    folder = tmp_path / "bundle"
    assert json.loads((folder / "bundle.json").read_text("utf-8"))["issues"] == sealed
    key = (system.heads / "key.txt").read_text("utf-8").strip()
    command = [sys.executable, "-I", "verifier.py", ".", "--key", key]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (await system.get("/v1/audit/bundle", auditor)).status == 422  # of everything only if it is asked for
    assert (await system.get("/v1/audit/bundle", auditor, query="issue=nobody")).status == 404


async def test_what_no_head_covers_is_not_in_a_bundle_yet(
    system: System, sealed: list[str], auditor: dict[str, str]
) -> None:
    issue = await closed(system, "fees")
    async with asyncio.timeout(system.patience):
        while not await number_of_leaves(system, [issue]):
            await asyncio.sleep(0.05)
    answer = await system.get("/v1/audit/bundle", auditor, query=f"issue={issue}")
    assert answer.status == 404
    assert answer["detail"].startswith(f"issue {issue} was sealed after the newest published head")
    answer = await system.get(f"/v1/audit/issues/{issue}/proof", auditor)
    assert answer["detail"].startswith(f"no published head covers issue {issue} yet")
    assert (await system.get(f"/v1/audit/issues/{issue}/verdict", auditor))["holds"]


async def test_whatif_runs_issues_under_another_policy(
    system: System, sealed: list[str], auditor: dict[str, str]
) -> None:
    async def tried(policy: str, **more: str) -> Any:
        answer = await system.client.post(WHATIF, json={"policy": policy, **more}, headers=auditor)
        return {"status": answer.status_code, **answer.json()}

    words = {"query": f"issue={','.join(sealed)}"}
    by_id = await tried("52022", **words)
    assert (by_id["status"], by_id["issues"]) == (200, COUNT)
    assert by_id["control"]["agreeing"] + by_id["control"]["differing"] == COUNT
    text = (SHIPPED / "52022.toml").read_text("utf-8")
    by_text = await tried(text, **words)
    assert by_text["policy"] == by_id["policy"]
    assert by_text["groups"] == by_id["groups"]
    for policy, said in (
        (text.replace("\nversion = 1\n", "\nversion = 'one'\n"), "policy:5: version: "), ("id = [", "policy:1: "), ("none", "policy:1: "),
    ):  # fmt: skip
        refused = await tried(policy)
        assert refused["status"] == 422
        assert refused["errors"][0]["field"] == "policy"
        assert refused["errors"][0]["params"]["problem"].startswith(said)
    assert (await tried("52022", query="leak"))["errors"][0]["field"] == "query"
    assert (await tried("52022", colour="red"))["status"] == 422


async def test_events_are_exported_for_mining(system: System, sealed: list[str], auditor: dict[str, str]) -> None:
    ocel = await system.client.get("/v1/audit/mining", params={"query": OURS}, headers=auditor)
    assert ocel.headers["content-type"] == "application/json"
    assert {each["id"] for each in ocel.json()["objects"] if each["type"] == "issue"} == {
        f"issue:{each}" for each in sealed
    }
    xes = await system.client.get("/v1/audit/mining", params={"query": OURS, "format": "xes"}, headers=auditor)
    assert xes.headers["content-type"].startswith("application/xml")
    assert all(issue in xes.text for issue in sealed)
    assert '"p1"' not in ocel.text + xes.text
    assert await status(system, "/v1/audit/mining?format=csv", auditor) == 422


async def test_a_word_that_means_nothing_is_named(system: System, auditor: dict[str, str]) -> None:
    for path in ("/v1/audit/verdicts", "/v1/audit/bundle", "/v1/audit/mining"):
        for words, said in (
            ("colour=red", "'colour' is no name"), ("leak", "a condition looks like"), ("since=soon", "'soon' is neither"),
            ("compound=a\u0000b", "NUL"), ("number=\u202e", "bidirectional"), ("x" * 501, ""),
        ):  # fmt: skip
            answer = await system.get(path, auditor, query=words)
            assert (answer.status, answer["errors"][0]["field"]) == (422, "query"), (path, words)
            assert said in answer["errors"][0]["reason"]


async def test_each_read_is_on_record(system: System, sealed: list[str], auditor: dict[str, str]) -> None:
    with capture_logs() as logs:
        for path, body in paths(sealed[0]):
            assert await status(system, path, auditor, body) == 200
        assert await status(system, "/v1/audit/issues/nobody/verdict", auditor) == 404
        assert await status(system, f"/v1/audit/issues/{sealed[0]}/verdict", system.staff) == 404
    reads = [line for line in logs if line["event"] == "audit.read"]
    assert {(line["person"], line["org"]) for line in reads} == {("a1", "demo-street")}
    one = [(name.partition("?")[0], sealed[0]) for name in ONE]
    assert [(line["what"], line["issue"]) for line in reads] == [
        *one, ("verdicts", None), ("bundle", None), ("mining", None), ("whatif", None)
    ]  # fmt: skip
    assert [line["query"] for line in reads if line["what"] == "bundle"] == [OURS]


async def test_a_process_without_an_archive_says_so(system: System, auditor: dict[str, str]) -> None:
    async with system.api_on(system.temporal, audit_service=None) as client:
        assert (await client.get(HEAD, headers=auditor)).status_code == 503
        assert (await client.get("/v1/audit/verdicts", headers=auditor)).status_code == 503
        assert (await client.get(HEAD, headers=system.staff)).status_code == 404


async def test_a_database_or_an_archive_that_is_away_is_said_to_be(
    system: System, sealed: list[str], auditor: dict[str, str], tmp_path: Path
) -> None:
    """A service that cannot read it, in a process that knows all the rest."""
    away = Database(f"sqlite:///{tmp_path / 'none' / 'jiesu.db'}")
    empty = Archive((tmp_path / "archive").as_uri())
    no_sql = AuditService(Holdings(away, system.archive), system.heads)
    no_archive = AuditService(Holdings(system.database, empty), system.heads)
    one = f"/v1/audit/issues/{sealed[0]}"
    reads_sql = {HEAD, LISTS[0], LISTS[2], f"{one}/verdict", f"{one}/proof"}
    for service, answered in ((no_sql, {HEAD}), (no_archive, reads_sql)):
        async with system.api_on(system.temporal, audit_service=service) as client:
            for path, body in paths(sealed[0]):
                method = "GET" if body is None else "POST"
                answer = await client.request(method, path, headers=auditor, json=body)
                assert answer.status_code == (200 if path in answered else 503), path
            found = await client.get(f"{one}/verdict", headers=auditor)
            assert service is no_sql or not found.json()["holds"]
    await away.close()
