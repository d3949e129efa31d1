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
    """Sends ``{id, at, actor, body, expected_version?}``, and returns once the signal is in the history.

    Raises RPCError, or RuntimeError if no server listens at the address.
    """
    # Temporal deduplicates by id and content. By the id alone, a forged signal would suppress the genuine one. The
    # receipts in the state catch repeats that Temporal does not.
    await send(client, PREFIX + issue, name, command, f"{command['id']}:{digest(command)}", timeout)
