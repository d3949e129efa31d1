"""The policies and calendars pinned to issues; decoded once per process and shared, since they never change."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from domain.issue import calendars_digest
from domain.policy import Policy
from domain.wire import canonical, digest, load
from domain.worktime import YearCalendar

Calendars = tuple[YearCalendar, ...]


def newest(calendars: Iterable[YearCalendar]) -> Calendars:
    """One calendar for each year, in order of years: the one of the highest version, of equal ones the last."""
    found: dict[int, YearCalendar] = {}
    for calendar in calendars:
        known = found.get(calendar.year)
        if known is None or calendar.version >= known.version:
            found[calendar.year] = calendar
    return tuple(found[year] for year in sorted(found))


def pinned(calendars: Sequence[YearCalendar], day: date) -> Calendars:
    """The calendars to pin to an issue that begins on this day: those of its year and later."""
    return tuple(calendar for calendar in calendars if calendar.year >= day.year)


def pins_digest(policy: Policy, calendars: Calendars, rules_version: int) -> str:
    """The digest of an issue's policy, calendars and rules version at its report."""
    return digest([policy.digest, calendars_digest(calendars), rules_version])


def read_policy(plain: Mapping[str, Any]) -> Policy:
    """Decodes a policy. Raises WireError."""
    return _policy(canonical(plain))


def read_calendars(plain: Sequence[Mapping[str, Any]]) -> Calendars:
    """Decodes calendars. Raises WireError."""
    return _calendars(canonical(plain))


@lru_cache(maxsize=256)
def _policy(text: bytes) -> Policy:
    return load(Policy, json.loads(text))


@lru_cache(maxsize=256)
def _calendars(text: bytes) -> Calendars:
    return tuple(load(YearCalendar, each) for each in json.loads(text))
