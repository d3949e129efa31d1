"""``jiesu demo``: the five reported cases on a running system, in seconds, and one issue that nobody acts on.

Everything goes through HTTP as it would for anybody else. The steps are those of `cli.stories`; what is shown is what
the API says.
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
from cli.stories import DEMO, NOBODY, STORIES, Moment, Stage, Step, Story, Who, filled
from cli.terminal import add_row, label, plain_line
from cli.tokens import make
from domain.vocabulary import LABELS
from domain.wire import format_time
from runtime.settings import LOOPBACK, Settings

_TIMEOUT: Final = 120.0
"""Seconds after which the demo stops waiting for what should have happened by itself."""
_LOOK_SECONDS: Final = 0.4
"""Between two looks at the issues."""
_COLUMNS: Final = {"case": 20, "lead": 4, "status": 8, "next": 8, "left": 5, "what happened last": 22}
"""With their widths, so that nothing jumps while it is drawn anew; together they fit 80 columns."""
_COLOURS: Final = {"overdue": "red", "escalated": "bold red", "warned": "yellow", "closed": "green", "reminded": "red"}


@dataclass
class Shown:
    """One issue on the stage: what is known of it, and how it stood when it was last looked at."""

    story: Story
    id: str
    number: str
    code: str
    stands: Mapping[str, Any]
    seen: int = 0
    """The last event that was told."""
    last: str = ""
    colour: str | None = None

    @property
    def is_closed(self) -> bool:
        return self.stands.get("closed") is not None


@dataclass
class Act:
    """A story while it is played. `began` is None until its first report."""

    story: Story
    began: float | None = None
    stamped: datetime = field(default_factory=lambda: datetime.now(UTC))
    done: int = 0
    failed: str = ""
    """Why the story could not go on: on a slow machine a clock may have been faster."""
    issues: list[Shown] = field(default_factory=list[Shown])

    @property
    def next(self) -> Step | None:
        return None if self.failed or self.done == len(self.story.steps) else self.story.steps[self.done]

    @property
    def is_over(self) -> bool:
        """Whether all has been done and what must follow by itself has followed."""
        if self.failed:
            return True
        if self.next is not None:
            return False
        if self.story is NOBODY:
            return self.issues[0].stands["level"] == "street"
        return all(issue.is_closed for issue in self.issues)


Tell = Callable[[float, Shown, Mapping[str, Any]], None]


def play(settings: Settings, wanted: Sequence[int], console: Console | None = None) -> None:
    """Plays the stories with these numbers, or all. Raises Failure if nobody answers, or a story did not come off."""
    console = console or Console(highlight=False)
    stories = [story for story in (*STORIES, NOBODY) if not wanted or story.id in wanted]
    with ExitStack() as stack:
        troupe = Troupe(settings, stack)
        acts = [Act(story) for story in stories]
        console.print(
            f"In compound [bold]{DEMO.compound}[/bold] every step has ten seconds; the text names the real place."
        )
        for story in stories:
            console.print(f"  {story.id} {story.place}: {story.title}")
        console.print()
        if console.is_terminal:
            with Live(_table(acts), console=console, refresh_per_second=4) as live:
                _run(troupe, acts, lambda *_: None, lambda: live.update(_table(acts)))
        else:
            _run(troupe, acts, lambda at, issue, event: _say(console, at, issue, event), lambda: None)
    _what_next(console, settings, acts)
    if wrong := [
        f"story {act.story.id}: {act.failed or 'not at its end'}" for act in acts if act.failed or not act.is_over
    ]:
        raise Failure("; ".join(wrong))


class Troupe:
    """The people of the demo: a client for each part, made when it is first played."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._known: dict[str, Client] = {}

    def client(self, who: Who, stage: Stage) -> Client:
        """The API as whoever plays this part; residents show no token, but a tracking code."""
        org = None if who == "resident" else stage.orgs[who]
        if (found := self._known.get(org or "")) is None:
            found = Client(base_url(self._settings), self._token(who, org) if org else None)
            self._known[org or ""] = self._stack.enter_context(found)
        return found

    def _token(self, who: Who, org: str) -> str:
        try:
            return asyncio.run(make(self._settings, f"demo-{who}", who, org))
        except Failure as failure:
            raise Failure(f"{failure}; the demo needs the directory of examples/directory") from None


def _run(troupe: Troupe, acts: Sequence[Act], tell: Tell, refresh: Callable[[], None]) -> None:
    """Takes every step at its time and looks at the issues in between, until all is over."""
    began = time.monotonic()
    looked = began - _LOOK_SECONDS
    while not all(act.is_over for act in acts):
        now = time.monotonic()
        if now - began > _TIMEOUT:
            return  # what is still open is shown as it stands
        for act in acts:
            _step(troupe, act)
        if now - looked >= _LOOK_SECONDS:
            looked = now
            for act in acts:
                for issue in act.issues:
                    _look(troupe, issue, lambda shown, event: tell(time.monotonic() - began, shown, event))
        refresh()
        time.sleep(0.05)


def _step(troupe: Troupe, act: Act) -> None:
    """Takes the next step of a story if its time has come."""
    step = act.next
    now = time.monotonic()
    if step is None or (act.began is not None and now - act.began < step.demo):
        return
    if act.began is None:
        act.began, act.stamped = now, datetime.now(UTC)
    stage = act.story.demo

    def told(moment: Moment) -> str:
        return format_time(act.stamped + timedelta(seconds=moment.demo))

    body = filled(step.body, stage, [issue.id for issue in act.issues], told)
    client = troupe.client(step.who, stage)
    try:
        if step.command == "report":
            act.issues.append(_report(client, act.story, body))
        else:
            _command(client, act.issues[step.to], step, body)
    except Refusal as refusal:
        act.failed = f"{step.command} by {step.who}: {refusal}"
    act.done += 1


def _report(client: Client, story: Story, body: Mapping[str, Any]) -> Shown:
    """The issue of a report; its text names the real place, since it is played in another."""
    text = f"【{story.place}】{body['description']}"
    answer = client.report({**body, "description": text, "compound": story.demo.compound, "category": story.category})
    return Shown(story, answer["id"], answer["number"], answer["tracking_code"], answer)


def _command(client: Client, issue: Shown, step: Step, body: Mapping[str, Any]) -> None:
    code = issue.code if step.who == "resident" else None
    answer = client.command(issue.id, step.command, body, code=code)
    if answer["outcome"] == "queued":
        raise Failure(f"{step.command} is queued, but nobody works: the demo needs a running worker")


def _look(troupe: Troupe, issue: Shown, tell: Callable[[Shown, Mapping[str, Any]], None]) -> None:
    """Reads how the issue stands, and tells what has happened since."""
    if issue.is_closed and issue.seen >= issue.stands["version"]:
        return
    resident = troupe.client("resident", DEMO)
    issue.stands = resident.issue(issue.id, issue.code)
    if issue.stands["version"] <= issue.seen:
        return
    for event in resident.timeline(issue.id, issue.code)["events"]:
        if event["seq"] > issue.seen:
            issue.seen = event["seq"]
            issue.last, issue.colour = _happened(event), _COLOURS.get(event["kind"])
            tell(issue, event)


def _happened(event: Mapping[str, Any]) -> str:
    """What happened, in a few words."""
    data, kind = event.get("data") or {}, str(event["kind"])
    if kind == "escalated":
        way = f"{LABELS.get(data.get('from_level', ''), '?')}→{LABELS[event['level']]}"
        return f"escalated {way} ({event.get('clause') or data.get('by')})"
    if kind == "closed":
        return f"closed {data.get('kind', '')}, {data.get('satisfaction', 'not_rated')}"
    if kind in ("warned", "overdue"):
        return f"{kind} {event.get('clause') or ''}".strip()
    return kind.replace("_", " ")


def _say(console: Console, at: float, issue: Shown, event: Mapping[str, Any]) -> None:
    """One line for those who read a file."""
    actor = event.get("actor")
    who = f"{actor['role']} {actor.get('org') or ''}".strip() if actor else "the clock"
    line = f"{issue.number}  {issue.story.place}  {_happened(event)}  [{who}]"
    console.print(f"{at:6.1f} s  {escape(plain_line(line))}", soft_wrap=True)


def _table(acts: Sequence[Act]) -> Table:
    """All issues as they stand; it is drawn anew in place."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header, width in _COLUMNS.items():
        table.add_column(header, width=width, no_wrap=True, overflow="ellipsis")
    for act in acts:
        if not act.issues:
            table.add_row(f"{act.story.id} {act.story.place}")
        for issue in act.issues:
            add_row(table, *_cells(act, issue), style=issue.colour)
    return table


def _cells(act: Act, issue: Shown) -> tuple[str, ...]:
    stands = issue.stands
    step: Mapping[str, Any] = stands.get("next") or {}
    name = f"{act.story.id} {act.story.place}" if issue is act.issues[0] else f"  + {issue.number}"
    seconds = (datetime.fromisoformat(step["due"]) - datetime.now(UTC)).total_seconds() if step else 0.0
    return (
        name,
        LABELS[stands["level"]],
        LABELS[stands["status"]],
        label(step.get("milestone", "")),
        (f"{seconds:.0f} s" if abs(seconds) < 1000 else f"{seconds / 86400:.0f} d") if step else "",
        issue.last,
    )


def _what_next(console: Console, settings: Settings, acts: Sequence[Act]) -> None:
    """Where to look at what was played, and what to try."""
    issues = [issue for act in acts for issue in act.issues]
    codes = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("", "issue", "tracking code", "closed as"):
        codes.add_column(header, no_wrap=header != "closed as")
    for issue in issues:
        closed = issue.stands.get("closed")
        kind = f"{closed['kind']}, {closed['satisfaction']}" if closed else "still open"
        codes.add_row(str(issue.story.id), issue.id, issue.code, kind)
    console.print(codes)
    url = base_url(settings)
    addresses = [("API", url), ("OpenAPI", f"{url}/openapi.json")]
    if settings.embedded_temporal:
        addresses.append(("Temporal UI", f"http://{LOOPBACK}:{settings.temporal_ui_port}"))
    for name, address in addresses:
        console.print(f"[bold]{name:<12}[/bold] {address}", soft_wrap=True)
    console.print("\n[bold]Try[/bold]")
    street = f"--role street --org {DEMO.orgs['street']}"
    tries = [f"show {issue.id} --code {issue.code}" for issue in issues[:1]]
    tries.append(f"worklist {street}")
    tries += [f"do accept {issue.id} {street}" for issue in issues if issue.story is NOBODY]
    tries.append("report 厨房漏水 --compound demo --category leak")
    tries.append("policy explain 52022 --category drain --from 2026-11-20T19:52")
    jiesu = called(sys.argv[0])
    for line in tries:
        console.print(f"  {escape(f'{jiesu} {line}')}", soft_wrap=True)


def called(program: str) -> str:
    """How this program is called again, from what it was called by: lines to paste must work where it was started."""
    if Path(program).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m cli"
    return "jiesu" if shutil.which("jiesu") == program else shlex.quote(program)
