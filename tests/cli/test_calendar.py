"""``jiesu calendar``: `check` reads the named files only, `list` what is known here, `publish` stores before it sends."""

import asyncio
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.errors import Failure
from cli.publish import _lacks
from db.engine import Database
from db.published import publish
from domain.issue import Issue
from domain.worktime import YearCalendar
from policies.loader import load_pack
from support.ports import free_port

AT = datetime(2026, 11, 5, 8, tzinfo=UTC)
NEXT: dict[str, Any] = {"year": 2027, "version": 1, "off": ["2027-01-01"], "on": ["2027-01-03"], "source": "a notice"}
SHIPPED = Path(__file__).resolve().parents[2] / "calendars"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JIESU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(plain: object, name: str = "2027.json") -> str:
    Path(name).write_text(json.dumps(plain), encoding="utf-8")
    return name


def eve() -> dict[str, Any]:
    """The shipped 2026 with one day off more, as its next version."""
    shipped = json.loads((SHIPPED / "2026.json").read_text("utf-8"))
    return shipped | {"version": 2, "off": [*shipped["off"], "2026-12-31"]}


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["calendar", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def read(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def put(home: Path, *calendars: YearCalendar, by: str | None = None) -> None:
    assert CliRunner().invoke(app, ["db", "upgrade"]).exit_code == 0

    async def work() -> None:
        database = Database(f"sqlite:///{home / 'jiesu.db'}")
        await database.transact(lambda session: publish(session, calendars, (), AT, by))
        await database.close()

    asyncio.run(work())


def test_check_counts_the_days_and_needs_no_home(home: Path) -> None:
    assert run("check", write(NEXT)).stdout == "2027.json: 2027 version 1: 1 off, 1 on\n"
    assert not home.exists()


def test_check_names_what_is_not_as_shipped() -> None:
    said = run("check", write({"calendars": [eve(), NEXT]})).stdout.splitlines()
    assert said[0] == "2027.json: 2026 version 2: 34 off, 6 on; freed against version 1: 2026-12-31"
    assert said[1].startswith("2027.json: 2027 version 1")
    (forgotten,) = read("check", write(eve() | {"off": ["2026-12-31"]}))["calendars"]
    assert "2026-10-01" in forgotten["worked"]
    assert "and 9 more" in run("check", "2027.json").stdout


def test_check_names_every_mistake_in_every_file() -> None:
    broken = write(NEXT | {"version": 0, "off": ["2026-12-31"]}, "broken.json")
    result = run("check", write(NEXT), broken, "none.json", code=1)
    assert "2027 version 1" in result.stdout
    *problems, hint, missing = result.stderr.splitlines()
    assert problems == ["broken.json: version: counts from 1", "broken.json: off[0]: 2026-12-31 is not in 2027"]
    assert '{"calendars": [' in hint
    assert missing.startswith("none.json: cannot be read")
    found = read("check", "2027.json", broken, "none.json", code=1)
    assert [each["year"] for each in found["calendars"]] == [2027]
    assert len(found["problems"]) == 3


def test_list_without_a_database_shows_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [(each["year"], each["from"], each["in_force"]) for each in read("list")] == [
        (2024, "shipped", True), (2025, "shipped", True), (2026, "shipped", True),
    ]  # fmt: skip
    monkeypatch.setenv("JIESU_CALENDARS", write([eve(), NEXT]))
    assert [(each["year"], each["version"], each["from"], each["in_force"]) for each in read("list")][2:] == [
        (2026, 1, "shipped", False), (2026, 2, "file", True), (2027, 1, "file", True),
    ]  # fmt: skip
    assert not home.exists()


def test_list_shows_what_was_published_when_and_by_whom(home: Path) -> None:
    put(home, YearCalendar(2027, 1, (date(2027, 1, 1),), (), "a notice"), by="duty desk")
    assert read("list")[-1] == {
        "year": 2027, "version": 1, "off": 1, "on": 0, "source": "a notice", "from": "published",
        "published_at": "2026-11-05T08:00:00.000Z", "published_by": "duty desk", "in_force": True,
    }  # fmt: skip
    assert "published" in run("list").stdout


def test_a_bad_file_in_the_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIESU_CALENDARS", write(NEXT | {"version": 0}))
    result = CliRunner().invoke(app, ["calendar", "list"])
    assert isinstance(result.exception, Failure)
    assert str(result.exception).endswith("2027.json: version: counts from 1")


def failure(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["calendar", *arguments])
    assert isinstance(result.exception, Failure), result.output
    return str(result.exception)


def test_publish_stores_though_temporal_is_away_and_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home)
    monkeypatch.setenv("JIESU_TEMPORAL_PORT", str(port := free_port()))
    assert f"no Temporal at 127.0.0.1:{port}: run the same again" in failure("publish", write([eve(), NEXT]))
    assert [(each["year"], each["version"], each["in_force"]) for each in read("list")][2:] == [
        (2026, 1, False), (2026, 2, True), (2027, 1, True),
    ]  # fmt: skip


def test_publish_stores_all_of_a_file_or_nothing(home: Path) -> None:
    assert "no database" in failure("publish", write(NEXT))
    put(home, YearCalendar(2028, 1, (), ()))
    known = read("list")
    assert "is not in 2026" in failure("publish", write([NEXT, eve() | {"off": ["2027-12-31"]}]))
    assert failure("publish", write([NEXT, eve() | {"version": 1}])).splitlines() == [
        "nothing was published",
        "2026: version 1 is known with another content: a changed calendar gets version 2",
    ]
    assert read("list") == known


@pytest.mark.parametrize(
    ("began", "known", "lacks"),
    [
        (datetime(2026, 12, 31, 15, tzinfo=UTC), (), True),
        (datetime(2026, 12, 31, 15, tzinfo=UTC), (YearCalendar(2026, 9, (), ()),), True),
        (datetime(2027, 12, 31, 15, tzinfo=UTC), (YearCalendar(2027, 1, (), ()),), True),
        (datetime(2027, 12, 31, 15, tzinfo=UTC), (YearCalendar(2027, 2, (), ()),), True),
        (datetime(2027, 12, 31, 15, tzinfo=UTC), (YearCalendar(2027, 2, (date(2027, 1, 1),), ()),), False),
        (datetime(2027, 12, 31, 15, tzinfo=UTC), (YearCalendar(2027, 3, (), ()),), False),
        (datetime(2027, 12, 31, 16, tzinfo=UTC), (), False),  # in Shanghai it is 2028
    ],
)
def test_a_calendar_concerns_issues_that_may_run_in_its_year_and_know_none_as_new(
    began: datetime, known: tuple[YearCalendar, ...], lacks: bool
) -> None:
    issue = Issue(id="i", policy=load_pack("demo"), calendars=known, opened_at=began)
    assert _lacks(issue, YearCalendar(2027, 2, (date(2027, 1, 1),), ())) is lacks
