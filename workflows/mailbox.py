"""Turns reports and signals into commands: for the workflow, and for an audit that folds its history again.

Errors are recorded in our own words only. The words of a library change with its version, and a later fold must give
the same event.
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
"""Decodes the JSON object in a payload; may raise anything."""


class ForgedError(ValueError):
    """A workflow was started by something other than the API."""


def beginning(start: Start, *, is_continued: bool) -> tuple[Issue, Command | None]:
    """The state with which a run begins, and the report to fold; no report in a run that continues another run.

    `is_continued` comes from the server: a state in the input of any other run is forged. Raises ForgedError for an
    input that the API does not send.
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
    """The report of an issue; None in a run that continues another run. `policy` and `calendars` are those of `start`.

    Raises ForgedError unless the report is signed, covers these pins, and its actor may report there; WireError if it
    cannot be decoded.
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
    """The command in a signal to an issue whose signing root is `root`; an invalid signal becomes `Undecodable`."""
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
    except Exception:  # noqa: BLE001  a converter may raise anything: the issue lives on, and the error is recorded
        return Command("", now, None, Undecodable(name, "not one JSON object"))
