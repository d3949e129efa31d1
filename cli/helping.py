"""The help of the commands in Chinese; in English it stands at the commands."""

import functools
import importlib
from collections.abc import Callable
from typing import Any, Final

import typer

from texts.catalogue import tables

_PANELS: Final = {"option": "选项", "argument": "参数"}
_MAKER: Final = "_make_rich_text"
"""What makes each text on a page of help, by its name in `typer.rich_utils`."""


def tell_in_chinese(path: str, command: Any) -> None:
    """Gives a command, and those below it, their help in Chinese. `path`: how it is called, without `jiesu`."""
    command.help, command.rich_help_panel = tables("zh")["help"].get(path, command.help), "命令"
    command.format_help = functools.partial(_show_whole, command.format_help)
    for part in (*command.params, command.get_help_option(typer.Context(command))):
        part.help = option_text(path, part) or part.help
        part.rich_help_panel = _PANELS[part.param_type_name]
    for name, each in getattr(command, "commands", {}).items():
        tell_in_chinese(f"{path} {name}", each)


def option_text(path: str, part: Any) -> str | None:
    """What the catalogue says of an option or an argument: of this command or its group, else of all by this name."""
    name, words = part.opts[0] if part.param_type_name == "option" else part.name, path.split()
    keys = (" ".join([*words[:most], name]) for most in range(len(words), -1, -1))
    return next(filter(None, map(tables("zh")["options"].get, keys)), None)


def _show_whole(show: Callable[..., None], *given: Any) -> None:
    """Shows a page of help whose lines break between any two signs: what has no blank in it would be cut off."""
    pages: Any = importlib.import_module("typer.rich_utils")  # only now: it takes a tenth of a second
    make = getattr(pages, _MAKER)

    def folding(**asked: Any) -> Any:
        text = make(**asked)
        text.overflow = "fold"
        return text

    setattr(pages, _MAKER, folding)
    try:
        show(*given)
    finally:
        setattr(pages, _MAKER, make)
