"""Stores the policies and calendars that issues pin, by digest, and loads them as values."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

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
"""Caches of policies and calendars. The key is the digest of the content, so an entry never becomes stale, whichever
database it came from."""
_MOST: Final = 1000


class MissingError(LookupError):
    """The read model names a policy or a set of calendars that it does not hold."""


def keep(session: Session, policy: Policy, calendars: Calendars) -> None:
    """Stores the policy and the calendars, each unless it is stored already."""
    found = {"digest": policy.digest, "id": policy.id, "version": policy.version, "body": dump(policy)}
    insert_missing(session, PolicyRow, [found])
    insert_missing(session, CalendarsRow, [{"digest": calendars_digest(calendars), "body": dump(calendars)}])


def policy_of(session: Session, digest: str) -> Policy:
    """The policy with this digest. Raises MissingError if none is stored, ValueError if its content was altered."""
    return _read(session, PolicyRow, digest, _POLICIES, read_policy, lambda policy: policy.digest)


def calendars_of(session: Session, digest: str) -> Calendars:
    """The calendars with this digest.

    Raises MissingError if none are stored, ValueError if their content was altered.
    """
    return _read(session, CalendarsRow, digest, _CALENDARS, read_calendars, calendars_digest)


def _read(
    session: Session, row: type[PolicyRow | CalendarsRow], digest: str, known: dict[str, T],
    read: Callable[[Any], T], digest_of: Callable[[T], str],
) -> T:  # fmt: skip
    if digest not in known:
        body = session.scalar(select(row.body).where(row.digest == digest))
        if body is None:
            raise MissingError(f"no {row.__tablename__} {digest}")
        value = read(body)
        if (found := digest_of(value)) != digest:
            raise ValueError(f"{row.__tablename__} {digest} were altered: the content has digest {found}")
        if len(known) >= _MOST:
            known.clear()
        known[digest] = value
    return known[digest]
