"""Authenticates callers by bearer token, session cookie or tracking code, never by anything in a body.

To accept another kind of token, write another `TokenVerifier`: the rest of the API sees only the `Caller`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Protocol

import structlog
from fastapi import Request

from api.identity.session import Session, Sessions
from api.identity.tokens import RESIDENTS, Claims, InvalidToken, LocalTokens, ResidentTokens, issuer_of
from domain.commands import Actor, Authority
from domain.directory import Directory, NotAppointed, SeveralRoles, acting_by
from domain.vocabulary import Role
from protocol.caller import Caller
from protocol.clock import Now, now, today
from protocol.directory_cache import DirectoryCache
from protocol.errors import ChooseRole, Forbidden, Unauthenticated, Unavailable, why
from protocol.limits import TokenBuckets
from runtime.causes import DAMAGED, cause_of
from runtime.proxies import network_of
from security import ids

log: Final = structlog.stdlib.get_logger(__name__)

ACTING_ROLE: Final = "x-acting-role"
ACTING_ORG: Final = "x-acting-org"
"""`ACTING_ROLE`, `ACTING_ORG`: the headers by which a person with several roles chooses one for a request."""
_LONGEST_CODE: Final = 64


class TokenVerifier(Protocol):
    """Verifies bearer tokens. Raises InvalidToken for any fault."""

    async def claims(self, token: str) -> Claims: ...


class LocalVerifier:
    """Verifies local tokens, which are signed with this installation's own key."""

    def __init__(self, tokens: LocalTokens) -> None:
        self._tokens = tokens

    async def claims(self, token: str) -> Claims:
        try:
            return self._tokens.verify(token)
        except (OSError, ValueError) as error:
            cause = cause_of(error) if isinstance(error, OSError) else DAMAGED
            log.error("tokens_cannot_be_verified", cause=cause)  # noqa: TRY400 - its trace would say nothing more
            raise Unavailable("tokens-unverified", why=why("token-key", cause)) from None


class WithResidents:
    """Verifies the tokens of residents who proved a phone here. Passes other tokens to the verifier `others`."""

    def __init__(self, residents: ResidentTokens, others: TokenVerifier) -> None:
        self._residents = residents
        self.others: Final = others

    async def claims(self, token: str) -> Claims:
        if issuer_of(token) == RESIDENTS:
            return self._residents.verify(token)
        return await self.others.claims(token)


class NoTokens:
    """Accepts no token: only tracking codes open anything."""

    async def claims(self, token: str) -> Claims:
        raise InvalidToken


@dataclass(frozen=True)
class Authenticator:
    """Authenticates requests, and limits how many requests a minute each caller may send.

    A request with a token or session counts for the person whom it names, any other request for its network address and
    its tracking code. The token is verified before the request is counted, so a forged token does not use up the rate
    of the person whom it names.
    """

    verifier: TokenVerifier
    directory: DirectoryCache
    secret: bytes = field(repr=False)
    subjects: TokenBuckets
    addresses: TokenBuckets
    now: Now = now
    sessions: Sessions | None = None

    async def caller(self, request: Request, prefer: Sequence[Role] = ()) -> Caller:
        """The caller. If the person has several roles and the request names none, a role in `prefer` is taken.

        Raises Unauthenticated without credentials or with invalid ones, TooMany beyond the rate, and what `acting`
        raises.
        """
        found = await self.caller_or_anybody(request, prefer)
        if found.actor is None and found.tracking_code is None:
            raise Unauthenticated
        return found

    async def caller_or_anybody(self, request: Request, prefer: Sequence[Role] = ()) -> Caller:
        """The caller, even of a request without credentials: that `Caller` has neither an actor nor a tracking code.

        Raises Unauthenticated for an invalid token or session, TooMany beyond the rate, and what `acting` raises.
        """
        try:
            claims = await self._claims(request)
        except (Unauthenticated, Forbidden):
            self.count_address(request)
            raise
        if claims is None:
            return self.by_code(request, _code(request))
        self.subjects.take(claims.person)
        return await self._caller(request, claims, prefer)

    def by_code(self, request: Request, code: str | None) -> Caller:
        """The caller without credentials but this tracking code, if any. Raises TooMany beyond the rate."""
        self.count_address(request)
        if code is not None:
            code = _readable(code)
            self.subjects.take(ids.tracking_hash(code))
        return Caller(None, code, self.secret)

    async def by_session(self, request: Request, session: Session) -> Caller:
        """The caller of a page, by the session of his browser; whether a page of ours asks, the page finds out.

        Raises TooMany beyond the rate, and what `acting` raises.
        """
        assert self.sessions is not None
        claims = self.sessions.claims_of(session)
        self.subjects.take(claims.person)
        return await self._caller(request, claims)

    async def again(self, request: Request) -> Caller:
        """The caller of a request that is still being answered, by what holds now. It is not counted once more.

        Raises Unauthenticated, Forbidden or ChooseRole once the caller may no longer ask.
        """
        return await self._caller(request, await self._claims(request))

    async def _caller(self, request: Request, claims: Claims | None, prefer: Sequence[Role] = ()) -> Caller:
        code = _code(request)
        if claims is None:
            return Caller(None, code, self.secret)
        # A resident's own token needs no directory, which may be unavailable.
        alone = claims.own_grant and claims.role == "resident"
        directory = Directory() if alone else await self.directory.get()
        actor, grants = acting(claims, request.headers, directory, today(self.now()), self.secret, prefer)
        return Caller(actor, code, self.secret, claims.person, grants)

    def count_address(self, request: Request) -> None:
        """Counts a request without valid credentials for its network address. Raises TooMany beyond the rate."""
        self.addresses.take(network_of(request.client.host if request.client else ""))

    async def _claims(self, request: Request) -> Claims | None:
        """The claims of the bearer token; without a token, those of the session cookie; None without both.

        The token goes first, because it is sent on purpose, but the cookie with every request. For the same reason the
        cookie is ignored in a request with a tracking code.
        """
        header = request.headers.get("authorization")
        if header is None:
            if self.sessions is None or "x-tracking-code" in request.headers:
                return None
            return self.sessions.claims(request)
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated
        try:
            return await self.verifier.claims(token.strip())
        except InvalidToken:
            raise Unauthenticated from None


def _code(request: Request) -> str | None:
    """The tracking code in its header; None without the header."""
    header = request.headers.get("x-tracking-code")
    return None if header is None else _typed(header)


def _typed(header: str) -> str:
    """A tracking code from its header, in UTF-8 where a keyboard typed it in full width; empty if it can be none."""
    with suppress(UnicodeError):
        header = header.encode("latin-1").decode("utf-8")
    return _readable(header)


def _readable(code: str) -> str:
    return code if len(code) <= _LONGEST_CODE else ""


def acting(
    claims: Claims, headers: Mapping[str, str], directory: Directory, day: date, secret: bytes,
    prefer: Sequence[Role] = (),
) -> tuple[Actor, tuple[Authority, ...]]:  # fmt: skip
    """The actor, in the one role in which a signed-in person acts in this request, and the grants for that role.

    The grants are the person's appointments in the role, or the token itself. `prefer` lists roles to be taken if the
    person has several roles and the request names none. Raises Unauthenticated for a token with an unknown
    organisation, Forbidden for a role that the person does not have on this day, ChooseRole if the role is left open
    even so.
    """
    role, org = headers.get(ACTING_ROLE), headers.get(ACTING_ORG)
    if claims.own_grant:
        return _by_token(claims, role, org, directory, secret)
    if role is None and org is None:
        role, org = claims.role, claims.org
    try:
        by = acting_by(directory.appointments_of(claims.person, day), role, org, prefer)
    except NotAppointed:
        raise Forbidden("not-appointed") from None
    except SeveralRoles as error:
        raise ChooseRole(error.ways) from None
    if not by:
        return _resident(claims.person, secret)
    grants = tuple(Authority(each.role, each.org, start=each.period.start, end=each.period.end) for each in by)
    return Actor(claims.person, by[0].role, by[0].org), grants


def appointments(person: str, directory: Directory, day: date) -> tuple[tuple[Role, str], ...]:
    """The roles that a person may choose from on a day, each with its organisation."""
    return tuple(dict.fromkeys((each.role, each.org) for each in directory.appointments_of(person, day)))


def _by_token(
    claims: Claims, role: str | None, org: str | None, directory: Directory, secret: bytes
) -> tuple[Actor, tuple[Authority, ...]]:
    """The actor and the grant of a token that grants its role itself, without an appointment.

    Raises Forbidden if the request names another role or organisation, Unauthenticated if the organisation is unknown.
    """
    if role not in (None, claims.role) or org not in (None, claims.org) or claims.role is None:
        raise Forbidden("token-of-other-role")
    if claims.role == "resident":
        return _resident(claims.person, secret)
    if not directory.has_role(claims.role, claims.org):
        raise Unauthenticated("token-org-unknown")
    return Actor(claims.person, claims.role, claims.org), (Authority(claims.role, claims.org, "token"),)


def _resident(subject: str, secret: bytes) -> tuple[Actor, tuple[Authority, ...]]:
    return Actor(ids.pseudonym(secret, subject), "resident"), (Authority("resident", None, "token"),)
