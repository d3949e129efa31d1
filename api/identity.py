"""Who asks: from a bearer token, or from the tracking code of one issue. Nothing else says it, least of all a body.

`Identity` is the seam where another kind of token comes in; all the rest of the API knows is the `Caller`.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from fastapi import Request

from api import codes
from api.directory_cache import DirectoryCache
from api.problems import Unauthenticated
from api.rates import Rates
from api.tokens import ANONYMOUS, Claims, InvalidToken, LocalTokens
from domain.commands import Actor, Authority
from domain.directory import role_fits
from domain.issue import Issue

_LONGEST_CODE: Final = 64


class Identity(Protocol):
    """Whom a token speaks for. Raises InvalidToken for any fault in it."""

    async def claims(self, token: str) -> Claims: ...


class LocalIdentity:
    """Tokens signed with this installation's own key."""

    def __init__(self, tokens: LocalTokens) -> None:
        self._tokens = tokens

    async def claims(self, token: str) -> Claims:
        return self._tokens.verify(token)


class NoIdentity:
    """Where nobody may hold a token: only tracking codes open anything."""

    async def claims(self, token: str) -> Claims:
        raise InvalidToken


@dataclass(frozen=True)
class Caller:
    """Who asks: somebody with a token, or whoever holds the tracking code of some issue."""

    actor: Actor | None
    tracking_code: str | None
    secret: bytes
    subject: str = ANONYMOUS
    """From which the names of what the caller sends derive: it stays when the actor's pseudonym would change."""
    grants: tuple[Authority, ...] = ()
    """What the actor holds now; `api.grants` narrows it to an issue's place."""

    def holds_code_of(self, issue: Issue) -> bool:
        """Whether the tracking code that was sent is the one of this issue that is valid now."""
        valid = codes.tracking_code(self.secret, issue.id, issue.generation)
        sent = self.tracking_code if self.tracking_code is not None else ""
        return codes.tracking_matches(sent, codes.tracking_hash(valid))

    def in_issue(self, issue: Issue) -> Actor | None:
        """As whom the caller acts in this issue; None for a stranger with another issue's code."""
        if self.actor is not None:
            return self.actor
        return Actor(issue.reporter, "resident") if self.holds_code_of(issue) else None

    def reported(self, issue: Issue) -> bool:
        """Whether the caller proves to be the one who reported the issue."""
        return self.holds_code_of(issue) or (self.actor is not None and self.actor.person == issue.reporter)

    @property
    def staff(self) -> Actor:
        """The actor of a token; Unauthenticated for routes that no tracking code opens."""
        if self.actor is None:
            raise Unauthenticated
        return self.actor


@dataclass(frozen=True)
class Doorkeeper:
    """Reads the credentials of a request, and counts it: for its token's subject, else for its address and its code.

    The count comes after the token was verified, so nobody uses up what is somebody else's.
    """

    identity: Identity
    directory: DirectoryCache
    secret: bytes
    subjects: Rates
    addresses: Rates

    async def caller(self, request: Request) -> Caller:
        """Who asks. Raises Unauthenticated without credentials, or with a token that is not accepted, and TooMany."""
        found = await self.caller_or_anybody(request)
        if found.actor is None and found.tracking_code is None:
            raise Unauthenticated
        return found

    async def caller_or_anybody(self, request: Request) -> Caller:
        """As `caller`, but without credentials it is anybody. A token that is not accepted is never passed over."""
        header = request.headers.get("authorization")
        code = request.headers.get("x-tracking-code")
        if code is not None and len(code) > _LONGEST_CODE:
            code = ""
        if header is not None:
            try:
                actor = await self._actor(header)
            except Unauthenticated:
                self._count_address(request)
                raise
            self.subjects.take(f"{actor.role} {actor.person}")
            grants = (Authority(actor.role, actor.org, "token"),)  # a local token is its own grant
            return Caller(actor, code, self.secret, actor.person, grants)
        self._count_address(request)
        if code is not None:
            self.subjects.take(codes.tracking_hash(code))
        return Caller(None, code, self.secret)

    def _count_address(self, request: Request) -> None:
        self.addresses.take(request.client.host if request.client else "")

    async def _actor(self, header: str) -> Actor:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated
        try:
            claims = await self.identity.claims(token.strip())
        except InvalidToken:
            raise Unauthenticated from None
        if claims.person == ANONYMOUS:  # the name of all who show no token is nobody's
            raise Unauthenticated
        if claims.role == "resident":
            return Actor(claims.person, "resident")
        directory = await self.directory.get()
        org = directory.org(claims.org) if claims.org is not None else None
        if org is None or not role_fits(claims.role, org):
            raise Unauthenticated("the organisation of this token is not in the directory, or has no such role")
        return Actor(claims.person, claims.role, claims.org)
