"""The errors of the protocol; `api/http/problems.py` turns them into HTTP responses."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from domain.wire import format_time
from texts.catalogue import Language, say

_MOST_ERRORS: Final = 20
_LONGEST_FIELD: Final = 80


class ProtocolError(Exception):
    """The base class of the protocol's errors. `detail` says to people what is wrong; it is shown to the caller."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail: Final = detail

    def told(self, language: Language) -> str:
        """What is wrong, in this language where there is a text in it."""
        return self.detail


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
    """The rules refuse a command, by a code and what its text names.

    `command_id` is the command's id if its receipt records the refusal, else None.
    """

    def __init__(
        self, code: str, params: Mapping[str, str] = MappingProxyType({}), command_id: str | None = None
    ) -> None:
        super().__init__(say("refusals", code, "en", params))
        self.code: Final = code
        self.params: Final = dict(params)
        self.command_id: Final = command_id

    def told(self, language: Language) -> str:
        return say("refusals", self.code, language, self.params)


class Stale(Refused):
    """The issue is not at the version that the caller expects."""


class Invalid(ProtocolError):
    """The request is not valid. `errors` names each faulty field and what is wrong with it, never the field's value."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        found = [(_printable(field), reason) for field, reason in errors[:_MOST_ERRORS]]
        super().__init__("; ".join(f"{field}: {reason}" if field else reason for field, reason in found))
        self.errors: Final = [{"field": field, "reason": reason} for field, reason in found]


class KeyReused(ProtocolError):
    """The idempotency key was used before, for another request."""


class TooMany(ProtocolError):
    """The caller has used up a limit, of this name and rate. `retry_after`: the seconds after which to try again."""

    def __init__(self, limit: str, rate: str, until: datetime, retry_after: int) -> None:
        self.limit: Final = limit
        self.rate: Final = rate
        self.until: Final = format_time(until)
        self.retry_after: Final = retry_after
        super().__init__(self.told("en"))

    def told(self, language: Language) -> str:
        return say("limits", "used-up", language, {"limit": self.limit, "rate": self.rate, "until": self.until})


class Unavailable(ProtocolError):
    """A server that the answer needs is not available. The request may be sent again, with the same idempotency key."""

    def __init__(self, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after: Final = retry_after


def _printable(field: str) -> str:
    """The name of a field, shortened and without control characters, since the caller may have made it up."""
    return "".join(sign if sign.isprintable() else "?" for sign in field[:_LONGEST_FIELD])
