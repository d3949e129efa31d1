"""``jiesu policy``: lists, shows and checks packs, shipped and of the district, and prints the dates of their clauses.

The subcommands read files only: no home, database or server.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

import calendars
from cli.language import headed, language, says
from cli.system import settings
from cli.terminal import AsJson, local, make_table, print_json
from domain.pins import newest
from domain.policy import Clause, Policy
from domain.vocabulary import Assessment, Category
from domain.wire import dump
from policies.districts import PROOFS, find, known
from policies.explain import Line, explain, read_moment
from policies.liveness.proofs import SHIPPED, keep, proof
from policies.liveness.prove import prove
from policies.liveness.report import Report
from policies.liveness.words import findings, refusals
from policies.loader import PolicyError, Problem, load_file
from policies.titles import title
from texts.catalogue import named

app = typer.Typer(no_args_is_help=True, help="Policy packs: what districts have promised.")

_WRAPS: Final[dict[str, int | None]] = {"title": 10, "source": 18, "ladder": 10, "when": 9, "due": 11}
ASSUMED: Final = "assumed"
"""The value of a clause's `source` where its numbers are assumed, since no publication gives them."""

Pack = Annotated[str, typer.Argument(metavar="ID", help="id of a pack, or the path of a .toml file")]


@app.command("list")
def list_packs(as_json: AsJson = False) -> None:
    """List the packs: the shipped ones and those of `JIESU_POLICIES`."""
    with _plainly():
        packs = known(settings().policies).values()
        if as_json:
            print_json([_head(policy) for policy in packs])
            return
        table = make_table("id", "version", "title", "ladder", "clauses", "source", wraps=_WRAPS)
        for policy in packs:
            cells = (policy.id, policy.version, policy.title, _ladder(policy), len(policy.clause), policy.source)
            table.add_row(*(escape(str(cell)) for cell in cells))
        Console().print(table)


@app.command()
def show(pack: Pack, as_json: AsJson = False) -> None:
    """Show one pack with all its clauses."""
    with _plainly():
        policy = load_pack_or_file(pack)
        if as_json:
            print_json(dump(policy) | {"digest": policy.digest})
            return
        console = Console()
        for name, value in _rules(policy).items():
            console.print(f"[bold]{name}[/bold]  {escape(value)}", highlight=False)
        table = make_table("clause", "level", "milestone", "starts", "when", "limit", "climb", wraps=_WRAPS)
        sources = make_table("clause", "source", wraps=_WRAPS)
        for clause in policy.clause:
            table.add_row(*map(escape, _cells(clause)))
            if clause.source != ASSUMED:
                sources.add_row(clause.id, escape(clause.source))
        console.print(table)
        if sources.row_count:
            console.print(sources)


@app.command()
def check(
    packs: Annotated[list[str], typer.Argument(metavar="FILE|ID...", help="policy packs in TOML, or ids")],
    *,
    commands: Annotated[
        int, typer.Option(help="how many commands deep to look for a way to freeze an issue", min=0, max=8)
    ] = 3,
    seconds: Annotated[float, typer.Option(help="the longest that the search of one pack may take")] = 300,
    as_json: AsJson = False,
) -> None:
    """Check policy packs, and prove that no issue can freeze under them.

    Prints file, line and reason of every mistake, and exits with 1 if there is any. What was proved once, and has not
    changed since, is not searched again.
    """
    sound: list[tuple[str, Policy, Report]] = []
    problems: list[PolicyError] = []
    for pack in packs:
        try:
            sound.append((pack, *_proved(pack, commands, seconds)))
        except PolicyError as error:
            problems.append(error)
    if as_json:
        print_json(
            {
                "policies": [
                    {"file": pack} | _head(policy) | {"proof": dump(report)} for pack, policy, report in sound
                ],
                "problems": [dump(problem) for error in problems for problem in error.problems],
            }
        )
    else:
        for pack, policy, report in sound:
            typer.echo(f"{pack}: {policy.id} version {policy.version} is sound, digest {policy.digest}")
            for line in findings(policy, report):
                typer.echo(f"  {line}")
        for error in problems:
            typer.echo(error, err=True)
    if problems:
        raise typer.Exit(1)


def _proved(pack: str, commands: int, seconds: float) -> tuple[Policy, Report]:
    """The pack and what is proved of it, from a kept proof or by a search. Raises PolicyError."""
    policy, chosen = load_pack_or_file(pack), settings()
    home, beside = chosen.home / PROOFS, chosen.policies and chosen.policies / PROOFS
    report = proof(policy, [each for each in (SHIPPED, beside, home) if each])
    if report is None or report.commands < commands:
        report = prove(policy, commands, seconds=seconds)
        if report.sound:
            with suppress(OSError):  # without a home it is searched again the next time
                keep(policy, report, home)
            if beside and (beside.parent / f"{policy.id}.toml").is_file():  # so that it goes where the pack goes
                with suppress(OSError):
                    keep(policy, report, beside)
    if against := list(refusals(policy, report)):
        raise PolicyError([Problem(pack, 1, reason) for reason in against])
    return policy, report


@app.command("explain")
def explain_pack(
    pack: Pack,
    category: Annotated[Category, typer.Option(help="what the issue is about")],
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="when the clocks start: RFC 3339, or Shanghai time")
    ],
    *,
    urgent: Annotated[bool, typer.Option("--urgent", help="only what applies to an urgent issue")] = False,
    assessment: Annotated[Assessment | None, typer.Option(help="only what applies to an issue of this size")] = None,
    published: Annotated[
        Path | None, typer.Option("--calendars", metavar="PATH", help="further calendars: a JSON file or a folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the dates of every clause, as if each clause began to run at --from."""
    with _plainly():
        policy, moment = load_pack_or_file(pack), read_moment(start)
        further = calendars.load_place(published) if published is not None else []
        years = newest([*calendars.load_all(settings().calendars), *further])
        lines = explain(policy, years, category, moment, urgent=urgent, assessment=assessment)
        if as_json:
            print_json([dump(line) for line in lines])
        else:
            _print_lines(lines)


@contextmanager
def _plainly() -> Iterator[None]:
    """A context: errors in the user's input are printed as plain lines on standard error, and the exit code is 1."""
    try:
        yield
    except OverflowError:
        reason = "the time is too far from today to reckon with"
    except ValueError as error:  # PolicyError, CalendarError, a time that cannot be read
        reason = str(error)
    else:
        return
    typer.echo(reason, err=True)
    raise typer.Exit(1)


def load_pack_or_file(pack: str) -> Policy:
    """A pack by its id, shipped or of the district, or by the path of its .toml file. Raises PolicyError, Failure."""
    return load_file(Path(pack)) if pack.endswith(".toml") else find(pack, settings().policies)


def _head(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "version": policy.version,
        "digest": policy.digest,
        "title": policy.title,
        "source": policy.source,
        "ladder": list(policy.ladder),
        "clauses": len(policy.clause),
    }


def _ladder(policy: Policy) -> str:
    return " → ".join(named(level, "en") for level in policy.ladder)


def _rules(policy: Policy) -> dict[str, str]:
    """The rules of a pack other than its clauses, in words."""
    progress, moves = policy.progressing, policy.day_off == "next_working_day"
    return {
        "id": f"{policy.id}, version {policy.version}, digest {policy.digest}",
        "title": policy.title,
        "source": policy.source,
        "ladder": _ladder(policy),
        "service hours": f"{policy.service_hours}, climbs land {'at opening' if policy.climb_lands == 'opening' else 'at once'}",
        "lights": f"yellow at {policy.warn_at:g} of the limit, grace {policy.grace}",
        "silence": f"closes after {policy.silence.within}",
        "reopen": f"{policy.reopen.times} times, climbs from {policy.reopen.climbs_from}",
        "transfers": f"climb from {policy.transfers.climbs_from}",
        "extend": f"{policy.extend.times} times by at most {policy.extend.max}",
        "ask": f"{policy.ask.times} times for at most {policy.ask.max}",
        "plan": f"an update every {policy.plan.update}; over {policy.plan.community_over} the community grants it, "
        f"over {policy.plan.street_over} the street",
        "own pauses": f"{policy.pause.own} in sum, none longer than the limit that it stops, none when urgent",
        "rulings": f"on a wish within {policy.rule}, urgent {policy.ruled_within('pause', urgent=True)}, on an objection within {policy.objection}",
        "progress": f"within {progress.within}, climbs after {progress.climb}, urgent {progress.urgent}",
        "evidence": ", ".join(policy.evidence) or "none",
        "days off": "limits in natural days move to the next working day" if moves else "limits in natural days stay",
        "year without a calendar": f"acts {policy.provisional} later at the latest",
        "top": f"reminders after {policy.top.remind}, doubling to {policy.top.doubling_to}, {policy.top.times} times, "
        f"then every {policy.top.then}",
    }


def _cells(clause: Clause) -> Sequence[str]:
    limit = f"{clause.limit} by closing" if clause.ends == "service" else str(clause.limit)
    return (
        clause.id,
        named(clause.level, "en"),
        named(clause.milestone, "en"),
        clause.starts,
        " ".join(clause.when),
        limit,
        " ".join(map(str, clause.climb)) or "never",
    )


def _print_lines(lines: Sequence[Line]) -> None:
    table = headed("clause", "id", "due", "climb", wraps=_WRAPS | {"clause": 18})
    for line in lines:
        table.add_row(
            title(line.level, line.milestone, line.when, language()),
            line.clause,
            local(line.due) + (f"\n{says('provisional')}" if line.provisional else ""),
            "\n".join(map(local, line.climb)) or says("never"),
        )
    console = Console()
    console.print(table)
    said = [says("times-in"), *([says("provisional-means")] if any(line.provisional for line in lines) else [])]
    console.print((" " if language() == "en" else "").join(said), highlight=False)
