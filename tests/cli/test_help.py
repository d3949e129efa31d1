"""The help of each command and option is there in both languages, and none is left over in Chinese."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from cli.app import app
from cli.helping import option_text
from texts.catalogue import tables


def all_commands() -> Iterator[tuple[str, Any]]:
    """Every command and group with its path, the root as `jiesu`."""
    root: Any = typer.main.get_command(app)
    root.list_commands(None)
    yield "jiesu", root
    left: list[tuple[str, Any]] = [*root.commands.items()]
    while left:
        path, command = left.pop()
        yield path, command
        left += [(f"{path} {name}", each) for name, each in getattr(command, "commands", {}).items()]


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")


def test_the_same_commands_have_help_in_both_languages() -> None:
    english = {path: command.help for path, command in all_commands()}
    assert english.keys() == tables("zh")["help"].keys()
    assert all(english.values())


def test_each_option_has_help_in_both_languages_and_what_differs_in_one_differs_in_the_other() -> None:
    meant: dict[str, set[str]] = {}
    for path, command in all_commands():
        for part in command.params:
            if part.help is not None:
                told = option_text(path, part)
                assert told, (path, part.name)
                meant.setdefault(told, set()).add(part.help.rstrip("."))
    assert {told: helps for told, helps in meant.items() if len(helps) > 1} == {}
    assert {*meant, tables("zh")["options"]["--help"]} == {*tables("zh")["options"].values()}


@pytest.mark.parametrize("path", tables("zh")["help"])
def test_help_is_told_whole_in_the_language_of_the_environment(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [] if path == "jiesu" else path.split()
    monkeypatch.setenv("COLUMNS", "80")

    def shown() -> str:
        return CliRunner().invoke(app, [*words, "--help"]).output

    chinese = tables("zh")["help"][path]
    assert not set("选项命令参数") & set(shown())
    assert "Show this message" in shown()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "".join(chinese.split()) in "".join(shown().split())
    assert "…" not in shown()
    assert "选项" in shown()
    assert "Show this message" not in shown()
