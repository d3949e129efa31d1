"""README: its script runs against a running system, its links resolve, its commands exist."""

import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from support.crash import Jiesu

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
MARK = "the-command-line"


def script(name: str) -> str:
    """The one bash script of a README."""
    (found,) = re.findall(r"```bash\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
    return found


def command_line(name: str) -> str:
    """The lines for the command line, which go on in the script's terminal."""
    (found,) = re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
    return found


def test_both_readmes_hold_the_same_scripts() -> None:
    assert script(READMES[0]) == script(READMES[1])
    assert command_line(READMES[0]) == command_line(READMES[1])


@pytest.mark.parametrize("page", [*sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")), *READMES, "CONTRIBUTING.md"])  # fmt: skip
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    described = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    assert sorted(described) == sorted(phony.split())


async def play(script: str, environment: dict[str, str]) -> tuple[str, int | None]:
    """What it prints, and its exit code."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script, env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await shell.communicate()
    return output.decode(), shell.returncode


async def test_the_script_takes_an_issue_from_report_to_rating(tmp_path: Path) -> None:
    """Each line of its output is an answer of the API; the last is the timeline."""
    jiesu = Jiesu(tmp_path / "home")
    await jiesu.start()
    try:
        command = f"{shlex.quote(sys.executable)} -m cli"
        text = script(READMES[0]).replace("jiesu=.venv/bin/jiesu", f"jiesu={shlex.quote(command)}", 1)
        text += f"echo {MARK}\n" + command_line(READMES[0]).replace(".venv/bin/jiesu", command)
        environment = os.environ | {
            "JIESU_HOME": str(jiesu.home),
            "JIESU_API_PORT": str(jiesu.ports["API"]),
            "JIESU_TEMPORAL_PORT": str(jiesu.ports["TEMPORAL"]),
            "PYTHONPATH": str(ROOT),
        }
        async with asyncio.timeout(300):
            output, code = await play(text, environment)
            while '"queued"' in output:  # on a busy machine, where a person would ask again
                output, code = await play(text, environment)
    finally:
        await jiesu.stop()
    assert code == 0
    answers, _, shown = output.partition(f"{MARK}\n")
    assert "applied       accept" in shown
    *commands, timeline = [json.loads(line) for line in answers.splitlines() if line.strip()]
    assert [answer.get("outcome") for answer in commands] == ["applied"] * 4, commands
    assert commands[-1]["issue"]["closed"] == {"kind": "solved", "satisfaction": "satisfied"}
    by_kind = {event["kind"]: event for event in timeline["events"]}
    accepted = by_kind["accepted"]
    assert accepted["actor"]["role"] == "property"
    assert accepted["clause"] == "accept"
    assert accepted["was_due"] > accepted["at"]
    assert [part["org"] for part in accepted["held"]] == ["demo-property"]
    assert by_kind["confirmed"]["actor"]["role"] == "resident"
    assert by_kind["closed"]["seq"] == commands[-1]["issue"]["version"]
