"""Subcommands that call a running API over HTTP: report, do, show, worklist and demo."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import typer
from rich.cells import set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Client, Refusal, base_url
from cli.errors import Failure
from cli.language import clause_name, happened, headed, language, listed, says, word
from cli.system import run, settings
from cli.terminal import AsJson, IssueId, add_row, local, plain_line, print_json
from domain.commands import SIGNALS, Body
from domain.events import EVENTS
from domain.personal import Personal
from domain.vocabulary import Category, Channel
from security.ids import MINE, typed
from texts.catalogue import say

Token = Annotated[str | None, typer.Option(help="A bearer token, e.g. of `jiesu token`.")]
Person = Annotated[str, typer.Option(help="With --role: who acts, in a token made for this command.")]
Role = Annotated[str | None, typer.Option(help="The one role in which you act: property, community, street, ...")]
Org = Annotated[str | None, typer.Option(help="The organisation for which you act.")]
Code = Annotated[str | None, typer.Option(help="The tracking code, instead of a token: you are who reported it.")]
Key = Annotated[str | None, typer.Option(help="Idempotency key: the same one again never acts twice.")]

_ME: Final = "cli"
_WRAPS: Final[dict[str, int | None]] = {"what": 18, "who": 14, "next": None, "place": None, "about": None, "said": None}
"""Columns of tables whose text wraps, each with its least width (None: no least width)."""

_SAID: Final = (
    "description", "text", "note", "answer", "reason", "question", "comment", "kind", "handler", "issue", "into",
)  # fmt: skip
"""Fields of an event that may summarise it, the most informative first."""


def register(app: typer.Typer) -> None:
    """Adds the subcommands to the main command."""
    app.command()(report)
    app.command("do")(do)
    app.command()(show)
    app.command()(worklist)
    app.command()(demo)


def report(
    description: Annotated[str, typer.Argument(help="What is wrong.")],
    *,
    compound: Annotated[str, typer.Option(help="The code of the compound.")] = "demo",
    category: Annotated[Category, typer.Option(help="What it is about.")] = "other",
    urgent: Annotated[bool, typer.Option("--urgent", help="Burst pipe, outage, people in a lift, smoke, ...")] = False,
    about_operator: Annotated[
        bool, typer.Option("--about-operator", help="A complaint against the property company.")
    ] = False,
    location: Annotated[str, typer.Option(help="Where in the compound.")] = "",
    name: Annotated[str, typer.Option(help="Who reports.")] = "",
    phone: Annotated[str, typer.Option(help="How to call back.")] = "",
    channel: Annotated[Channel | None, typer.Option(help="How it came in.")] = None,
    key: Key = None,
    token: Token = None,
    person: Person = _ME,
    role: Role = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Report an issue. Without a token you stay anonymous: keep the tracking code, which is not shown again."""
    body = {
        "compound": compound, "category": category, "description": description, "urgent": urgent,
        "about_operator": about_operator, "location": location,
        "contact": {"name": name, "phone": phone},
    } | ({} if channel is None else {"channel": channel})  # fmt: skip
    with client_of(token, person, role, org, key=key) as client:
        answer = client.report(body, key)
    if as_json:
        print_json(answer)
        return
    console = _console()
    _print_field(console, says("reported"), f"{answer['number']}  {answer['id']}")
    untold = says("untold-phone") if answer["told_by"] == "phone" else says("untold-board")
    _print_field(console, says("tracking-code"), answer["tracking_code"] or untold)
    if "status" in answer:
        _print_state(console, answer)


def do(
    command: Annotated[
        str, typer.Argument(help="accept, arrive, complete, ... (all of them: /openapi.json of the API)")
    ],
    issue: IssueId,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE...", help="e.g. assessment=minor, or steps='[{...}]' in JSON"),
    ] = None,
    *,
    code: Code = None,
    key: Key = None,
    version: Annotated[int | None, typer.Option(help="Refuse (412) unless the issue is at this version.")] = None,
    token: Token = None,
    person: Person = _ME,
    role: Role = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Give a command to an issue, e.g. `jiesu do arrive JS-... assessment=minor --role property --org demo-property`."""
    name = command.replace("-", "_")
    if name not in SIGNALS:
        raise Failure(says("unknown-command", command=plain_line(command), known=", ".join(SIGNALS)))
    body = read_fields(SIGNALS[name], fields or ())
    with client_of(token, person, role, org, code, key, needs=True) as client:
        answer = client.command(_named(issue), name, body, code=code, key=key, version=version)
    if as_json:
        print_json(answer)
        return
    console = _console()
    is_queued = answer["outcome"] == "queued"
    _print_field(console, says("queued" if is_queued else "applied"), f"{word(name)}  {answer['command_id']}")
    if is_queued:
        console.print(says("is-safe"), highlight=False)
    if answer.get("reason"):
        _print_field(console, says("but"), f"{answer['reason']} ({answer['code']})")
    if answer.get("tracking_code"):
        _print_field(console, says("tracking-code"), answer["tracking_code"])
    if answer.get("issue"):
        _print_state(console, answer["issue"])


def show(
    issue: IssueId = MINE,
    *,
    code: Code = None,
    token: Token = None,
    person: Person = _ME,
    role: Role = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Show an issue: its state, who must act next and by when, and all that happened. With a code alone: that of the code."""
    with client_of(token, person, role, org, code, needs=True) as client:
        found = _named(issue)
        state, timeline = client.issue(found, code), _timeline(client, found, code)
    if as_json:
        print_json({"issue": state, **timeline})
        return
    console = _console()
    _print_field(console, says("issue"), f"{state['number']}  {state['id']}")
    _print_state(console, state)
    if timeline["events"] is None:
        _print_field(console, says("timeline"), says("no-timeline"))
        return
    console.print(_timeline_table(timeline["events"], timeline["clauses"]))
    for old in timeline.get("before") or ():
        pictures = says("pictures", number=old["number"], issue=old["id"], count=len(old["attachments"]))
        _print_field(console, says("before"), pictures)
        console.print(_timeline_table(old["events"], old["clauses"]))
    for part in timeline.get("minutes") or ():
        held = (span(part["ms"] / 1000), word(part["holder"]), part["org"])
        _print_field(console, says("held"), "  ".join(filter(None, held)))
    for climb in timeline.get("accounts") or ():
        _print_field(console, says("account"), _account(climb, timeline["clauses"]))


def worklist(
    of: Annotated[str | None, typer.Argument(metavar="ORG", help="Whose list; by default that of --org.")] = None,
    *,
    token: Token = None,
    person: Person = _ME,
    role: Role = None,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """List the open issues that an organisation leads or handles, least time left first."""
    whose = of or org
    if whose is None:
        raise Failure(says("whose-worklist"))
    with client_of(token, person, role, org, needs=True) as client:
        items = list(client.worklist(whose))
    if as_json:
        print_json({"items": items})
        return
    table = headed("left", "issue", "status", "lead", "next", "who", "place", "about", wraps=_WRAPS)
    for item in items:
        add_row(table, *_cells(item), style="red" if item.get("overdue") else None)
    console = _console()
    console.print(table)
    console.print(escape(says("open-issues", org=plain_line(whose), count=len(items))))


def demo(
    story: Annotated[
        list[int] | None, typer.Option("--story", min=1, max=6, help="Play only this one (may be repeated).")
    ] = None,
) -> None:
    """Play five published cases on the running system, in about a minute, and one issue on which nobody acts."""
    from cli.demo import play

    play(settings(), story or ())


def client_of(
    token: str | None, person: str, role: str | None, org: str | None, code: str | None = None, key: str | None = None,
    *, needs: bool = False,
) -> Client:  # fmt: skip
    """The client of the API for a caller who gives a token, a role (a local token is made for it), or a tracking code.

    Raises Failure if a token, code or key is malformed. With `needs`, raises it also if the caller gives none of token,
    role and code.
    """
    chosen = settings()
    if token is None and role is not None:
        from cli.tokens import make

        token = run(make(chosen, person, role, org))
    if token is None and org is not None:
        raise Failure(says("org-needs-role"))
    if needs and token is None and code is None:
        raise Failure(says("who-are-you"))
    for given, what in ((token, says("no-token")), (code and typed(code), says("no-code")), (key, says("no-key"))):
        if given is not None and not (given.isascii() and given.isprintable() and given.strip()):
            raise Failure(what)
    return Client(base_url(chosen), token, language())


def _named(issue: str) -> str:
    """The issue as its name stands in a path: an id, `mine`, or a number, however it was typed."""
    from db.search import whole_number

    return whole_number(issue) or issue


def _timeline(client: Client, issue: str, code: str | None) -> dict[str, Any]:
    """The issue's timeline, ``{events, ...}``. `events` is None while the read model does not hold the issue (503)."""
    try:
        return client.timeline(issue, code)
    except Refusal as refusal:
        if refusal.status != 503:
            raise
        return {"events": None}


def read_fields(body: type[Body], fields: Iterable[str]) -> dict[str, Any]:
    """The JSON body of a command, from fields ``name=value``. Texts are taken as they are, other values parsed as JSON.

    Raises Failure for an unknown field or a value that is no JSON.
    """
    hints = get_type_hints(body)
    plain: dict[str, Any] = {}
    for item in fields:
        name, separator, value = item.partition("=")
        if not separator or name not in hints:
            known = ", ".join(hints) or says("none")
            raise Failure(says("no-field", item=repr(plain_line(item)), known=known))
        plain[name] = value if _is_text(hints[name]) else _from_json(name, value)
    return plain


def _is_text(hint: Any) -> bool:
    """Whether a field is a string on the wire, not a number, boolean or list."""
    if get_origin(hint) is Literal:
        return all(isinstance(each, str) for each in get_args(hint))
    parts = [each for each in get_args(hint) if each is not type(None)]
    if parts and get_origin(hint) is not tuple:
        return all(map(_is_text, parts))
    return isinstance(hint, type) and hint not in (bool, int) and (hint in (str, datetime) or hasattr(hint, "parse"))


def _from_json(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Failure(says("asks-json", name=name)) from None


def _print_state(console: Console, issue: Mapping[str, Any]) -> None:
    """Prints the state of the issue in a few lines."""
    closed = issue.get("closed")
    how = f"  {listed((word(closed['kind']), word(closed['satisfaction'])))}" if closed else ""
    _print_field(console, says("status"), word(issue["status"]) + how)
    _print_field(console, says("lead"), word(issue["level"]) + (f"  {issue['lead']}" if issue.get("lead") else ""))
    _print_field(console, says("handler"), str(issue["handler"]))
    step = issue.get("next")
    if step:
        due, who = step["due"], step["org"] or says("resident")
        follows = says("as-follows", milestone=step["milestone"], due=local(due), left=left(due), who=who)
        _print_field(console, says("next"), follows)
    policy, version = issue["policy"], issue["version"]
    pinned = says("policy-version", policy=policy["id"], number=policy["version"], version=version)
    _print_field(console, says("policy"), pinned)


def _account(climb: Mapping[str, Any], clauses: Sequence[Mapping[str, str]]) -> str:
    """One climb on the account of a handler, with the handler's own time since then."""
    said_of_it = {"org": climb["org"], "seq": climb["seq"], "span": span(climb["ms"] / 1000)}
    clause = clause_name(climb["clause"], clauses)
    return says("climb-made-good" if climb["made_good"] else "climb-not-made-good", clause=clause, **said_of_it)


def _timeline_table(events: Sequence[Mapping[str, Any]], clauses: Sequence[Mapping[str, str]]) -> Table:
    table = headed("at", "what", "lead", "who", "said", wraps=_WRAPS)
    for event in events:
        actor = event.get("actor")
        who = _who(actor) if actor else says("the-clock")
        cells = (local(event["at"])[5:], _what(event, clauses), word(event["level"]), who, said(event))
        style = {"overdue": "red", "escalated": "red", "warned": "yellow", "refused": "dim"}.get(str(event["kind"]))
        add_row(table, *cells, style=style)
    return table


def _what(event: Mapping[str, Any], clauses: Sequence[Mapping[str, str]]) -> str:
    """The kind of an event, with its clause and what sets it apart from others of its kind."""
    data = event.get("data") or {}
    clause, what = event.get("clause"), happened(str(event["kind"]))
    apart = listed((
        clause_name(clause, clauses) if clause else "",
        says("interim") if data.get("interim") else "",
        says("wish-open") if data.get("wish_open") else "",
    ))  # fmt: skip
    return f"{what} ({apart})" if apart else what


def _who(actor: Mapping[str, Any]) -> str:
    """The name of an actor: person and organisation for staff, the role for anybody else."""
    return f"{actor['person']} {actor['org']}" if actor.get("org") else word(str(actor["role"]))


def said(event: Mapping[str, Any]) -> str:
    """What the timeline shows as said: the event's text, or the field that summarises the event best, or nothing."""
    data = event.get("data") or {}
    if event["kind"] == "refused":
        return say("refusals", data["code"], language(), data.get("params"))
    for name in _SAID:
        value = data.get(name)
        if value:
            text = str(value["code"] if isinstance(value, dict) and "code" in value else value)
            return text if _is_written(str(event["kind"]), name) else word(text)
    return ""


def _is_written(kind: str, name: str) -> bool:
    """Whether a field of an event is what somebody wrote, which is shown as it is."""
    return kind not in EVENTS or get_type_hints(EVENTS[kind]).get(name, Personal) is Personal


def _cells(item: Mapping[str, Any]) -> tuple[object, ...]:
    step = item.get("next") or {}
    return (
        left(step["due"]) if step.get("due") else "",
        item["number"],
        word(item["status"]),
        word(item["level"]),
        word(step.get("milestone", "")),
        step.get("org") or "",
        item.get("compound", ""),
        word(item.get("category", "")),
    )


def left(moment: str) -> str:
    """The time left until `moment` (RFC 3339), e.g. ``2 d 3 h``; negative if it has passed."""
    gap = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    return ("-" if gap < 0 else "") + span(abs(gap))


def span(length: float) -> str:
    """A number of seconds in the two largest units, e.g. ``2 d 3 h``."""
    seconds = int(length)
    sizes = ((says("days"), 86400), (says("hours"), 3600), (says("minutes"), 60), (says("seconds"), 1))
    parts: list[str] = []
    for unit, size in sizes:
        if seconds >= size and len(parts) < 2:
            parts.append(f"{seconds // size} {unit}")
        seconds %= size
    return " ".join(parts) or f"0 {says('seconds')}"


def _console() -> Console:
    return Console(highlight=False)


def _print_field(console: Console, name: str, text: str) -> None:
    console.print(f"[bold]{set_cell_size(name, 13)}[/bold] {escape(plain_line(text))}", soft_wrap=True)
