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
    """A renewal of a tracking code that is repeated or asked after, by its key or its command: the code that was valid
    before it goes on opening that, since the answer with the new one may have been lost.
    """

    key: str = field(default="", repr=False)
    command: str = ""

    def was_taken_by(self, issue: Issue) -> bool:
        command = self.command or ids.command_id(issue.id, issue.reporter, "resident", self.key)
        receipt = issue.receipts.get(command)
        return receipt is not None and (receipt.digest, receipt.outcome) == (_RENEWAL, "applied")


@dataclass(frozen=True)
class Caller:
    """Who asks: somebody with a token, or whoever holds the tracking code of some issue."""

    actor: Actor | None
    tracking_code: str | None = field(repr=False)
    secret: bytes = field(repr=False)
    subject: str = field(default=ANONYMOUS, repr=False)
    """From which the names of what the caller sends derive: it stays when the actor's pseudonym would change."""
    grants: tuple[Authority, ...] = ()
    """What the actor holds now; `Directory.grants_in` narrows it to an issue's place."""
    renews: Renewal | None = None

    def holds_code_of(self, issue: Issue) -> bool:
        """Whether the tracking code that was sent is the one of this issue that is valid now, for what is asked."""
        return self._sent_code_of(issue, issue.generation) or self.lost_code_of(issue)

    def lost_code_of(self, issue: Issue) -> bool:
        """Whether this repeats, or asks after, the renewal by which the code that was sent became invalid."""
        was_taken = issue.generation > 0 and self.renews is not None and self.renews.was_taken_by(issue)
        return was_taken and self._sent_code_of(issue, issue.generation - 1)

    def _sent_code_of(self, issue: Issue, generation: int) -> bool:
        valid = ids.tracking_code(self.secret, issue.id, generation)
        sent = self.tracking_code if self.tracking_code is not None else ""
        return ids.tracking_matches(sent, ids.tracking_hash(valid))

    def in_issue(self, issue: Issue) -> Actor | None:
        """As whom the caller acts in this issue; None for a stranger with another issue's code."""
        if self.actor is not None:
            return self.actor
        return Actor(issue.reporter, "resident") if self.holds_code_of(issue) else None

    def reported(self, issue: Issue) -> bool:
        """Whether the caller proves to be the one who reported the issue."""
        return self.holds_code_of(issue) or (self.actor is not None and issue.reporter == self.actor.person)

    @property
    def staff(self) -> Actor:
        """The actor of a token; Unauthenticated for routes that no tracking code opens."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor
