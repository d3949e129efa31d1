"""docs/operations.md names every variable, and only services, commands, metrics and files that exist."""

import re
from pathlib import Path

import pytest
import temporalio.bridge
from typer.testing import CliRunner

from audit import heads
from audit.reconcile import MARGIN
from cli.app import app
from db.engine import make_engine
from db.tables import Base
from runtime.devserver import RETENTION
from runtime.settings import Settings, variable
from security import keystore
from support import compose

TEXT = (compose.ROOT / "docs" / "operations.md").read_text("utf-8")
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL))
SERVICES = compose.services()


def rows(start: str) -> dict[str, str]:
    """First cell -> the rest, of the tables whose first cell begins so."""
    found = re.findall(r"^\| `(" + start + r"[^`]*)`[^|]*\|(.*)\|$", TEXT, re.MULTILINE)
    return dict(found)


def test_every_setting_is_described_with_its_default():
    described = rows("JIESU_")
    for name, field in Settings.model_fields.items():
        assert variable(name) in described, variable(name)
        default = field.get_default(call_default_factory=False)
        if isinstance(default, str | int | bool):
            said = str(default).lower() if isinstance(default, bool) else str(default)
            assert described[variable(name)].strip().startswith(f"`{said}`"), variable(name)


def test_no_variable_is_described_that_does_not_exist():
    known = {variable(name) for name in Settings.model_fields} | {"JIESU_TEST_"}
    assert set(re.findall(r"JIESU_[A-Z_]*[A-Z_]", TEXT)) <= known


def test_every_variable_of_compose_is_described():
    for name in compose.example_names():
        assert f"`{name}`" in TEXT, name


def test_services_in_commands_exist():
    lines = [line for line in BLOCKS.splitlines() if "docker compose" in line]
    options = r"(?:--?[\w-]+(?:=\S+| temporal| tar)? )*"
    for line in lines:
        found = re.search(r"docker compose (?:exec|run) " + options + r"([\w-]+)", line)
        if found:
            assert found[1] in SERVICES, line
    named = re.findall(r"docker compose (?:up -d|stop) ((?:[a-z][\w-]* ?)+)", TEXT)
    assert {word for words in named for word in words.split()} <= set(SERVICES)


def commands() -> set[str]:
    """Every `jiesu` command that the page names, without its arguments."""
    names = re.findall(r"\bjiesu ((?:[a-z]+ ?)+)", "\n".join(re.findall(r"`(jiesu [^`]+)`", TEXT)) + "\n" + BLOCKS)
    return {name.strip() for name in names}


@pytest.mark.parametrize("command", sorted(commands()))
def test_documented_commands_exist(command: str):
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0, done.output
    assert command.rsplit(maxsplit=1)[-1] in done.output


def test_documented_files_exist():
    for path in re.findall(
        r"`((?:api|activities|audit|db|deploy|domain|examples|tests)/[\w/.]+|\w+\.(?:py|yml))`", TEXT
    ):
        assert (compose.ROOT / path).exists(), path


@pytest.mark.parametrize("found", re.findall(r"`([A-Z_]{4,})` in `([\w/]+\.py)`", TEXT))
def test_documented_constants_exist(found: tuple[str, str]):
    name, path = found
    assert re.search(rf"^{name}\b", (compose.ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_kinds_of_alarm_are_those_that_are_raised():
    described = set(rows("[a-z]+(?:-[a-z]+)+"))
    folders = ("db", "activities", "audit")
    code = "\n".join(path.read_text("utf-8") for folder in folders for path in (compose.ROOT / folder).glob("*.py"))
    raised = re.findall(r'(?:_raise|_?alarm|_Alarm|_alarm_once|settle)\((?:\s*(?:self\.)?session, )?"([\w-]+)"', code)
    raised += re.findall(r'^(?:KIND|LATE|LOST|_UNENDED): Final = "([\w-]+)"', code, re.MULTILINE)
    assert described == {*raised, *(alarm for _, alarm in heads._REPORTS.values()), "head-not-published"}


def test_documented_sql_names_existing_tables_and_columns():
    metadata = (Base.metadata, keystore._KEYS.metadata)
    tables = {name: set(table.columns.keys()) for each in metadata for name, table in each.tables.items()}
    for statement in re.findall(r'--command="((?:SELECT|DELETE) .*?)"', BLOCKS):
        [table] = re.findall(r"FROM (\w+)", statement)
        words = set(re.findall(r"\b[a-z_]+\b", re.sub(r"\(\*\)|\w+\(|'[^']*'", " ", statement))) - {
            table,
            "count",
            "min",
        }
        assert words <= tables[table], statement


def test_log_events_are_those_of_the_code():
    code = "\n".join(
        path.read_text("utf-8")
        for folder in ("api", "db", "activities", "audit", "protocol", "runtime")
        for path in (compose.ROOT / folder).glob("*.py")
    )
    for event in ("alarm", "schedule.paused", "outbox.attempt_failed", "records.breaker_opened", "clock_is_wrong"):
        assert f"`{event}`" in TEXT
        assert f'"{event}"' in code


def test_figures_are_those_of_the_code():
    pool = make_engine("postgresql://nobody@localhost/nothing").pool
    most = pool.size() + pool._max_overflow  # type: ignore[attr-defined]
    assert f"opens at most {most} to PostgreSQL" in TEXT
    kept = int(SERVICES["temporal-namespace"]["environment"]["RETENTION"].removesuffix("d"))
    margins = [days - MARGIN.days for days in (kept, RETENTION.days)]
    assert f"{margins[0]} days (`jiesu up`: {margins[1]}) before the alarm" in TEXT
    assert f"retention {SERVICES['temporal-namespace']['environment']['RETENTION'].removesuffix('d')} days" in TEXT


def test_metrics_of_temporals_sdk_exist():
    library = next(Path(temporalio.bridge.__file__).parent.glob("temporal_sdk_bridge*")).read_bytes()
    names = [re.sub(r"\{.*", "", name) for name in rows("temporal_")]
    assert names
    for name in names:
        plain = re.sub(r"_(total|sum|count)$", "", name.removeprefix("temporal_"))
        assert plain.encode() in library, name
