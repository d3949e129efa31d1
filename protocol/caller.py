"""Who asks, as a value: how the caller was recognised is up to `api/identity`."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from domain.commands import Actor, Authority, Command, RenewCode
from domain.issue import Issue
from protocol import ids
from protocol.errors import Unauthenticated

ANONYMOUS: Final = "anonymous"
"""The subject of callers without a token, so no token may claim it."""
_RENEWAL: Final = Command("", datetime.min.replace(tzinfo=UTC), None, RenewCode()).digest


@dataclass(frozen=True)
class Renewal:
    """A renewal of a tracking code that is repeated, or whose receipt is asked for: known by its key or its command.

    For that alone the code before it stays valid, so that a client that lost the answer with the new code can get it.
    """

    key: str = field(default="", repr=False)
    command: str = ""

    def was_taken_by(self, issue: Issue) -> bool:
        command = self.command or ids.command_id(issue.id, issue.reporter, "resident", self.key)
        receipt = issue.receipts.get(command)
        return receipt is not None and (receipt.digest, receipt.outcome) == (_RENEWAL, "applied")


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, or with the tracking code of an issue, or with neither."""

    actor: Actor | None
    tracking_code: str | None = field(repr=False)
    secret: bytes = field(repr=False)
    subject: str = field(default=ANONYMOUS, repr=False)
    """Ids of reports and commands derive from it; unlike the actor's pseudonym it never changes."""
    grants: tuple[Authority, ...] = ()
    """The authorities of the actor now; `Admission` narrows them to an issue's place."""
    renews: Renewal | None = None

    def holds_code_of(self, issue: Issue) -> bool:
        """Whether the tracking code that was sent is valid for this issue and this request."""
        return self._sent_code_of(issue, issue.generation) or self.lost_code_of(issue)

    def lost_code_of(self, issue: Issue) -> bool:
        """Whether this request is about the renewal by which the code that was sent became invalid."""
        was_taken = issue.generation > 0 and self.renews is not None and self.renews.was_taken_by(issue)
        return was_taken and self._sent_code_of(issue, issue.generation - 1)

    def _sent_code_of(self, issue: Issue, generation: int) -> bool:
        valid = ids.tracking_code(self.secret, issue.id, generation)
        sent = self.tracking_code if self.tracking_code is not None else ""
        return ids.tracking_matches(sent, ids.tracking_hash(valid))

    def in_issue(self, issue: Issue) -> Actor | None:
        """As whom the caller acts in this issue; None for the holder of another issue's code."""
        if self.actor is not None:
            return self.actor
        return Actor(issue.reporter, "resident") if self.holds_code_of(issue) else None

    def command_id(self, issue: Issue, key: str) -> str | None:
        """The id of the command that the caller gives in this issue under an idempotency key; None for a stranger."""
        actor = self.in_issue(issue)
        if actor is None:
            return None
        subject = actor.person if self.actor is None else self.subject
        return ids.command_id(issue.id, subject, actor.role, key)

    def reported(self, issue: Issue) -> bool:
        """Whether the caller has proved to be the reporter of the issue."""
        return self.holds_code_of(issue) or (self.actor is not None and issue.reporter == self.actor.person)

    @property
    def staff(self) -> Actor:
        """The actor of a token; Unauthenticated for routes that no tracking code opens."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor
