"""What is pinned to issues, as values that all issues of a process share: each is read once and never changes."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from domain.issue import calendars_digest
from domain.policy import Policy
from domain.wire import canonical, digest, load
from domain.worktime import YearCalendar

Calendars = tuple[YearCalendar, ...]


def pinned(calendars: Sequence[YearCalendar], day: date) -> Calendars:
    """The calendars that are pinned to an issue that begins on this day: days before it are never counted."""
    return tuple(calendar for calendar in calendars if calendar.year >= day.year)


def pins_digest(policy: Policy, calendars: Calendars, rules_version: int) -> str:
    """Identifies what an issue begins under: policy, calendars, and the version of the rules."""
    return digest([policy.digest, calendars_digest(calendars), rules_version])


def read_policy(plain: Mapping[str, Any]) -> Policy:
    """The policy that a plain body stands for. Raises WireError."""
    return _policy(canonical(plain))


def read_calendars(plain: Sequence[Mapping[str, Any]]) -> Calendars:
    """The calendars that plain bodies stand for. Raises WireError."""
    return _calendars(canonical(plain))


@lru_cache(maxsize=256)
def _policy(text: bytes) -> Policy:
    return load(Policy, json.loads(text))


@lru_cache(maxsize=256)
def _calendars(text: bytes) -> Calendars:
    return tuple(load(YearCalendar, each) for each in json.loads(text))
