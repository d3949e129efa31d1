"""The commands that speak to a running Jiesu, against a whole system."""

import asyncio
import io
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import pytest_asyncio
import structlog
from PIL import Image
from python_calamine import CalamineWorkbook
from rich.console import Console
from typer.testing import CliRunner, Result

from cli.app import app
from cli.client import Refusal, base_url
from cli.demo import called
from cli.errors import Failure
from cli.issues import _account, _timeline_table, _what, left, read_fields, said
from cli.main import main
from cli.terminal import plain_line
from domain.commands import Arrive, Complete, Plan, Refer, Rule, Schedule, StepDone
from domain.vocabulary import Milestone
from runtime.settings import Settings
from support.again import SECONDS
from support.ports import free_port
from support.system import System, running_system
from texts.catalogue import named

CHECKOUT = Path(__file__).resolve().parents[2]
STAFF = ("--role", "property", "--org", "demo-property")
CLAUSES = [{"word": "community-accept", "zh": "社区签收", "en": "community: accept"}]


@dataclass
class Terminal:
    """Runs `jiesu` in this process, or as a process of its own; each with the settings of the system."""

    system: System
    locale: str = "C.UTF-8"

    @property
    def settings(self) -> dict[str, str]:
        port = self.system.client.base_url.port
        return {
            "JIESU_HOME": str(self.system.home),
            "JIESU_API_PORT": str(port),
            "COLUMNS": "100",
            "LC_ALL": self.locale,
        }

    async def run(self, *arguments: str) -> str:
        """What it prints."""
        key = () if arguments[0] != "do" or "--key" in arguments else ("--key", str(uuid.uuid4()))
        async with asyncio.timeout(SECONDS):
            while True:
                result = await self._invoke(*arguments, *key)
                assert result.exit_code == 0, result.output + repr(result.exception)
                if arguments[0] != "do" or "queued" not in result.stdout:  # on a busy machine: again, by the same key
                    return result.stdout

    async def read(self, *arguments: str) -> Any:
        return json.loads(await self.run(*arguments, "--json"))

    async def complaint(self, *arguments: str) -> str:
        """The one line that it fails with."""
        result = await self._invoke(*arguments)
        assert isinstance(result.exception, Failure), result.output
        assert result.output == ""
        assert str(result.exception).isprintable()
        return str(result.exception)

    async def process(self, *arguments: str) -> str:
        """What it prints as people run it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JIESU_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments, cwd=CHECKOUT, env=environment | self.settings,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = (stream.decode() for stream in await process.communicate())
        assert process.returncode == 0, out + err
        return out

    async def _invoke(self, *arguments: str) -> Result:
        # In a thread: the API that it asks runs on the loop of the tests.
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=self.settings)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def terminal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    # Worker and API run in this process, and what they log must not be taken for what the command prints.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with running_system(tmp_path_factory.mktemp("cli")) as system:
        yield Terminal(system)
    structlog.reset_defaults()


async def test_issues_and_timelines_are_exported_for_spreadsheets(terminal: Terminal, tmp_path: Path) -> None:
    mine, other = [
        await terminal.read("report", "楼道灯不亮", "--category", "facility", "--compound", compound)
        for compound in ("demo", "other")
    ]
    file, staff = tmp_path / "issues.csv", ("--role", "street", "--org", "demo-street")
    await terminal.system.until(
        f"/v1/issues/{mine['id']}/timeline", terminal.system.street, lambda found: len(found["events"]) >= 2
    )
    await terminal.run("export", "-o", str(file), "--since", "2020-01-01", "--category", "facility", *staff)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    text = file.read_text("utf-8")
    assert mine["number"] in text
    assert other["number"] not in text
    assert "楼道灯" not in text
    await terminal.run("export", "-o", str(file), "--timelines", *staff)
    assert f"\r\n{mine['number']},1," in file.read_bytes().decode()
    book = tmp_path / "issues.XLSX"
    await terminal.run("export", "-o", str(book), "--category", "facility", *staff)
    rows = CalamineWorkbook.from_path(book).get_sheet_by_name("issues").to_python()
    numbers = [row[0] for row in rows]
    assert numbers[0] == "编号 number"
    assert mine["number"] in numbers
    assert other["number"] not in numbers
    await terminal.run("export", "-o", str(file), "--until", "2020-01-01", *staff)
    assert mine["number"] not in file.read_text("utf-8")
    assert "neither a day" in await terminal.complaint("export", "-o", str(file), "--since", "gestern", *staff)
    assert "who are you" in await terminal.complaint("export", "-o", str(file))


async def test_an_issue_from_report_to_confirmation(terminal: Terminal) -> None:
    reported = await terminal.read("report", "厨房漏水", "--category", "leak", "--location", "3幢2单元501")
    issue, code = reported["id"], reported["tracking_code"]
    assert reported["status"] == "dispatched"

    done = await terminal.read("do", "accept", reported["number"], "note=马上到", *STAFF)
    assert done["outcome"] == "applied"
    await terminal.run("do", "arrive", issue, "assessment=minor", *STAFF)
    out = await terminal.run("do", "complete", issue, "answer=换了垫圈,试水一小时不漏", 'evidence=["photo-1"]', *STAFF)
    assert "completed" in out
    confirmed = await terminal.read("do", "confirm", issue, "outcome=solved", "satisfaction=satisfied", "--code", code)
    assert confirmed["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}

    shown = await terminal.read("show", issue, "--code", code)
    assert shown["issue"]["status"] == "closed"
    assert [event["seq"] for event in shown["events"]] == list(range(1, shown["issue"]["version"] + 1))
    out = await terminal.run("show", issue, "--code", code)
    assert "status        closed  solved, satisfied" in out
    assert "换了垫圈" in out
    assert "cli demo-property" in out
    assert "nobody nobody" not in out


async def test_the_commands_speak_one_language_which_is_that_of_the_environment(terminal: Terminal) -> None:
    chinese = replace(terminal, locale="zh_CN.UTF-8")
    staff = ("--role", "property", "--org", "jinpen-property")  # where nothing climbs within seconds
    taken = await terminal.read("report", "楼道灯不亮", "--category", "facility", "--compound", "jinpen")
    await terminal.run("do", "accept", taken["number"], *staff)
    issue = taken["id"]
    shown = ("show", issue, "--code", taken["tracking_code"])
    outs = [
        await chinese.run("report", "漏水"), await chinese.run("do", "arrive", issue, "assessment=minor", *staff),
        await chinese.run(*shown), await chinese.run("worklist", *staff),
    ]  # fmt: skip
    assert "已到场" in outs[2]
    assert "已签收 (物业签收)" in " ".join(outs[2].split())
    for out in outs:
        bare = re.sub(
            r"JS-\S+|[a-z2-7]{26}|[0-9a-f-]{36}|\S+-(property|community|street)|demo|jinpen|52022|cli|worker", "", out
        )
        assert re.findall("[a-z]{2,}", bare) == [], out
    english = [await terminal.run("report", "leak"), await terminal.run("worklist", *staff)]
    assert [out for out in english if re.search(r"[一-鿿]", out)] == []
    refused = await chinese.complaint("do", "accept", issue, *staff)
    assert refused == "指令没有生效：牵头的一级已经接手 (refused, 409)"
    assert await chinese.read(*shown) == await terminal.read(*shown)
    assert (
        await chinese.complaint("worklist")
        == "哪个单位的工作清单？请写明单位，例如 `jiesu worklist --role property --org demo-property`"
    )


async def test_an_issue_that_came_back_is_shown_with_what_was_before(terminal: Terminal) -> None:
    old = await terminal.read("report", "楼道灯不亮", "--category", "facility")
    code = {"X-Tracking-Code": old["tracking_code"]}
    assert (await terminal.system.give(old["id"], "withdraw", code)).status == 200
    new = await terminal.system.report(code, category="facility", description="又不亮", follows=old["id"])
    out = await terminal.run("show", new["id"], "--code", new["tracking_code"])
    assert f"before        {old['number']}  {old['id']}  0 pictures" in out
    assert "楼道灯不亮" in out


async def test_work_is_completed_with_an_uploaded_picture_and_taken_back(terminal: Terminal) -> None:
    issue = (await terminal.read("report", "厨房漏水", "--category", "leak", "--compound", "jinpen"))["id"]
    staff, answer = ("--role", "property", "--org", "jinpen-property"), "answer=换了垫圈,试水一小时不漏"
    await terminal.run("do", "accept", issue, *staff)
    complaint = await terminal.complaint("do", "complete", issue, answer, *staff)
    assert "uploads to this issue after it accepted (POST .../attachments)" in complaint
    system, picture = terminal.system, io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(picture, "PNG")
    headers = {**system.token("cli", "property", "jinpen-property"), "Content-Type": "image/png"}
    kept = await system.client.post(f"/v1/issues/{issue}/attachments", content=picture.getvalue(), headers=headers)
    out = await terminal.run("do", "complete", issue, answer, f'evidence=["{kept.json()["attachment"]}"]', *staff)
    assert "status        completed" in out
    out = await terminal.run("do", "reopen", issue, "reason=还有一处在漏", *staff)
    assert "status        accepted" in out


async def test_an_issue_is_shown_before_its_timeline_is_written(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.client._PAUSES", ())
    monkeypatch.setattr("cli.client._LONGEST_PAUSE", 0.1)
    await terminal.system.stop_worker()
    try:
        reported = await terminal.read("report", "路灯坏了", "--category", "facility")
        out = await terminal.run("show", reported["id"], "--code", reported["tracking_code"])
        shown = await terminal.read("show", reported["id"], "--code", reported["tracking_code"])
    finally:
        await terminal.system.start_worker()
    assert "dispatched" in out
    assert "timeline      not there yet" in out
    assert shown["issue"]["status"] == "dispatched"
    assert shown["events"] is None


async def test_the_worklist_of_an_organisation(terminal: Terminal) -> None:
    reported = await terminal.read("report", "电梯停了", "--category", "elevator", "--urgent")
    items = (await terminal.read("worklist", *STAFF))["items"]
    assert reported["id"] in [item["id"] for item in items]
    out = await terminal.run("worklist", "demo-property", "--role", "community", "--org", "demo-community")
    assert reported["number"] in out


async def test_a_key_acts_once(terminal: Terminal) -> None:
    key = str(uuid.uuid4())
    first = await terminal.read("report", "路灯坏了", "--key", key)
    again = await terminal.read("report", "路灯坏了", "--key", key)
    assert (first["id"], first["tracking_code"]) == (again["id"], again["tracking_code"])


async def test_what_had_less_effect_is_told_with_its_reason(terminal: Terminal) -> None:
    reported = await terminal.read("report", "路灯坏了", "--category", "facility")
    urge = ("do", "urge", reported["id"], "--code", reported["tracking_code"])
    *heard, counted = [await terminal.run(*urge) for _ in range(6)]
    assert "\nbut " not in "".join(heard)
    (said,) = [line for line in counted.splitlines() if line.startswith("but ")]
    assert "nobody is notified again (counted)" in said


async def test_a_renewed_code_is_printed_since_the_old_one_opens_nothing_any_more(terminal: Terminal) -> None:
    reported = await terminal.read("report", "路灯坏了", "--category", "facility")
    out = await terminal.run("do", "renew_code", reported["id"], "--code", reported["tracking_code"])
    (code,) = [line.split()[-1] for line in out.splitlines() if line.startswith("tracking code")]
    assert code != reported["tracking_code"]
    assert (await terminal.read("show", reported["id"], "--code", code))["issue"]["id"] == reported["id"]


async def test_what_the_api_refuses_is_one_line_with_its_reason(terminal: Terminal) -> None:
    issue = (await terminal.read("report", "下水道堵了", "--category", "drain"))["id"]
    refused = await terminal.complaint("do", "complete", issue, *STAFF)
    assert "nobody has accepted the issue yet" in refused
    assert "(refused, 409)" in refused
    assert "(stale, 412)" in await terminal.complaint("do", "accept", issue, "--version", "1", *STAFF)
    assert "(invalid, 422)" in await terminal.complaint("do", "refer", issue, "service=911", *STAFF)
    assert "(not-found, 404)" in await terminal.complaint("show", issue, "--code", "0000-0000")
    assert "(unauthenticated, 401)" in await terminal.complaint("worklist", "demo-property", "--token", "nonsense")


async def test_an_unknown_organisation_or_number_is_refused(terminal: Terminal) -> None:
    assert (
        await terminal.complaint("worklist", "--role", "street", "--org", "nowhere") == "unknown organisation nowhere"
    )
    assert "(not-found, 404)" in await terminal.complaint("show", "JS-00000-00000", *STAFF)


async def test_the_code_alone_or_the_number_however_it_is_typed_opens_an_issue(terminal: Terminal) -> None:
    taken = await terminal.read("report", "下水道堵了", "--category", "drain")
    wide = str.maketrans({chr(at): chr(at + 0xFEE0) for at in range(33, 127)})
    path, who = f"/v1/issues/{taken['number']}", terminal.system.staff
    await terminal.system.until(path, who, lambda _: True)
    number, code = taken["number"].translate(wide) + "。", taken["tracking_code"].translate(wide)
    for name in (number, taken["number"].lower().replace("-", "—"), "mine"):
        assert (await terminal.read("show", name, "--code", code))["issue"]["id"] == taken["id"]
    assert (await terminal.read("show", "--code", code))["issue"]["id"] == taken["id"]
    assert (await terminal.read("show", number, *STAFF))["issue"]["id"] == taken["id"]
    assert (await terminal.read("do", "urge", "mine", "--code", code))["outcome"] == "applied"
    assert (await terminal.read("do", "accept", number, *STAFF))["outcome"] == "applied"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("db", "upgrade"), {"JIESU_HOME": "/proc/x"}, "/proc/x"),
        (("token", "--person", "p", "--role", "resident"), {"JIESU_HOME": "/proc/x"}, "/proc/x"),
        (("token", "--person", "p", "--role", "resident"), {"JIESU_HOME": "garbage"}, "token.pem holds no Ed25519 key"),
        (("report", "漏", "--compound", "demo", "--category", "leak"), {"JIESU_API_HOST": "a b"}, "JIESU_API_HOST"),
    ],
)
def test_what_the_operator_got_wrong_is_one_line(
    arguments: tuple[str, ...], environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage" / "keys").mkdir(parents=True)
    (tmp_path / "garbage" / "keys" / "token.pem").write_text("garbage")
    result = CliRunner().invoke(app, arguments, env=environment)
    assert isinstance(result.exception, Failure), repr(result.exception)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "--person", "p", "--role", "property", "--org", "demo-property"),
        ("worklist", *STAFF),
        ("directory", "import", str(CHECKOUT / "examples" / "directory")),
        ("rebuild",),
    ],
)
def test_a_home_without_a_database_is_told_what_to_do(arguments: tuple[str, ...], tmp_path: Path) -> None:
    database = tmp_path / "home" / "jiesu.db"
    for is_there in (False, True):
        if is_there:  # as one that was only looked at
            database.parent.mkdir()
            database.touch()
        result = CliRunner().invoke(app, arguments, env={"JIESU_HOME": str(database.parent)})
        assert str(result.exception) == f"no database at {database} yet: run `jiesu up` or `jiesu db upgrade` first"
        assert database.exists() == is_there


def test_an_import_says_what_was_imported(tmp_path: Path) -> None:
    environment = {"JIESU_HOME": str(tmp_path)}
    assert CliRunner().invoke(app, ("db", "upgrade"), env=environment).exit_code == 0
    folder = str(CHECKOUT / "examples" / "directory")
    out = CliRunner().invoke(app, ("directory", "import", folder), env=environment).stdout
    assert out.startswith(f"imported from {folder}: ")
    assert all(f" {path.stem}" in out for path in Path(folder).glob("*.csv"))


async def test_the_demo_plays_twice_in_a_row(terminal: Terminal) -> None:
    """Plain lines, since nobody watches; the unattended issue climbs from level to level within a minute."""
    out = await terminal.process("demo", "--story", "1", "--story", "6")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert any("嘉福蓝湾铭著 closed solved, satisfied" in line for line in lines)
    climbs = [line for line in lines if "体验小区 escalated" in line]
    assert [line.partition("escalated ")[2] for line in climbs] == [
        "property->community (property: accept) [the clock]",
        "community->street (community: accept) [the clock]",
    ]
    assert float(climbs[-1].partition(" s ")[0]) < 60
    number = climbs[0].split()[2]
    shown = await terminal.run("show", number, "--role", "street", "--org", "demo-street")
    accounts = [" ".join(line.split()) for line in shown.splitlines() if line.startswith("account")]
    assert len(accounts) == 1
    assert accounts[0].startswith("account demo-property climb ")
    assert "Try" in lines
    assert any(line.startswith("OpenAPI http") and line.endswith("/openapi.json") for line in lines)
    assert not any(line.startswith("pages ") for line in lines)
    again = await terminal.process("demo", "--story", "1")
    assert "closed solved, satisfied" in again


@pytest.mark.night
async def test_the_demo_closes_all_its_stories(terminal: Terminal) -> None:
    out = await terminal.process("demo")
    assert out.count("closed merged") == 3
    for story in ("solved, satisfied", "solved, not rated", "solved, basically", "referred, not rated"):
        assert story in out


@pytest.fixture
def nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A home of its own, and a port at which nobody listens."""
    port = free_port()
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    monkeypatch.setenv("JIESU_API_PORT", str(port))
    return port


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("report", "漏水"), "nobody answers at http://127.0.0.1:{port}: is `jiesu up` running?"),
        (("show", "x"), "who are you?"),
        (("do", "accept", "x", "--org", "demo-property"), "--org needs --role"),
        (("do", "mend", "x", *STAFF), "unknown command mend: one of "),
        (("do", "deadline_passed", "x", *STAFF), "unknown command deadline_passed"),
        (("do", "arrive", "x", "size=minor", *STAFF), "'size=minor' is not FIELD=VALUE"),
        (("do", "step-done", "x", "step=two", *STAFF), "step wants JSON"),
        (("show", "../v1/worklist", "--code", "x"), "not the name of anything"),
        (("show", "JS-00000-00000", "--code", "——"), "this is not a tracking code"),
        (("worklist",), "whose worklist?"),
        (("show", "x", "--token", "密码"), "this is not a token"),
        (("show", "x", "--code", "密码"), "this is not a tracking code"),
        (("report", "漏水", "--key", "钥匙"), "this is not a key"),
    ],
)
def test_a_complaint_is_one_line(
    nobody_there: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["jiesu", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    err = capsys.readouterr().err
    assert stopped.value.code == 1
    assert err.startswith("jiesu: " + complaint.format(port=nobody_there))
    assert err.count("\n") == 1


def test_fields_are_text_or_json_as_the_command_wants_them() -> None:
    assert read_fields(Refer, ["service=110", "receipt=42"]) == {"service": "110", "receipt": "42"}
    assert read_fields(Arrive, ["assessment=minor", "note=a=b"]) == {"assessment": "minor", "note": "a=b"}
    assert read_fields(StepDone, ["step=2"]) == {"step": 2}
    assert read_fields(Rule, ["upheld=true", "handler=demo-volunteers"]) == {
        "upheld": True,
        "handler": "demo-volunteers",
    }
    assert read_fields(Complete, ['evidence=["a"]']) == {"evidence": ["a"]}
    assert read_fields(Schedule, ["time=2026-11-21T08:00:00Z"]) == {"time": "2026-11-21T08:00:00Z"}
    assert (
        read_fields(Plan, ['steps=[{"title": "换管", "due": "2026-12-01T00:00:00Z"}]'])["steps"][0]["title"] == "换管"
    )


def test_printed_text_holds_no_control_characters() -> None:
    assert plain_line("漏水\x1b[2J\n快来\x07") == "漏水 [2J 快来"
    shown = str(Refusal(409, {"title": "No\nway", "detail": "\x1b]0;x\x07", "type": "/problems/refused"}))
    assert shown.isprintable()


def test_the_api_is_reached_on_this_machine_when_it_listens_everywhere() -> None:
    assert base_url(Settings(api_host="0.0.0.0", api_port=8000)) == "http://127.0.0.1:8000"
    assert base_url(Settings(api_host="::", api_port=8000)) == "http://[::1]:8000"
    assert base_url(Settings(api_host="api.example", api_port=80)) == "http://api.example:80"


def test_lines_to_paste_call_the_program_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "jiesu"
    program.touch(mode=0o755)
    assert called(".venv/bin/jiesu") == ".venv/bin/jiesu"
    assert called("/some where/jiesu") == "'/some where/jiesu'"
    assert called("/checkout/cli/__main__.py") == f"{sys.executable} -m cli"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert called(str(program)) == "jiesu"


def test_a_timeline_fits_eighty_columns() -> None:
    actor = {"person": "demo-community", "role": "community", "org": "demo-community"}
    event = {"at": "2026-11-24T14:18:05.000Z", "kind": "redispatched", "level": "community", "actor": actor}
    event |= {"clause": "community-accept", "data": {"reason": "要分段拆开,今天先疏通,明天处理渗水墙面"}}
    console = Console(width=80, file=io.StringIO())
    console.print(_timeline_table([event], CLAUSES))
    out = cast("io.StringIO", console.file).getvalue()
    assert {"redispatched", "(community:", "accept)", "demo-community"} <= set(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_the_timeline_tells_an_interim_answer_from_an_answer_and_marks_a_climb_while_a_wish_waited() -> None:
    for event, printed in (
        ({"kind": "answered", "clause": "answer", "data": {"text": "修好了"}}, "answered (answer)"),
        ({"kind": "answered", "clause": "community-accept", "data": {}}, "answered (community: accept)"),
        ({"kind": "answered", "clause": None, "data": {"text": "在办", "interim": True}}, "answered (interim)"),
        ({"kind": "escalated", "clause": "accept", "data": {"wish_open": True}}, "escalated (accept, wish open)"),
        ({"kind": "commented", "clause": None, "data": {}}, "commented"),
    ):
        assert _what(event, CLAUSES) == printed


def test_what_a_clock_waits_for_is_named_in_chinese_whether_it_is_of_the_pack_or_of_the_rules() -> None:
    of_the_rules = ("confirm", "supply", "resume", "step_done", "update", "progress", "rule")
    words = {word: named(word, "zh") for word in (*get_args(Milestone), *of_the_rules)}
    assert [word for word, shown in words.items() if shown == word] == []
    assert (words["progress"], words["rule"]) == ("推进", "裁定")


def test_a_climb_on_an_account_is_one_line() -> None:
    climb = {"org": "demo-property", "seq": 5, "clause": "accept", "made_good": False, "ms": 6 * 3_600_000}
    assert _account(climb, []) == "demo-property  climb 5 (accept) not made good, 6 h since then"
    assert "5 (accept) made good" in _account(climb | {"made_good": True}, [])


def test_time_left_and_event_details_are_printed() -> None:
    assert left("2000-01-01T00:00:00.000Z").startswith("-")
    assert left("2099-01-01T00:00:00.000Z").partition(" ")[2].startswith("d")
    assert (
        said({"kind": "redispatched", "data": {"handler": {"code": "demo-property", "kind": "company"}}})
        == "demo-property"
    )
    assert said({"kind": "led", "data": {}}) == ""
    assert issubclass(Refusal, Failure)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_rebuild_that_could_not_read_everything_has_failed(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rebuild_all(_: Settings) -> dict[str, Any]:
        return {"issues": 3, "unread": 2, "differences": ["issue x: cannot be decrypted"]}

    monkeypatch.setattr("cli.install.rebuild_all", rebuild_all)
    result = CliRunner().invoke(app, ["rebuild", *options])
    assert str(result.exception) == "2 of 3 could not be read and were left as they were"
    assert "issue x: cannot be decrypted" in result.stdout
