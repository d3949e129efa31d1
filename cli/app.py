"""The ``jiesu`` command with its groups of subcommands."""

import importlib
from collections.abc import Iterable
from typing import Any, Final

import typer
from typer.core import TyperGroup

from cli.helping import tell_in_chinese
from cli.language import language

GROUPS: Final = {
    "policy": "Policy packs: list, show, check, explain. Reads files only.",
    "calendar": "Working days: list, check, publish.",
    "directory": "Places, operators, appointments and bindings: import, show, export.",
    "audit": "Prove what happened: replay, seals, bundles, what-if.",
    "keys": "Keys: make, certify, rotate. None is ever printed.",
    "alarms": "What must not happen and did: list, mark.",
}
"""Modules that are a group of their name, with what its help says."""
COMMANDS: Final = {
    "system": ("up", "worker", "api", "token", "rebuild", "db"),
    "backup": ("backup", "restore"),
    "issues": ("report", "do", "show", "worklist", "demo"),
    "sheets": ("export",),
    "privacy": ("privacy",),
    "notices": ("notices",),
}
"""Modules that register commands, with the names of these."""
_MODULES: Final = {
    **{name: name for name in GROUPS},
    **{name: each for each, names in COMMANDS.items() for name in names},
}


class Lazily(TyperGroup):
    """Loads the module of the command that is asked for: all of them take two seconds, most of them for SQL."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._tell("jiesu", self)

    def list_commands(self, ctx: Any) -> list[str]:
        self._load(_MODULES)
        return [*_MODULES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._load([cmd_name] if cmd_name in _MODULES else _MODULES)  # a word that is none gets a suggestion out of all
        return super().get_command(ctx, cmd_name)

    def _load(self, names: Iterable[str]) -> None:
        for module in dict.fromkeys(_MODULES[name] for name in names if name not in self.commands):
            found = loaded(module).commands
            for name, command in found.items():
                self._tell(name, command)
            self.commands.update(found)

    def _tell(self, path: str, command: Any) -> None:
        if language() == "zh":
            tell_in_chinese(path, command)


def loaded(module: str) -> TyperGroup:
    """The commands of a module of `cli`, as a group."""
    found, commands = importlib.import_module(f"cli.{module}"), typer.Typer(pretty_exceptions_enable=False)
    if module in GROUPS:
        commands.add_typer(found.app, name=module, help=GROUPS[module])
    else:
        found.register(commands)
    commands.callback()(lambda: None)  # a group, though it be of one command
    group = typer.main.get_command(commands)
    assert isinstance(group, TyperGroup)
    return group


app = typer.Typer(
    name="jiesu",
    cls=Lazily,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="接诉 Jiesu: resident issues that climb by themselves.",
)
app.callback()(lambda: None)
