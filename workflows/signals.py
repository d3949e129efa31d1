"""Sends a command to the workflow of an issue."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client

from domain.wire import digest, format_time
from runtime.signals import SIGNAL_TIMEOUT, send
from workflows.contract import PREFIX


def ordered(command: str, street: str, body: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A command that the installation gives by itself, as the administrator of the issue's street."""
    return {
        "id": command,
        "at": format_time(at),
        "actor": {"person": "operator", "role": "admin", "org": street},
        "body": body,
        "grants": [{"role": "admin", "org": street, "by": "order"}],
    }


async def signal(
    client: Client, issue: str, name: str, command: Mapping[str, Any], timeout: timedelta = SIGNAL_TIMEOUT
) -> None:
    """Sends the command ``{id, at, actor, body, expected_version?}``; returns once the signal is in the history.

    Raises RPCError, or RuntimeError if no server listens at the address.
    """
    # The request id, by which Temporal drops repeats, covers the content: with the command's id alone, a forged signal
    # would suppress the genuine one. Receipts in the state catch the repeats that Temporal does not.
    await send(client, PREFIX + issue, name, command, f"{command['id']}:{digest(command)}", timeout)
