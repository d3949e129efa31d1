"""``jiesu privacy``: exports and erases the texts of one person, and nothing else."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from PIL import Image
from sqlalchemy import select
from typer.testing import CliRunner, Result

from cli.app import app
from cli.errors import Failure
from db.tables import AccessRow, ErasureRow, IssueRow
from runtime.settings import Settings
from security import ids
from security.opening import open_keys, prepare_keys
from security.vault import ERASED
from support.system import SECRET, System
from support.temporal import dev_server

PHONE = "13800000000"


@dataclass
class Desk:
    """An operator at an installation that runs, with its settings."""

    system: System
    environment: dict[str, str]

    async def run(self, *arguments: str, code: int = 0) -> Result:
        # In a thread: it runs a loop of its own.
        wanted = ["privacy", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, app, wanted, env=self.environment)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    async def read(self, *arguments: str) -> Any:
        return json.loads((await self.run(*arguments, "--json")).stdout)

    async def complaint(self, *arguments: str) -> str:
        result = await self.run(*arguments, code=1)
        assert isinstance(result.exception, Failure), result.exception
        assert str(result.exception).isprintable()
        return str(result.exception)

    async def closed(self, headers: dict[str, str], text: str) -> str:
        """An issue that its reporter has withdrawn."""
        issue = await self.opened(headers, text)
        assert (await self.system.give(issue, "withdraw", headers, reason=text)).status == 200
        async with asyncio.timeout(90):
            while (await self.row(issue)).closed_at is None:
                await asyncio.sleep(0.05)
        return issue

    async def opened(self, headers: dict[str, str], text: str) -> str:
        taken = await self.system.report(headers, compound="jinpen", description=text, contact={"phone": PHONE})
        assert taken.status == 201, taken.body
        await self.system.until(f"/v1/issues/{taken['id']}/timeline", headers, lambda body: body["events"])
        return taken["id"]

    async def row(self, issue: str) -> IssueRow:
        async with self.system.database.read() as session:
            return (await session.scalars(select(IssueRow).where(IssueRow.id == issue))).one()

    async def written(self, issue: str, headers: dict[str, str]) -> str:
        told = await self.system.get(f"/v1/issues/{issue}/timeline", headers)
        return told["events"][0]["data"]["description"]


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    # Worker and API run in this process, and what they log must not be taken for what the command prints.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    home = tmp_path_factory.mktemp("privacy")
    environment = {"JIESU_HOME": str(home), "JIESU_SECRET": SECRET.decode(), "COLUMNS": "100"}
    settings = Settings(home=home)
    await prepare_keys(settings, has_issues=False)
    keys = open_keys(settings)
    async with dev_server(home) as temporal, System(home, temporal, keys=keys) as system:
        yield Desk(system, environment)
    await keys.close()
    structlog.reset_defaults()


def forgotten(service: Desk, *issues: str) -> None:
    """The API's process asks for the keys anew, as it does a minute after another one has erased them."""
    for issue in issues:
        service.system.keys.vault.forget(issue)


async def test_all_that_a_person_reported_is_erased_and_nothing_else(service: Desk) -> None:
    mine, others = service.system.token("cli-mine", "resident"), service.system.token("cli-other", "resident")
    closed, unfinished = await service.closed(mine, "我的话"), await service.opened(mine, "还没办完")
    other = await service.closed(others, "别人的话")
    assert (await service.row(closed)).reporter == ids.pseudonym(SECRET, "cli-mine")
    said = await service.read("erase", "--person", "cli-mine", "--yes")
    assert said == {"erased": [closed], "when_closed": [unfinished], "failed": 0}
    forgotten(service, closed, other)
    assert await service.written(closed, mine) == ERASED
    assert await service.written(unfinished, mine) == "还没办完"
    assert await service.written(other, others) == "别人的话"
    shown = await service.read("retention")
    assert (shown["erased"], shown["waiting"]) == ({"request": 1}, 1)
    again = await service.read("erase", "--person", "cli-mine", "--yes")
    assert again == {"erased": [], "when_closed": [unfinished], "failed": 0}


async def test_those_of_a_proved_phone_are_found_by_its_number(service: Desk) -> None:
    subject = ids.phone_subject(SECRET, "+8613912345678")
    holder = service.system.token(subject, "resident")
    issue = await service.closed(holder, "用手机报的")
    said = await service.read("erase", "--person", "139 1234 5678", "--yes", "--why", "court")
    assert said["erased"] == [issue]
    async with service.system.database.read() as session:
        assert await session.scalar(select(ErasureRow.why).where(ErasureRow.issue == issue)) == "court"


async def test_single_issues_by_id_or_number_once_one_agrees(service: Desk) -> None:
    mine = service.system.token("cli-single", "resident")
    first, second = await service.closed(mine, "第一件"), await service.closed(mine, "第二件")
    number = (await service.row(second)).number
    arguments = ["privacy", "erase", "--issue", first, "--issue", number]
    refused = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=service.environment, input="n\n")
    assert refused.exit_code == 1
    assert await service.written(first, mine) == "第一件"
    agreed = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=service.environment, input="y\n")
    assert "2 issues erased, 0 will be in the night after they are closed" in agreed.stdout
    forgotten(service, first, second)
    assert [await service.written(each, mine) for each in (first, second)] == [ERASED, ERASED]


async def test_privacy_export_writes_all_data_of_a_person(service: Desk, tmp_path: Path) -> None:
    mine, other = service.system.token("cli-export", "resident"), service.system.token("cli-neighbour", "resident")
    issue, gone = await service.opened(mine, "要带走的话"), await service.closed(mine, "已删的话")
    await service.opened(other, "邻居的话")
    held = io.BytesIO()
    Image.new("RGB", (20, 20), "teal").save(held, "PNG")
    path = f"/v1/issues/{issue}/attachments"
    answer = await service.system.client.post(
        path, content=held.getvalue(), headers={**mine, "Content-Type": "image/png"}
    )
    assert answer.status_code == 201
    await service.run("erase", "--issue", gone, "--yes")
    target = tmp_path / "out"
    said = (await service.run("export", str(target), "--person", "cli-export")).stdout
    assert "2 issues in" in said
    assert "1 pictures" in said
    text = (target / "issues.json").read_text("utf-8")
    assert "要带走的话" in text
    assert PHONE in text, "whole: it is his own"
    assert "邻居的话" not in text
    assert "已删的话" not in text
    found = {each["issue"]["id"]: each for each in json.loads(text)["issues"]}
    assert found[gone]["timeline"]["events"][0]["data"]["description"] == ERASED
    assert found[issue]["pictures"] == [
        {
            "digest": answer.json()["attachment"],
            "kind": "image/png",
            "size": (target / picture_of(target)).stat().st_size,
        }
    ]
    with Image.open(target / picture_of(target)) as picture:
        assert picture.getpixel((1, 1)) == (0, 128, 128)
    assert target.stat().st_mode & 0o077 == 0
    assert "is not an empty folder" in await service.complaint("export", str(target), "--person", "cli-export")
    async with service.system.database.read() as session:
        lines = [(row.what, row.issue, row.person) for row in await session.scalars(select(AccessRow))]
    assert {("export", issue, "operator"), ("export", gone, "operator"), ("erase", gone, "operator")} <= set(lines)


def picture_of(folder: Path) -> str:
    (name,) = [path.name for path in folder.iterdir() if path.suffix == ".png"]
    return name


async def test_while_the_key_store_is_down_it_is_said_in_one_line(service: Desk, tmp_path: Path) -> None:
    mine = service.system.token("cli-down", "resident")
    issue = await service.closed(mine, "读不到的话")
    nowhere = Desk(
        service.system, {**service.environment, "JIESU_KEY_STORE": f"sqlite:///{tmp_path / 'no' / 'keys.db'}"}
    )
    said = await nowhere.complaint("export", str(tmp_path / "out"), "--issue", issue)
    assert said.startswith("the key store does not answer")
    assert not (tmp_path / "out").exists()
    said = await nowhere.complaint("erase", "--issue", issue, "--yes")
    assert said == "1 could not be erased now; they are on record and are tried again each night"
    assert (await service.read("erase", "--issue", issue, "--yes"))["erased"] == [issue]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("erase",), "name either a person or issues"),
        (("erase", "--person", "x", "--issue", "y"), "name either a person or issues"),
        (("erase", "--person", "nobody-here"), "there is no such issue"),
        (("erase", "--issue", "JS-00000-00000"), "there is no issue JS-00000-00000 here"),
        (("erase", "--person", "anonymous"), "nobody in particular reports without a name: name issues"),
        (("erase", "--person", "x", "--why", "because she asked"), "--why wants one word"),
        (("export", "out"), "name either a person or issues"),
        (("export", "out", "--person", "nobody-here"), "there is no such issue"),
        (("export", "out", "--person", "anonymous"), "nobody in particular reports without a name: name issues"),
    ],
)
async def test_what_cannot_be_meant_is_one_line(
    service: Desk, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (await service.complaint(*arguments)).startswith(said)
    assert not (tmp_path / "out").exists()


async def test_privacy_retention_prints_days_by_category(service: Desk, tmp_path: Path) -> None:
    out = (await service.run("retention")).stdout
    assert "kept for 1095 days after the close; but" in out
    assert "falling_objects: 1825 days" in out
    rules = tmp_path / "rules.toml"
    rules.write_text("days = 200\n[categories]\nnoise = 300\n", "utf-8")
    own = Desk(service.system, {**service.environment, "JIESU_RETENTION": str(rules)})
    assert (await own.read("retention"))["days"] | {"leak": 200, "noise": 300} == (await own.read("retention"))["days"]
    rules.write_text("days = 2\n", "utf-8")
    assert "days: a whole number of days from 183 to 36500" in await own.complaint("retention")
