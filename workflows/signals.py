"""Sends a command to the workflow of an issue."""

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
    """Sends the command ``{id, at, actor, body, expected_version?}``; returns once the signal is in the history.

    Raises RPCError, or RuntimeError if no server listens at the address.
    """
    # The request id, by which Temporal drops repeats, covers the content: with the command's id alone, a forged signal
    # would suppress the genuine one. Receipts in the state catch the repeats that Temporal does not.
    await send(client, PREFIX + issue, name, command, f"{command['id']}:{digest(command)}", timeout)
