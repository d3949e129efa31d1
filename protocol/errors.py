"""The errors of the protocol; `api/http/problems.py` turns them into HTTP responses."""

from collections.abc import Iterable
from typing import Final

_MOST_ERRORS: Final = 20
_LONGEST_FIELD: Final = 80


class ProtocolError(Exception):
    """The base class of the protocol's errors. `detail` says to people what is wrong; it is shown to the caller."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail: Final = detail


class Unauthenticated(ProtocolError):
    """The request bears no credentials, or none that are accepted."""


class Forbidden(ProtocolError):
    """The caller is known but may not do what was asked for, whatever the state of the issue."""


class ChooseRole(ProtocolError):
    """The caller holds several roles and named none in the request; `roles` lists them."""

    def __init__(self, ways: Iterable[tuple[str, str]]) -> None:
        super().__init__("send X-Acting-Role and X-Acting-Org")
        self.roles: Final = [{"role": role, "org": org} for role, org in sorted(ways)]


class NotFound(ProtocolError):
    """What the caller asked for does not exist, or the caller may not know that it exists."""


class Refused(ProtocolError):
    """The rules refuse a command. `command_id` is the command's id if its receipt records the refusal, else None."""

    def __init__(self, code: str, reason: str, command_id: str | None = None) -> None:
        super().__init__(reason)
        self.code: Final = code
        self.reason: Final = reason
        self.command_id: Final = command_id


class Stale(ProtocolError):
    """The issue is not at the version that the caller expects.

    `command_id` is the command's id if its receipt records the refusal, else None.
    """

    def __init__(self, detail: str = "", command_id: str | None = None) -> None:
        super().__init__(detail)
        self.command_id: Final = command_id


class Invalid(ProtocolError):
    """The request is not valid. `errors` names each faulty field and what is wrong with it, never the field's value."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        found = [(_printable(field), reason) for field, reason in errors[:_MOST_ERRORS]]
        super().__init__("; ".join(f"{field}: {reason}" if field else reason for field, reason in found))
        self.errors: Final = [{"field": field, "reason": reason} for field, reason in found]


class KeyReused(ProtocolError):
    """The idempotency key was used before, for another request."""


class TooMany(ProtocolError):
    """The caller has used up a limit. `retry_after` is the number of seconds after which to try again."""

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after: Final = retry_after


class Unavailable(ProtocolError):
    """A server that the answer needs is not available. The request may be sent again, with the same idempotency key."""

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after: Final = retry_after


def _printable(field: str) -> str:
    """The name of a field, shortened and without control characters, since the caller may have made it up."""
    return "".join(sign if sign.isprintable() else "?" for sign in field[:_LONGEST_FIELD])
