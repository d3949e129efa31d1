"""How reports and signals become commands: for the workflow that takes them, and for the auditor who reads them years later.

Only our own words go on record for what cannot be taken: those of a library change with its versions, and the record must
come out the same for ever.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload

from domain.access import may_report
from domain.commands import SIGNALS, Command, Report, Undecodable, load_command
from domain.issue import Issue, load_issue
from domain.limits import check_weight, shown
from domain.pins import Calendars, pins_digest, read_calendars, read_policy
from domain.policy import Policy
from domain.wire import WireError
from security.signing import UnsignedError, check
from workflows.contract import Start

Reader = Callable[[Payload], Mapping[str, Any]]
"""Gives the JSON object in a payload; may raise anything."""


class ForgedError(ValueError):
    """A workflow was started with something that did not come through the API."""


def beginning(start: Start, *, is_continued: bool) -> tuple[Issue, Command | None]:
    """The state with which a run begins, and the report that is to be folded onto it, none in one that continues another.

    `is_continued` is the server's word for that: a state that comes along in any other run is somebody's invention.
    Raises ForgedError for whatever the API does not send.
    """
    try:
        policy, calendars = read_policy(start.policy), read_calendars(start.calendars)
        if start.state is not None:
            if not is_continued or start.report is not None:
                raise ForgedError("it brings a state, and continues no other run")
            return load_issue(start.state, policy, calendars), None
        report = report_of(start, policy, calendars)
        if report is None:
            raise ForgedError("there is no report")
        return Issue.new(start.issue, policy, calendars, start.rules_version), report
    except (WireError, RecursionError) as error:
        raise ForgedError(f"it cannot be read: {shown(str(error), 200)}") from None


def report_of(start: Start, policy: Policy, calendars: Calendars) -> Command | None:
    """The report with which an issue begins, None in a run that continues another; `policy` and `calendars` as they started.

    Raises ForgedError unless it is signed, covers what the issue begins under and is by somebody who may report there,
    WireError if it does not fit.
    """
    if start.report is None:
        return None
    command = load_command("report", start.report)
    assert isinstance(command.body, Report)
    try:
        check(command.body.root, start.issue, "report", start.report)
    except UnsignedError as error:
        raise ForgedError(f"the report is not taken: {error}") from None
    if command.body.pins != pins_digest(policy, calendars, start.rules_version):
        raise ForgedError("the report was signed for another policy or other calendars")
    if command.actor is None or not may_report(command.actor, command.grants, command.body.place, command.at):
        raise ForgedError("nobody had given this person the role in which it was reported there")
    return command


def command_of(name: str, payloads: Sequence[Payload], now: datetime, read: Reader, issue: str, root: str) -> Command:
    """The command in a signal to this issue, which pins this root; one that is not to be taken becomes `Undecodable`."""
    if name not in SIGNALS:
        return Command("", now, None, Undecodable(shown(name, 100), "no command has this name"))
    try:
        (only,) = payloads
        check_weight(only.data)
        plain = read(only)
        check(root, issue, name, plain)
        return load_command(name, plain)
    except UnsignedError as error:
        return Command("", now, None, Undecodable(name, f"not from the API: {error}"))
    except WireError as error:
        return Command("", now, None, Undecodable(name, f"WireError: {shown(str(error), 200)}"))
    except Exception:  # noqa: BLE001  whatever a converter may raise, the issue lives and the record says so
        return Command("", now, None, Undecodable(name, "not one JSON object"))
