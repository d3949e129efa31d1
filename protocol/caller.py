"""The caller of a request, as a value. `api/identity` recognises the caller and makes the value."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from domain.commands import Actor, Authority, Command, RenewCode
from domain.issue import Issue
from protocol import ids
from protocol.errors import Unauthenticated

ANONYMOUS: Final = "anonymous"
"""The subject of callers without a token. No token may have this subject."""
_RENEWAL: Final = Command("", datetime.min.replace(tzinfo=UTC), None, RenewCode()).digest


@dataclass(frozen=True)
class Renewal:
    """Marks a request that repeats a renewal of a tracking code, or asks for the receipt of a renewal.

    A repeat names the idempotency key of the renewal (`key`), a question for the receipt its command id (`command`).
    For such a request only, the code that the renewal replaced is still accepted: a client that never received the
    new code can get it so.
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
    """The subject of the token. Ids of reports and commands derive from it; unlike a pseudonym it never changes."""
    grants: tuple[Authority, ...] = ()
    """All authorities that the actor has now. `Admission` keeps those that count at the place of an issue."""
    renews: Renewal | None = None

    def holds_code_of(self, issue: Issue) -> bool:
        """Whether the caller sent a tracking code of this issue that is valid for this request."""
        return self._sent_code_of(issue, issue.generation) or self.lost_code_of(issue)

    def lost_code_of(self, issue: Issue) -> bool:
        """Whether the caller sent the previous tracking code, in a request about the renewal that replaced it."""
        was_taken = issue.generation > 0 and self.renews is not None and self.renews.was_taken_by(issue)
        return was_taken and self._sent_code_of(issue, issue.generation - 1)

    def _sent_code_of(self, issue: Issue, generation: int) -> bool:
        valid = ids.tracking_code(self.secret, issue.id, generation)
        sent = self.tracking_code if self.tracking_code is not None else ""
        return ids.tracking_matches(sent, ids.tracking_hash(valid))

    def in_issue(self, issue: Issue) -> Actor | None:
        """The actor as whom the caller acts in this issue; None with neither a token nor this issue's tracking code."""
        if self.actor is not None:
            return self.actor
        return Actor(issue.reporter, "resident") if self.holds_code_of(issue) else None

    def command_id(self, issue: Issue, key: str) -> str | None:
        """The id of the command that the caller gives to this issue under an idempotency key.

        None if the caller has neither a token nor this issue's tracking code.
        """
        actor = self.in_issue(issue)
        if actor is None:
            return None
        subject = actor.person if self.actor is None else self.subject
        return ids.command_id(issue.id, subject, actor.role, key)

    def reported(self, issue: Issue) -> bool:
        """Whether the caller is the reporter of the issue, as the tracking code or the token proves."""
        return self.holds_code_of(issue) or (self.actor is not None and issue.reporter == self.actor.person)

    @property
    def staff(self) -> Actor:
        """The actor of the token, for routes that need a token. Raises Unauthenticated if the caller has none."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor
