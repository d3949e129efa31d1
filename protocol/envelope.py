"""A command in the plain form in which it travels to its workflow: checked, but not signed yet."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from domain.commands import Command, load_command
from domain.limits import check_weight, shown
from domain.wire import WireError, canonical, dump, format_time
from protocol.errors import Invalid
from texts.catalogue import Wrong

Plain = dict[str, Any]


def plain_of(command: Command) -> Plain:
    """The plain form of a command: ``{id, at, actor, body, expected_version?, grants}``."""
    plain: Plain = {
        "id": command.id,
        "at": format_time(command.at),
        "actor": dump(command.actor),
        "body": dump(command.body),
        "grants": dump(command.grants),
    }
    if command.expected_version is not None:
        plain["expected_version"] = command.expected_version
    return plain


@dataclass(frozen=True)
class Envelope:
    """A command and its plain form, which is made and checked once, by `of`."""

    command: Command
    plain: Plain

    @classmethod
    def of(cls, command: Command) -> Self:
        """The envelope of a command. Raises Invalid for a command that the workflow could not read."""
        plain = plain_of(command)
        try:
            check_weight(canonical(plain))
            load_command(command.name, plain)
        except WireError as error:
            raise Invalid(("body", Wrong("command-unreadable", problem=shown(str(error), 200)))) from None
        return cls(command, plain)

    @property
    def id(self) -> str:
        return self.command.id

    @cached_property
    def digest(self) -> str:
        """The digest of the command: equal for a repeat, different for another command under the same key."""
        return self.command.digest

    def stamped(self, at: datetime) -> Self:
        """The envelope of the same command, stamped with the time `at`."""
        return replace(self, command=replace(self.command, at=at), plain={**self.plain, "at": format_time(at)})
