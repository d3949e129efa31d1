"""``jiesu audit``: verify, export, check, head, prove, timeline, diff, restore, keygen.

`cli.studies` adds `whatif` and `mining`.

The subcommands need the database and the archive, never a running Temporal, API or worker. `check` needs a bundle only.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audit import bundle, report_page
from audit.case import Verdict
from audit.content import places_of
from audit.heads import Destinations
from audit.heads import publish as publish_head
from audit.held import adopt, release
from audit.holdings import UnknownError
from audit.log_check import UNPINNED
from audit.log_keys import FIRST, LogKeys, TrustedKeys
from audit.restore import Restored
from audit.restore import restore as restore_log
from audit.roots import read_roots
from audit.selection import Selection, moment_of
from audit.service import AuditService
from audit.verify_all import AuditReport, Source, closing, compare_open, lines, verify_all, verify_log
from cli import studies
from cli.audit_service import id_of, open_service, with_service
from cli.database import opened
from cli.errors import Failure, one_line
from cli.system import logging_settings, run, settings
from cli.terminal import AsJson, IssueId, write_file
from domain.wire import truncate
from runtime.settings import Settings
from security.opening import open_signer

app = typer.Typer(no_args_is_help=True, help="Prove what happened: replay, seals, bundles, what-if.")

studies.register(app)

Heads = Annotated[Path | None, typer.Option(help="The folder of published heads, instead of this installation's.")]
Key = Annotated[str | None, typer.Option(help="The log's public key, which you have from elsewhere.")]

_FAILED: Final = 1


@app.command()
def verify(
    issue: Annotated[
        str | None, typer.Argument(metavar="[ISSUE]", help="One issue; without it, say --all or --since.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every sealed issue, and the log.")] = False,
    since: Annotated[str | None, typer.Option(help="What was sealed since this day, and the log.")] = None,
    fold_only: Annotated[
        bool, typer.Option("--fold-only", help="Do not replay commands: quick, and for any age.")
    ] = False,
    no_rows: Annotated[bool, typer.Option("--no-rows", help="Leave the read model out.")] = False,
    open_too: Annotated[
        bool, typer.Option("--open", help="Compare the rows of open issues with their histories in Temporal.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one for each core.", min=1)] = None,
    resume: Annotated[Path | None, typer.Option(help="Note progress in this file, and go on from it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page to print.")] = None,
    heads: Heads = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Verify sealed issues and the log by strict replay; the exit code is 0 only if everything holds."""
    said = sum((issue is not None, everything, since is not None))
    if said > 1 or (not said and not open_too):
        raise Failure("say one of ISSUE, --all and --since DAY, or --open")
    chosen = settings()
    places, why = places_of(chosen)
    if why:
        typer.echo(f"texts cannot be opened here: {why}", err=True)
    source = Source(chosen.database, chosen.archive_url, not no_rows, not fold_only, places)
    done = AuditReport(
        _scope(issue, since, source, everything=everything), truncate(datetime.now(UTC)), rows=source.rows
    )
    if open_too:
        run(_open(chosen, done))
    if issue is not None or not said:
        if issue is not None:
            done.take(run(_one(chosen, issue, source)))
        run(_log(chosen, source, done, heads, key, files=False))
    else:
        run(_all(chosen, source, done, since, workers, resume, heads, key, quiet=as_json))
    if as_json:
        _print(done.plain())
    else:
        typer.echo("\n".join(lines(done)))
    if html is not None:
        write_file(html, report_page.page(done))
    if not done.holds:
        sys.exit(_FAILED)


@app.command()
def export(
    issue: Annotated[
        str | None, typer.Argument(metavar="[ISSUE]", help="One issue; without it, those of --query.")
    ] = None,
    *,
    query: Annotated[str | None, typer.Option("--query", help="e.g. 'category=leak since=2026-11-01'")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the bundle.")],
) -> None:
    """Write sealed issues into a folder (a bundle) that anyone can verify offline."""
    if (issue is None) == (query is None):
        raise Failure("say either ISSUE or --query")

    async def work(service: AuditService) -> int:
        if issue is not None:
            return await service.export([await id_of(service, issue)], output)
        found = [each async for each in Selection.parse(query or "").sealed.issues(service.holdings.database)]
        if not found:
            raise UnknownError(f"no sealed issue is meant by {query!r}")
        return await service.export(found, output)

    count = with_service(work)
    typer.echo(f"{count} issues in {output}: read {output / 'README.md'}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE")],
    *,
    key: Key = None,
    head: Annotated[list[Path] | None, typer.Option("--head", help="A published head that you kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle offline: its seals and proofs, then strict replay of its issues by the rules of this version."""
    from audit import verifier

    kept = [word for file in head or () for word in ("--head", str(file))]
    arguments = [str(folder), *(("--key", key) if key else ()), *kept]
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        code = verifier.main(arguments)
    verdicts = run(bundle.check(folder))
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    if as_json:
        _print(
            {"holds": code == 0 and not findings, "proofs": code == 0, "issues": [asdict(each) for each in verdicts]}
        )
    else:
        for verdict in verdicts:
            typer.echo(
                f"{'ok      ' if verdict.holds else 'FAILED  '} {verdict.issue}: replay of {verdict.commands} commands, {verdict.events} events"
            )
        for finding in findings:
            typer.echo(str(finding))
        if not code:
            report = AuditReport("check", truncate(datetime.now(UTC)))
            for verdict in verdicts:
                report.take(verdict)
            typer.echo(closing(report))
    if code or findings:
        sys.exit(code or _FAILED)


@app.command()
def head(
    *,
    publish: Annotated[bool, typer.Option("--publish", help="Sign a new one now, as is done each day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the newest published head of the log."""
    if publish:
        run(_publish(logging_settings()))  # without logging settings the log would go to stdout, before the note
    found = with_service(lambda service: service.head())
    if as_json:
        _print(found)
    else:
        typer.echo(found["note"], nl=False)


@app.command()
def prove(issue: IssueId) -> None:
    """Print the proof, as JSON, that an issue is in the log of the newest published head."""

    async def work(service: AuditService) -> dict[str, Any]:
        return await service.proof(await id_of(service, issue))

    _print(with_service(work))


@app.command()
def timeline(
    issue: IssueId,
    at: Annotated[str, typer.Option(help="The number of an event, or a time such as 2026-11-24T08:00:00Z.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print the issue as it was at a moment: its state, who was responsible, what was due."""

    async def work(service: AuditService) -> dict[str, Any]:
        return await service.view(await id_of(service, issue), at)

    found = with_service(work)
    if as_json:
        _print(found)
        return
    for name, value in _flat(found):
        typer.echo(f"{name:<28} {value}")


@app.command()
def diff(issue: IssueId, *, as_json: AsJson = False) -> None:
    """Compare an issue in Temporal's history, the archive and SQL; the exit code is 0 only if they agree."""

    async def work(service: AuditService) -> Any:
        return await service.difference(await id_of(service, issue))

    found = with_service(work, temporal=True)
    if as_json:
        _print(found.plain())
    else:
        for line in found.plain()["events"]:
            mark = "  " if line["same"] else "!!"
            values = "   ".join(f"{name} {value or '-'}" for name, value in line.items() if name not in ("seq", "same"))
            typer.echo(f"{mark} {line['seq']:>4}  {values}")
        for finding in found.rows:
            typer.echo(f"!! {finding.where}: {finding.what}")
        typer.echo("all witnesses agree" if found.same else "they do NOT agree")
    missing = [name for name in ("temporal", "archive") if name not in found.witnesses]
    if missing:
        typer.echo(f"not compared with {' and '.join(missing)}: away, forgotten, or not there yet", err=True)
    if not found.same or len(found.witnesses) < 2:
        sys.exit(_FAILED)


@app.command()
def restore(
    heads: Annotated[
        Path | None, typer.Option(help="A folder with heads that others keep, the newest among them.")
    ] = None,
    *,
    no_newer: Annotated[
        bool, typer.Option("--no-newer-heads", help="No head was published after the backup of this home.")
    ] = False,
) -> None:
    """Refill the log in SQL from the archive and the published heads, after the database was restored from a backup.

    Stop the workers first. In a restored home heads are held back until one of the options says which are the newest.
    """

    async def work(service: AuditService) -> Restored:
        database, archive = service.holdings.database, service.holdings.archive
        done = await restore_log(database, archive, service.heads, truncate(datetime.now(UTC)))
        if heads is not None:
            ring = LogKeys.open(settings().seal_keys_folder)
            if await adopt(database, heads, service.heads, ring):
                done.heads += (await restore_log(database, archive, service.heads, truncate(datetime.now(UTC)))).heads
        if heads is not None or no_newer:
            release(service.heads)
        return done

    done = with_service(work)
    typer.echo(f"put back: {done.leaves} leaves, {done.runs} runs, {done.heads} heads")


@app.command()
def keygen(
    *,
    name: Annotated[str, typer.Option(help="The log's name, e.g. city.example/jiesu: part of every head.")] = "jiesu",
    rotate: Annotated[bool, typer.Option("--rotate", help="Let a new key follow the one that is there.")] = False,
) -> None:
    """Make the key that signs heads, or with --rotate a new key that replaces it.

    Prints the first public key: auditors pin this one, and keep it after every rotation.
    """
    folder = settings().seal_keys_folder
    with one_line():
        ring = LogKeys.open(folder).rotate(truncate(datetime.now(UTC))) if rotate else LogKeys.create(folder, name)
    typer.echo(str(ring.first_vkey))
    if rotate:
        typer.echo(f"from now on {ring.vkey} signs; auditors keep the first key", err=True)


def _scope(issue: str | None, since: str | None, source: Source, *, everything: bool) -> str:
    what = issue if issue is not None else f"since {since}" if since is not None else "all" if everything else "open"
    left_out = [name for name, on in (("commands", source.commands), ("rows", source.rows)) if not on]
    return f"verify {what}" + (f" without {' and '.join(left_out)}" if left_out else "")


async def _one(chosen: Settings, issue: str, source: Source) -> Verdict:
    async with open_service(chosen, rows=source.rows) as service:
        return await service.verdict(await id_of(service, issue), commands=source.commands)


async def _open(chosen: Settings, done: AuditReport) -> None:
    async with open_service(chosen, temporal=True) as service:
        await compare_open(service.compare_open(), done)


async def _all(
    chosen: Settings, source: Source, done: AuditReport, since: str | None, workers: int | None, resume: Path | None,
    heads: Path | None, key: str | None, *, quiet: bool,
) -> None:  # fmt: skip
    async with opened(chosen):
        pass  # fails in one line if there is no database
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(),
    )  # fmt: skip
    folder = heads or chosen.heads_folder
    trust = _trust(folder, key)
    roots = None if trust is None else read_roots(folder, trust)[0]
    with bar:
        task = bar.add_task("issues", total=None)
        await verify_all(
            source, done, since=moment_of(since) if since else None, done=resume, workers=workers, roots=roots,
            progress=lambda finished, total: bar.update(task, completed=finished, total=total),
        )  # fmt: skip
    await _log(chosen, source, done, heads, key)


async def _log(
    chosen: Settings, source: Source, done: AuditReport, heads: Path | None, key: str | None, *, files: bool = True
) -> None:
    """Checks the Merkle log against the published heads, and for closed issues without a leaf; adds findings to `done`.

    Raises Failure if `heads` is no folder.
    """
    if heads is not None and not heads.is_dir():  # noqa: ASYNC240 - one look
        raise Failure(f"{heads} is no folder")
    folder = heads or chosen.heads_folder
    done.pinned = key is not None
    trust = _trust(folder, key)
    if trust is None:
        typer.echo(f"no published head in {folder}: the log itself cannot be verified", err=True)
    elif key is None:
        typer.echo(UNPINNED, err=True)
    await verify_log(source, folder, trust, done, files=files)


def _trust(folder: Path, key: str | None) -> TrustedKeys | None:
    """The public keys by which heads are checked: the first key, and those that replaced it by rotation.

    The first key is `key`, or else the one in the folder of heads. None if there is no such key.
    """
    return TrustedKeys.beside(folder, key) if key is not None or (folder / FIRST).exists() else None


async def _publish(chosen: Settings) -> None:
    async with opened(chosen) as database:
        signer = open_signer(chosen)
        outlets = Destinations(chosen.heads_folder, chosen.recipients, lambda: signer.roots)
        ring = LogKeys.open(chosen.seal_keys_folder)
        await publish_head(database, ring, outlets, truncate(datetime.now(UTC)))


def _print(plain: Any) -> None:
    typer.echo(json.dumps(plain, ensure_ascii=False))


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
