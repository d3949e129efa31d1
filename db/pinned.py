"""Keeps the policies and calendars under which issues run, by digest, and gives them back as values."""

from typing import Final, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import CalendarsRow, PolicyRow
from db.upsert import insert_missing
from domain.issue import calendars_digest
from domain.pins import Calendars, read_calendars, read_policy
from domain.policy import Policy
from domain.wire import dump

T = TypeVar("T")

_POLICIES: Final[dict[str, Policy]] = {}
_CALENDARS: Final[dict[str, Calendars]] = {}
"""What was read once. The key is the digest of the content, so an entry is right for ever and in any database."""
_MOST: Final = 1000


class MissingError(LookupError):
    """The read model names a policy or a set of calendars that it does not hold."""


def keep(session: Session, policy: Policy, calendars: Calendars) -> None:
    """Makes sure that both are in the database."""
    found = {"digest": policy.digest, "id": policy.id, "version": policy.version, "body": dump(policy)}
    insert_missing(session, PolicyRow, [found])
    insert_missing(session, CalendarsRow, [{"digest": calendars_digest(calendars), "body": dump(calendars)}])


def policy_of(session: Session, digest: str) -> Policy:
    """The policy with this digest, checked against it; MissingError if it is not there."""
    if digest not in _POLICIES:
        body = session.scalar(select(PolicyRow.body).where(PolicyRow.digest == digest))
        if body is None:
            raise MissingError(f"no policy {digest}")
        policy = read_policy(body)
        if policy.digest != digest:
            raise ValueError(f"policy {digest} was altered: its content has digest {policy.digest}")
        _remember(_POLICIES, digest, policy)
    return _POLICIES[digest]


def calendars_of(session: Session, digest: str) -> Calendars:
    """The set of calendars with this digest, checked against it; MissingError if it is not there."""
    if digest not in _CALENDARS:
        body = session.scalar(select(CalendarsRow.body).where(CalendarsRow.digest == digest))
        if body is None:
            raise MissingError(f"no calendars {digest}")
        calendars = read_calendars(body)
        if calendars_digest(calendars) != digest:
            raise ValueError(f"calendars {digest} were altered")
        _remember(_CALENDARS, digest, calendars)
    return _CALENDARS[digest]


def _remember(cache: dict[str, T], digest: str, value: T) -> None:
    if len(cache) >= _MOST:
        cache.clear()
    cache[digest] = value
