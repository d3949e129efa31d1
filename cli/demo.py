"""``jiesu demo``: plays five published cases on a running system, in seconds, and one issue on which nobody acts.

The demo is an ordinary HTTP client: it sends the steps of `cli.stories`, and shows what the API returns.
"""

import asyncio
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cli.client import Client, Refusal, base_url
from cli.errors import Failure
from cli.language import clause_name, happened, language, listed, says, word
from cli.stories import DEMO, NOBODY, STORIES, Moment, Stage, Step, Story, Who, filled
from cli.terminal import add_row, plain_line
from cli.tokens import make
from domain.wire import format_time
from runtime.settings import LOOPBACK, Settings

_TIMEOUT: Final = 120.0
"""Seconds after which the demo stops waiting for the expected events."""
_POLL_SECONDS: Final = 0.4
"""Seconds between two polls of the issues."""
_WIDTHS: Final = (15, 9, 10, 8, 5, 20)
"""Fixed widths, so that columns stay in place when the table is redrawn; together they fit 80 columns."""
_COLOURS: Final = {"overdue": "red", "escalated": "bold red", "warned": "yellow", "closed": "green", "reminded": "red"}


@dataclass
class ShownIssue:
    """An issue of the demo, with its state at the last poll."""

    story: Story
    id: str
    number: str
    code: str
    state: Mapping[str, Any]
    seen: int = 0
    """The number of the last event that was shown."""
    last: str = ""
    colour: str | None = None

    @property
    def is_closed(self) -> bool:
        return self.state.get("closed") is not None


@dataclass
class Run:
    """The progress of one story. `began` is the monotonic time of the story's first report, None before it."""

    story: Story
    began: float | None = None
    stamped: datetime = field(default_factory=lambda: datetime.now(UTC))
    done: int = 0
    failed: str = ""
    """Why the story stopped: on a slow machine a deadline may pass before a step."""
    issues: list[ShownIssue] = field(default_factory=list[ShownIssue])

    @property
    def next(self) -> Step | None:
        return None if self.failed or self.done == len(self.story.steps) else self.story.steps[self.done]

    @property
    def is_over(self) -> bool:
        """Whether all steps are done and the expected events have followed."""
        if self.failed:
            return True
        if self.next is not None:
            return False
        if self.story is NOBODY:
            return self.issues[0].state["level"] == "street"
        return all(issue.is_closed for issue in self.issues)


Show = Callable[[float, ShownIssue, Mapping[str, Any]], None]


def play(settings: Settings, wanted: Sequence[int], console: Console | None = None) -> None:
    """Plays the stories with these numbers, or all. Raises Failure if the API does not answer or a story fails."""
    console = console or Console(highlight=False)
    stories = [story for story in (*STORIES, NOBODY) if not wanted or story.id in wanted]
    with ExitStack() as stack:
        clients = Clients(settings, stack)
        runs = [Run(story) for story in stories]
        console.print(says("every-step", compound=f"[bold]{DEMO.compound}[/bold]"))
        for story in stories:
            title = story.title if language() == "zh" else story.english
            console.print(f"  {says('problem', title=f'{story.id} {story.place}', detail=title)}")
        console.print()
        if console.is_terminal:
            with Live(_table(runs), console=console, refresh_per_second=4) as live:
                _play_all(clients, runs, lambda *_: None, lambda: live.update(_table(runs)))
        else:
            _play_all(clients, runs, lambda at, issue, event: _print_event(console, at, issue, event), lambda: None)
    _what_next(console, settings, runs)
    if wrong := [
        says("story", number=run.story.id, reason=run.failed or says("demo-unfinished"))
        for run in runs
        if run.failed or not run.is_over
    ]:
        raise Failure("; ".join(wrong))


class Clients:
    """One HTTP client for each organisation and one for residents, created on first use."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._known: dict[str, Client] = {}

    def client(self, who: Who, stage: Stage) -> Client:
        """The client of the organisation with this role in the compound; residents share one without a token."""
        org = None if who == "resident" else stage.orgs[who]
        if (found := self._known.get(org or "")) is None:
            found = Client(base_url(self._settings), self._token(who, org) if org else None, language())
            self._known[org or ""] = self._stack.enter_context(found)
        return found

    def _token(self, who: Who, org: str) -> str:
        try:
            return asyncio.run(make(self._settings, f"demo-{who}", who, org))
        except Failure as failure:
            raise Failure(says("demo-needs-directory", failure=failure)) from None


def _play_all(clients: Clients, runs: Sequence[Run], show: Show, refresh: Callable[[], None]) -> None:
    """Takes every step when it is due, and polls the issues between the steps, until all stories are over."""
    began = time.monotonic()
    polled = began - _POLL_SECONDS
    while not all(run.is_over for run in runs):
        now = time.monotonic()
        if now - began > _TIMEOUT:
            return  # `play` reports the stories that are not over
        for run in runs:
            _step(clients, run)
        if now - polled >= _POLL_SECONDS:
            polled = now
            for run in runs:
                for issue in run.issues:
                    _poll(clients, issue, lambda shown, event: show(time.monotonic() - began, shown, event))
        refresh()
        time.sleep(0.05)


def _step(clients: Clients, run: Run) -> None:
    """Takes the next step of a story if it is due."""
    step = run.next
    now = time.monotonic()
    if step is None or (run.began is not None and now - run.began < step.demo):
        return
    if run.began is None:
        run.began, run.stamped = now, datetime.now(UTC)
    stage = run.story.demo

    def time_of(moment: Moment) -> str:
        return format_time(run.stamped + timedelta(seconds=moment.demo))

    body = filled(step.body, stage, [issue.id for issue in run.issues], time_of)
    client = clients.client(step.who, stage)
    try:
        if step.command == "report":
            run.issues.append(_report(client, run.story, body))
        else:
            _command(client, run.issues[step.to], step, body)
    except Refusal as refusal:
        run.failed = says("failed-step", command=step.command, who=step.who, refusal=refusal)
    run.done += 1


def _report(client: Client, story: Story, body: Mapping[str, Any]) -> ShownIssue:
    """Reports the story's issue in the demo compound. The real place is put before the description."""
    text = f"【{story.place}】{body['description']}"
    answer = client.report({**body, "description": text, "compound": story.demo.compound, "category": story.category})
    return ShownIssue(story, answer["id"], answer["number"], answer["tracking_code"], answer)


def _command(client: Client, issue: ShownIssue, step: Step, body: Mapping[str, Any]) -> None:
    code = issue.code if step.who == "resident" else None
    answer = client.command(issue.id, step.command, body, code=code)
    if answer["outcome"] == "queued":
        raise Failure(says("demo-needs-worker", command=step.command))


def _poll(clients: Clients, issue: ShownIssue, show: Callable[[ShownIssue, Mapping[str, Any]], None]) -> None:
    """Polls an issue, and shows its new events."""
    if issue.is_closed and issue.seen >= issue.state["version"]:
        return
    resident = clients.client("resident", DEMO)
    issue.state = resident.issue(issue.id, issue.code)
    if issue.state["version"] <= issue.seen:
        return
    timeline = resident.timeline(issue.id, issue.code)
    for event in timeline["events"]:
        if event["seq"] > issue.seen:
            issue.seen = event["seq"]
            issue.last, issue.colour = _happened(event, timeline["clauses"]), _COLOURS.get(event["kind"])
            show(issue, event)


def _happened(event: Mapping[str, Any], clauses: Sequence[Mapping[str, str]]) -> str:
    """An event in a few words."""
    data, kind = event.get("data") or {}, str(event["kind"])
    clause = clause_name(str(event.get("clause") or data.get("by") or ""), clauses)
    if kind == "escalated":
        return says("escalated", below=data.get("from_level", "?"), above=event["level"], clause=clause)
    if kind == "closed":
        return says("closed", kind=data.get("kind", ""), satisfaction=data.get("satisfaction", "not_rated"))
    return f"{happened(kind)} {clause if kind in ('warned', 'overdue') else ''}".strip()


def _print_event(console: Console, at: float, issue: ShownIssue, event: Mapping[str, Any]) -> None:
    """Prints an event as one line; used where the output is no terminal, so that no table can be redrawn."""
    actor = event.get("actor")
    who = f"{word(actor['role'])} {actor.get('org') or ''}".strip() if actor else says("the-clock")
    line = f"{issue.number}  {issue.story.place}  {issue.last}  [{who}]"
    console.print(f"{at:6.1f} {says('seconds')}  {escape(plain_line(line))}", soft_wrap=True)


def _table(runs: Sequence[Run]) -> Table:
    """The current state of all issues."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    headers = (says("case"), says("lead"), says("status"), says("next"), says("left"), says("what-happened-last"))
    for header, width in zip(headers, _WIDTHS, strict=True):
        table.add_column(header, width=width, no_wrap=True, overflow="ellipsis")
    for run in runs:
        if not run.issues:
            table.add_row(f"{run.story.id} {run.story.place}")
        for issue in run.issues:
            add_row(table, *_cells(run, issue), style=issue.colour)
    return table


def _cells(run: Run, issue: ShownIssue) -> tuple[str, ...]:
    state = issue.state
    step: Mapping[str, Any] = state.get("next") or {}
    name = f"{run.story.id} {run.story.place}" if issue is run.issues[0] else f"  + {issue.number}"
    seconds = (datetime.fromisoformat(step["due"]) - datetime.now(UTC)).total_seconds() if step else 0.0
    return (
        name,
        word(state["level"]),
        word(state["status"]),
        word(step.get("milestone", "")),
        _left(seconds) if step else "",
        issue.last,
    )


def _left(seconds: float) -> str:
    return f"{seconds:.0f} {says('seconds')}" if abs(seconds) < 1000 else f"{seconds / 86400:.0f} {says('days')}"


def _what_next(console: Console, settings: Settings, runs: Sequence[Run]) -> None:
    """Prints ids, codes and addresses, and commands to try."""
    issues = [issue for run in runs for issue in run.issues]
    codes = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("", says("issue"), says("tracking-code")):
        codes.add_column(header, no_wrap=True)
    codes.add_column(says("closed-as"))
    for issue in issues:
        closed = issue.state.get("closed")
        kind = listed((word(closed["kind"]), word(closed["satisfaction"]))) if closed else says("still-open")
        codes.add_row(str(issue.story.id), issue.id, issue.code, kind)
    console.print(codes)
    url = base_url(settings)
    addresses = [("API", url), ("OpenAPI", f"{url}/openapi.json")]
    if settings.embedded_temporal:
        addresses.append(("Temporal UI", f"http://{LOOPBACK}:{settings.temporal_ui_port}"))
    for name, address in addresses:
        console.print(f"[bold]{name:<12}[/bold] {address}", soft_wrap=True)
    console.print(f"\n[bold]{says('try')}[/bold]")
    street = f"--role street --org {DEMO.orgs['street']}"
    tries = [f"show {issue.id} --code {issue.code}" for issue in issues[:1]]
    tries.append(f"worklist {street}")
    tries += [f"do accept {issue.id} {street}" for issue in issues if issue.story is NOBODY]
    tries.append(f"report {says('demo-text')} --compound demo --category leak")
    tries.append("policy explain 52022 --category drain --from 2026-11-20T19:52")
    jiesu = called(sys.argv[0])
    for line in tries:
        console.print(f"  {escape(f'{jiesu} {line}')}", soft_wrap=True)


def called(program: str) -> str:
    """The shell command that runs this program again. `program` is the ``sys.argv[0]`` of this process."""
    if Path(program).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m cli"
    return "jiesu" if shutil.which("jiesu") == program else shlex.quote(program)
