"""The errors of the protocol; `api/http/problems.py` turns them into HTTP responses."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final

from domain.wire import format_time
from texts.catalogue import Language, Told, Wrong

_MOST_ERRORS: Final = 20
_LONGEST_FIELD: Final = 80


class ProtocolError(Exception):
    """The base class of the protocol's errors, which are shown to the caller.

    `code` says what is wrong to programs, its text in the catalogue to people; without a code the title says it all.
    """

    TABLE: ClassVar = "errors"

    def __init__(self, code: str = "", /, **named: object) -> None:
        self.text: Final = Told(self.TABLE, code, named) if code else None
        super().__init__(self.told("en"))

    @property
    def code(self) -> str | None:
        return self.text and self.text.key

    @property
    def params(self) -> Mapping[str, str] | None:
        """What the text names."""
        return self.text and _plain(self.text)

    def told(self, language: Language) -> str:
        """What is wrong, for people."""
        return self.text.told(language) if self.text else ""


class Unauthenticated(ProtocolError):
    """The request bears no credentials, or none that are accepted."""


class Forbidden(ProtocolError):
    """The caller is known but may not do what was asked for, whatever the state of the issue."""


class ChooseRole(ProtocolError):
    """The caller holds several roles and named none in the request; `roles` lists them."""

    def __init__(self, ways: Iterable[tuple[str, str]]) -> None:
        super().__init__("roles-several")
        self.roles: Final = [{"role": role, "org": org} for role, org in sorted(ways)]


class NotFound(ProtocolError):
    """What the caller asked for does not exist, or the caller may not know that it exists."""


class Refused(ProtocolError):
    """The rules refuse a command, by a code and what its text names.

    `command_id` is the command's id if its receipt records the refusal, else None.
    """

    TABLE = "refusals"

    def __init__(
        self, code: str, params: Mapping[str, str] = MappingProxyType({}), command_id: str | None = None
    ) -> None:
        super().__init__(code, **params)
        self.command_id: Final = command_id

    def reason(self, language: Language) -> str:
        return self.told(language)


class Stale(Refused):
    """The issue is not at the version that the caller expects."""


class Invalid(ProtocolError):
    """The request is not valid: each faulty field with what is wrong with it, never with its value."""

    def __init__(self, *faults: tuple[str, Wrong]) -> None:
        self._faults: Final = [(_printable(field), wrong.text) for field, wrong in faults[:_MOST_ERRORS]]
        super().__init__()

    def told(self, language: Language) -> str:
        return "; ".join(
            f"{field}: {text.told(language)}" if field else text.told(language) for field, text in self._faults
        )

    def errors(self, language: Language) -> list[dict[str, Any]]:
        """Each faulty field, with its fault for programs and for people."""
        return [
            {"field": field, "code": text.key, "params": _plain(text), "reason": text.told(language)}
            for field, text in self._faults
        ]


class KeyReused(ProtocolError):
    """The idempotency key was used before, for another request."""


class TooMany(ProtocolError):
    """The caller has used up a limit, of this name and rate. `retry_after`: the seconds after which to try again."""

    def __init__(self, limit: str, rate: str, until: datetime, retry_after: int) -> None:
        self.limit: Final = limit
        self.rate: Final = rate
        self.until: Final = format_time(until)
        self.retry_after: Final = retry_after
        super().__init__("limit-used-up", limit=limit, rate=rate, until=self.until)


class Unavailable(ProtocolError):
    """A server that the answer needs is not available. The request may be sent again, with the same idempotency key."""

    def __init__(self, code: str = "", /, *, retry_after: int = 1, **named: object) -> None:
        super().__init__(code, **named)
        self.retry_after: Final = retry_after


def why(store: str, cause: str) -> Told:
    """Why a store does not answer: what `runtime.causes.sentence` says, in any language."""
    return Told("causes", cause, {"store": Told("stores", store)})


def _plain(text: Told) -> dict[str, str]:
    return {name: str(value) for name, value in text.named.items()}


def _printable(field: str) -> str:
    """The name of a field, shortened and without control characters, since the caller may have made it up."""
    return "".join(sign if sign.isprintable() else "?" for sign in field[:_LONGEST_FIELD])
