"""Studies of recorded issues: `jiesu audit whatif` and `jiesu audit mining`."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from audit.mining.traces import IssueTrace
from audit.selection import Selection
from audit.service import AuditService, in_thread
from cli.audit_service import with_service
from cli.errors import Failure
from cli.system import calendars_in_files, settings
from cli.terminal import AsJson, write_file
from db.published import published
from domain.pins import Calendars, newest
from domain.wire import truncate

Query = Annotated[str, typer.Option("--query", help="e.g. 'category=leak compound=demo since=2026-11-01'; empty: all.")]


def register(app: typer.Typer) -> None:
    """Adds the subcommands to `jiesu audit`."""
    app.command()(whatif)
    app.command()(mining)


def whatif(
    *,
    policy: Annotated[str | None, typer.Option(help="id of a pack, or the path of a .toml file.")] = None,
    calendar: Annotated[
        Path | None, typer.Option(help="A file or folder of calendars, in place of those known here of their years.")
    ] = None,
    query: Query = "",
    csv: Annotated[Path | None, typer.Option(help="Write the figures as CSV.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold what people really did again under another policy or other calendars.

    Shows what would have been late, and what would have climbed.
    """
    from audit.whatif import page
    from audit.whatif import report as figures
    from audit.whatif.study import Study
    from calendars import CalendarError, load_place
    from cli.policy import load_pack_or_file as load_policy
    from policies.loader import PolicyError

    if policy is None and calendar is None:
        raise Failure("say --policy, --calendar or both")
    try:
        rules = load_policy(policy) if policy is not None else None
        given = newest(load_place(calendar)) if calendar is not None else None
    except PolicyError as error:
        raise Failure(str(error.problems[0])) from None
    except CalendarError as error:
        raise Failure(str(error)) from None

    async def work(service: AuditService) -> Study:
        years = None if given is None else await _years(service, given)
        study = Study(rules, years, truncate(datetime.now(UTC)))
        await in_thread(study.add_all, service.closed(Selection.parse(query)))
        return study

    study = with_service(work)
    if csv is not None:
        write_file(csv, figures.as_csv(study))
    if html is not None:
        write_file(html, page.as_html(study))
    typer.echo(figures.json_text(study) if as_json else figures.as_text(study))


async def _years(service: AuditService, given: Calendars) -> Calendars:
    """The given calendars, and of other years those that new issues get here."""
    async with service.holdings.database.read() as session:
        known = [*calendars_in_files(settings()), *await published(session)]
    return newest([*(each for each in known if each.year not in {calendar.year for calendar in given}), *given])


def mining(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    *,
    form: Annotated[str, typer.Option("--format", help="ocel (OCEL 2.0 JSON) or xes (IEEE 1849).")] = "ocel",
    query: Query = "",
    names: Annotated[bool, typer.Option("--names", help="Real ids of people instead of pseudonyms.")] = False,
) -> None:
    """Export the events of issues into a file for process mining."""
    from audit.mining.ocel import write_ocel
    from audit.mining.xes import write_xes

    writers: Mapping[str, Callable[..., Any]] = {"ocel": write_ocel, "xes": write_xes}
    if form not in writers:
        raise Failure(f"no format {form!r}: ocel or xes")
    chosen = settings()

    async def work(service: AuditService) -> Any:
        def export_all(traces: Iterator[IssueTrace]) -> Any:
            with _replaced(output) as file:
                return writers[form](traces, file, chosen.server_secret(), names=names)

        return await in_thread(export_all, service.traces(Selection.parse(query)))

    written = with_service(work)
    typer.echo(f"{written.issues} issues, {written.events} events in {output}")


@contextmanager
def _replaced(output: Path) -> Generator[IO[bytes]]:
    """Opens the file to be replaced as a whole once all is written. A link is followed.

    A device or a pipe cannot be replaced, so it is written to directly.
    """
    target = output.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    draft = target.with_name(f".{target.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(target)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
