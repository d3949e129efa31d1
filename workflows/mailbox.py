"""How a signal becomes a command: for the workflow that takes it, and for the auditor who reads it years later."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload

from domain.commands import SIGNALS, Command, Undecodable, load_command
from domain.limits import check_weight, shown
from domain.wire import WireError

Reader = Callable[[Payload], Mapping[str, Any]]
"""Gives the JSON object in a payload; may raise anything."""


def command_of(name: str, payloads: Sequence[Payload], now: datetime, read: Reader) -> Command:
    """The command in a signal; one that cannot be read becomes `Undecodable`, to be put on record.

    Only our own words go there: those of a library change with its versions, and the record must come out the same for
    ever.
    """
    if name not in SIGNALS:
        return Command("", now, None, Undecodable(shown(name, 100), "no command has this name"))
    try:
        (only,) = payloads
        check_weight(only.data)
        return load_command(name, read(only))
    except WireError as error:
        return Command("", now, None, Undecodable(name, f"WireError: {shown(str(error), 200)}"))
    except Exception:  # noqa: BLE001  whatever a converter may raise, the issue lives and the record says so
        return Command("", now, None, Undecodable(name, "not one JSON object"))
