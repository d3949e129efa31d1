"""People change on a running home: open issues pass to whoever has them today, and reading follows the contract."""

import asyncio
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import select

from db.engine import Database
from db.tables import NoticeRow
from domain.worktime import SHANGHAI
from support.again import Again, client_of
from support.crash import CHECKOUT, PATIENCE, Jiesu, opened
from support.verdict import holds

EXAMPLE = CHECKOUT / "examples" / "directory"
BOUND = timedelta(minutes=10)
PHONE, FLAT, WORDS = "13800000009", "3幢2单元501", "楼道灯不亮"
REPORT = {
    "compound": "other", "category": "facility", "description": WORDS, "location": FLAT,
    "contact": {"name": "住户", "phone": PHONE},
}  # fmt: skip


@pytest.fixture
async def jiesu(tmp_path: Path) -> AsyncIterator[Jiesu]:
    found = Jiesu(tmp_path / "home")
    await found.start()
    yield found
    await found.stop()


async def command(jiesu: Jiesu, *arguments: str) -> str:
    """What it prints as people run it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
    environment |= {"JIESU_HOME": str(jiesu.home), "PYTHONPATH": str(CHECKOUT)}
    environment |= {f"JIESU_{name}_PORT": str(port) for name, port in jiesu.ports.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "cli", *arguments, cwd=jiesu.home.parent, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = (stream.decode() for stream in await process.communicate())
    assert process.returncode == 0, out + err
    return out.strip()


async def token(jiesu: Jiesu, person: str, role: str, org: str) -> dict[str, str]:
    plain = await command(jiesu, "token", "--person", person, "--role", role, "--org", org)
    return {"Authorization": f"Bearer {plain}"}


def changed(folder: Path, **replaced: Callable[[str], str]) -> Path:
    """The example directory with these files changed."""
    shutil.copytree(EXAMPLE, folder)
    for name, change in replaced.items():
        file = folder / f"{name}.csv"
        before = file.read_text("utf-8")
        after = change(before)
        assert after != before, name
        file.write_text(after, "utf-8")
    return folder


async def report(client: Again, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/issues", json=REPORT | body, headers={"Idempotency-Key": str(uuid.uuid4())})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def give(client: Again, issue: str, name: str, headers: dict[str, str], **body: Any) -> int:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    return (await client.command(f"/v1/issues/{issue}/commands/{name}", headers | key, json=body)).status_code


async def timeline(client: Again, issue: str, headers: dict[str, str]) -> list[dict[str, Any]] | None:
    answer = await client.get(f"/v1/issues/{issue}/timeline", headers=headers)
    return answer.json()["events"] if answer.status_code == 200 else None


async def passed_on(client: Again, issue: str, headers: dict[str, str]) -> dict[str, Any]:
    """What the timeline says once the issue has been told what the directory says."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for event in await timeline(client, issue, headers) or ():
                if event["kind"] == "directory_changed":
                    return event["data"]
            await asyncio.sleep(0.2)


async def found_by(client: Again, headers: dict[str, str]) -> set[str]:
    """What lists, searches and worklist show."""
    found: set[str] = set()
    for path in ("/v1/issues", "/v1/worklist", f"/v1/issues?q={WORDS}", "/v1/issues?q=JS-", "/v1/issues?status=closed"):
        found |= {each["id"] for each in (await client.get(path, headers=headers)).json()["items"]}
    return found


async def test_a_dismissed_company_reads_nothing_of_residents_and_the_next_one_goes_on(jiesu: Jiesu) -> None:
    today = datetime.now(SHANGHAI).date().isoformat()
    old, clerk = (
        await token(jiesu, "op1", "property", "other-property"),
        await token(jiesu, "oc1", "community", "other-community"),
    )
    async with opened(jiesu) as (temporal, database), client_of(jiesu.url) as client:
        open_one, closed = await report(client), await report(client)
        assert await give(client, open_one["id"], "accept", old, note="马上到") == 200
        picture = BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        at = f"/v1/issues/{open_one['id']}/attachments"
        added = await client.post(at, content=picture.getvalue(), headers=old | {"Content-Type": "image/png"})
        assert added.status_code == 201
        mine = {"X-Tracking-Code": closed["tracking_code"]}
        assert await give(client, closed["id"], "withdraw", mine) == 200
        assert await found_by(client, old) >= {open_one["id"], closed["id"]}
        assert PHONE in str(await timeline(client, closed["id"], old))

        folder = changed(
            jiesu.home.parent / "changed",
            contracts=lambda text: text.replace(
                "other-property,other,2026-01-01,",
                f"other-property,other,2026-01-01,{today}\nnew-property,other,{today},",
            ),
            operators=lambda text: text + "new-property,新来物业,company\n",
            appointments=lambda text: text + f"n1,property,new-property,{today},,,\n",
        )
        assert "imported from" in await command(jiesu, "directory", "import", str(folder))
        what = await passed_on(client, open_one["id"], clerk)
        assert (what["lost"], what["got"]) == (["other-property"], ["new-property"])

        for issue in (open_one["id"], closed["id"]):
            for path in ("", "/next", "/attachments", f"/attachments/{added.json()['attachment']}"):
                assert (await client.get(f"/v1/issues/{issue}{path}", headers=old)).status_code == 404
            record = await timeline(client, issue, old)
            assert record is not None
            assert not [each for each in (PHONE, FLAT, WORDS, "住户") if each in str(record)]
            assert record[0]["data"]["number"] in (open_one["number"], closed["number"])
        kept = await timeline(client, open_one["id"], old)
        assert [event["kind"] for event in kept or ()] == [
            "reported",
            "dispatched",
            "accepted",
            "attached",
            "directory_changed",
        ]
        assert await found_by(client, old) == set()
        assert await give(client, open_one["id"], "arrive", old, assessment="minor") == 404

        new = await token(jiesu, "n1", "property", "new-property")
        assert await found_by(client, new) == {open_one["id"]}
        assert PHONE in str(await timeline(client, open_one["id"], new))
        assert await timeline(client, closed["id"], new) is None
        assert await give(client, open_one["id"], "accept", new) == 200
        assert (await report(client))["handler"] == "new-property"
        assert await told(database, open_one["id"]) == {"other-property", "new-property", None}
        await holds(temporal, database, (), BOUND)


async def test_a_dissolved_community_leaves_its_issues_to_its_successor(jiesu: Jiesu) -> None:
    clerk = await token(jiesu, "oc1", "community", "other-community")
    async with opened(jiesu) as (temporal, database), client_of(jiesu.url) as client:
        issue = (await report(client))["id"]
        assert await give(client, issue, "escalate", clerk, reason="物业推诿") == 200
        moved = {
            name: (lambda text: text.replace("other-community", "next-community")) for name in tables("other-community")
        }
        folder = changed(jiesu.home.parent / "changed", **moved)
        assert "imported from" in await command(jiesu, "directory", "import", str(folder))
        successor = await token(jiesu, "oc1", "community", "next-community")
        what = await passed_on(client, issue, successor)
        assert (what["lost"], what["got"]) == (["other-community"], ["next-community"])
        view = (await client.get(f"/v1/issues/{issue}", headers=successor)).json()
        assert (view["lead"], view["handler"], view["next"]["org"]) == (
            "next-community",
            "other-property",
            "next-community",
        )
        assert (await client.get(f"/v1/issues/{issue}", headers=clerk)).status_code in (401, 404)
        assert await give(client, issue, "accept", successor) == 200
        await holds(temporal, database, (), BOUND)


async def told(database: Database, issue: str) -> set[str | None]:
    """Who was told that the people changed; None is the reporter."""
    wanted = (NoticeRow.issue == issue, NoticeRow.template == "directory_changed")
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.read() as session:
                found = set(await session.scalars(select(NoticeRow.to_org).where(*wanted)))
            if len(found) >= 3:
                return found
            await asyncio.sleep(0.2)


def tables(word: str) -> list[str]:
    return [file.stem for file in EXAMPLE.glob("*.csv") if word in file.read_text("utf-8")]
