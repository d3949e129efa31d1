"""``jiesu backup`` and ``jiesu restore``: a home, copied while it runs, and made again of the copy."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.errors import one_line
from cli.system import run, settings
from cli.terminal import local
from domain.wire import truncate

_KEYS: Final = "The folder of the keys that nothing wraps. Whoever has it and the backup reads everything."


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    app.command()(backup)
    app.command()(restore)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the backup.")],
    keys: Annotated[Path | None, typer.Option(help=f"{_KEYS} A new one, elsewhere.")] = None,
) -> None:
    """Back up this home, running or not."""
    from audit.backup import back_up

    chosen = settings()
    with one_line():
        made = back_up(chosen, folder.absolute(), None if keys is None else keys.absolute())
    typer.echo(f"{made.files} files of {chosen.home} are in {folder}, as of {local(made.moment)}")
    if made.keys_left:
        typer.echo(f"not in it: {', '.join(made.keys_left)}, without which it cannot be restored; --keys copies them")
    if made.elsewhere:
        typer.echo(f"not in it either, since it lies elsewhere: {', '.join(made.elsewhere)}")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a backup.")],
    keys: Annotated[Path | None, typer.Option(help=_KEYS)] = None,
    erased: Annotated[
        Path | None, typer.Option(help="A newer keys/issues.db, as of the lost home: what was erased by then is again.")
    ] = None,
) -> None:
    """Make a home of a backup, where there is none yet (JIESU_HOME)."""
    from audit.restore_home import Source, restore_home

    chosen = settings()
    word = run(restore_home(chosen, Source(folder, keys, erased), truncate(datetime.now(UTC))))
    typer.echo(f"{chosen.home} is restored, as of {local(word.moment)}: `jiesu up` says what it lost")
