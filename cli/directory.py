"""``jiesu directory``: imports files, shows the directory in force, and exports it as the files that import reads."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli.database import opened
from cli.errors import Failure
from cli.system import run, settings
from cli.terminal import AsJson, add_row, local, make_table, print_json, write_file
from db.directory import Version, load_directory, version
from domain.directory import Directory
from domain.directory_csv import DirectoryError, parse
from domain.directory_files import csv_files
from domain.directory_review import remarks
from domain.directory_sheets import Encoding
from domain.wire import dump, format_time
from domain.worktime import SHANGHAI
from runtime.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Places, operators, appointments and bindings.")
_WRAPS: Final = {"compound": 14, "community": 10, "street": 8, "operator": 14}


@app.command("import")
def import_files(
    folder: Annotated[
        Path, typer.Argument(help="The folder with the ten files, CSV or .xlsx, or one .xlsx file with ten sheets.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the import would do.")] = False,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER", help="Import though this open issue has nobody left; repeat it."),
    ] = None,
    encoding: Annotated[Encoding, typer.Option(help="The encoding of the CSV files.")] = "utf-8",
) -> None:
    """Replace the whole directory by the files of a folder or a workbook; if one has a mistake, nothing changes.

    Says which open issues lose the people who act on them, for which organisations nobody is appointed, and where a
    policy or a contract is missing. Refuses what would leave an open issue without anybody.
    """
    from cli.install import import_directory

    done = run(import_directory(settings(), folder, dry_run=dry_run, force=force or (), encoding=encoding))
    counted = ", ".join(f"{count} {name}" for name, count in done.counts.items())
    typer.echo(f"{'would be imported' if dry_run else 'imported'} from {folder}: {counted}")
    for loss in done.losses:
        typer.echo(f"open issue {loss.said}")
    for line in done.remarks:
        typer.echo(line)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the directory in force: when it was imported, who answers for each compound today, and what is missing."""
    found, directory = run(_in_force(settings()))
    today = datetime.now(UTC).astimezone(SHANGHAI).date()
    if as_json:
        silent = replace(directory, appointments=tuple(replace(each, phone="") for each in directory.appointments))
        print_json({**_head(found), **dump(silent)})
        return
    typer.echo(f"directory {found.number}, imported {local(found.imported_at)}, digest {found.digest}")
    typer.echo(", ".join(f"{len(getattr(directory, part.name))} {part.name}" for part in fields(directory)))
    table = make_table("compound", "community", "street", "operator", wraps=_WRAPS)
    for compound in directory.compounds:
        place = directory.place(compound.code, today)
        assert place is not None
        orgs = (place.community, place.street, place.operator)
        names = (_named(org, directory) for org in orgs)
        add_row(table, f"{compound.name} {compound.code}", *names)
    Console().print(table)
    for line in remarks(directory, today):
        typer.echo(line)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it may be there already, but empty.")],
) -> None:
    """Write the directory in force as CSV files, from which `import` reads the same directory.

    A phone stands there as the pseudonym that is kept of it; `import` takes it as it is.
    """
    found, directory = run(_in_force(settings()))
    files = csv_files(directory)
    _read_back(files, directory)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Failure(f"{folder} is not empty: name another folder")
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}") from None
    for name, text in files.items():
        write_file(folder / name, text)
    typer.echo(f"directory {found.number}, {len(files)} files, written to {folder}")


async def _in_force(chosen: Settings) -> tuple[Version, Directory]:
    async with opened(chosen) as database, database.read() as session:
        if (found := await version(session)) is None:
            raise Failure("no directory was imported yet")
        return found, await load_directory(session)


def _read_back(files: Mapping[str, str], directory: Directory) -> None:
    """Raises Failure if import would not read the same from the files: an older version took what this one refuses."""
    try:
        is_same = parse(files) == directory
    except DirectoryError as error:
        raise Failure(f"nothing was written, since import would refuse it:\n{error}") from None
    if not is_same:
        raise Failure("nothing was written, since import would read it otherwise")


def _named(org: str | None, directory: Directory) -> str:
    found = None if org is None else directory.org(org)
    return "-" if found is None else f"{found.name} {found.code}"


def _head(found: Version) -> dict[str, Any]:
    return {"version": found.number, "digest": found.digest, "imported_at": format_time(found.imported_at)}
