"""Gives a command to the workflow of an issue."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from domain.wire import digest
from runtime.signals import SIGNAL_TIMEOUT, send
from workflows.contract import PREFIX


async def signal(
    client: Client, issue: str, name: str, command: Mapping[str, Any], timeout: timedelta = SIGNAL_TIMEOUT
) -> None:
    """Sends ``{id, at, actor, body, expected_version?}``; once this returns it is in the history.

    Raises RPCError, or RuntimeError where nobody listens at the server's address.
    """
    # Not the command's id alone: the first to send an id, signed or not, would take it from everyone else. What the
    # server does not drop, the receipts in the state do.
    await send(client, PREFIX + issue, name, command, f"{command['id']}:{digest(command)}", timeout)
