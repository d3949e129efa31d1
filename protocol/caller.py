"""The caller of a request, as a value. `api/identity` recognises the caller and makes the value."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from domain.commands import ANONYMOUS, Actor, Authority, Command, RenewCode, Voice
from domain.followers import joinable, voices
from domain.issue import Issue
from domain.values import copy_with
from protocol.errors import Unauthenticated
from security import ids

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

    def was_taken_by(self, issue: Issue, voice: Voice) -> bool:
        """Whether it was the last renewal of this resident's code: nobody gets a code by the renewal of another."""
        command = self.command or ids.command_id(issue.id, voice.person, "resident", self.key)
        receipt = issue.receipts.get(command)
        return receipt is not None and (receipt.digest, receipt.outcome, receipt.seq) == (
            _RENEWAL,
            "applied",
            voice.renewed,
        )


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, or with the tracking code of an issue, or with neither."""

    actor: Actor | None
    tracking_code: str | None = field(repr=False)
    secret: bytes = field(repr=False)
    subject: str = field(default=ANONYMOUS, repr=False)
    """The subject of the token; no token has the subject of those without one. Ids of reports and commands derive from it:
    unlike a pseudonym it never changes."""
    grants: tuple[Authority, ...] = ()
    """All authorities that the actor has now. `Reader` adds what counts at the place of an issue."""
    renews: Renewal | None = None
    joins: str = field(default="", repr=False)
    """The idempotency key of a request to join an issue, from which a caller without a token gets his name there."""

    def holds_code_of(self, issue: Issue) -> bool:
        """Whether the caller sent a tracking code of this issue that is valid for this request."""
        return self._holder(issue) is not None

    def lost_code_of(self, issue: Issue) -> bool:
        """Whether the caller sent the previous tracking code, in a request about the renewal that replaced it."""
        return any(self._lost(issue, voice) for voice in voices(issue))

    def code_in(self, issue: Issue) -> str | None:
        """The valid tracking code of the caller in this issue; None if he has none there."""
        person = getattr(self.in_issue(issue), "person", None)
        return next((self._code(voice) for voice in voices(issue) if voice.person == person), None)

    def _holder(self, issue: Issue) -> str | None:
        """The resident whose code the caller sent."""
        found = (each for each in voices(issue) if self._sent(self._code(each)) or self._lost(issue, each))
        return next((voice.person for voice in found), None)

    def _lost(self, issue: Issue, voice: Voice) -> bool:
        was_taken = voice.generation > 0 and self.renews is not None and self.renews.was_taken_by(issue, voice)
        return was_taken and self._sent(self._code(copy_with(voice, generation=voice.generation - 1)))

    def _sent(self, code: str) -> bool:
        return self.tracking_code is not None and ids.tracking_matches(self.tracking_code, ids.tracking_hash(code))

    def _code(self, voice: Voice) -> str:
        return ids.voice_code(self.secret, voice)

    def in_issue(self, issue: Issue) -> Actor | None:
        """The actor as whom the caller acts in this issue.

        None with neither a token nor this issue's tracking code, unless the request is to join it.
        """
        if self.actor is not None:
            return self.actor
        person = self._holder(issue)
        if person is None and self.joins:
            person = ids.voice(self.secret, issue.id, self.joins)
        return None if person is None else Actor(person, "resident")

    def joins_in(self, issue: Issue) -> bool:
        """Whether the caller is a resident who wants to join this issue, and may find it for that."""
        actor = self.in_issue(issue)
        return bool(self.joins) and actor is not None and actor.role == "resident" and joinable(issue)

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
        """Whether the caller speaks in the issue: he reported or follows it, as the tracking code or the token proves."""
        actor = self.in_issue(issue)
        return actor is not None and (actor.person in issue.followers or actor.person == issue.reporter)

    @property
    def staff(self) -> Actor:
        """The actor of the token, for routes that need a token. Raises Unauthenticated if the caller has none."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor
