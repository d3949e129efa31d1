"""What is sealed of an issue: how it came out, by which rules and code, and the digests of all that bears it out.

Nothing personal is in it. Findings are sealed by their place only: in words they may quote what people wrote, and the
archived history gives them again at any time.
"""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from audit.case import Finding, Verdict
from audit.refold import Refolded
from domain.events import CalendarPublished, PolicyChanged, dump_event
from domain.issue import Issue, calendars_digest
from domain.policy import Policy
from domain.wire import canonical, dump, format_time
from domain.worktime import YearCalendar

FORMAT: Final = 1
MOST_FINDINGS: Final = 50
_HERE: Final = Path(__file__).resolve().parent
_LOCKS: Final = (_HERE.parent / "constraints.txt", _HERE / "constraints.txt")
"""In a checkout, and in an installed package."""


@dataclass(frozen=True)
class SealedRun:
    """One run of the workflow: Temporal's id of it, the digest of its history's bytes, its number of events."""

    run: str
    sha256: str
    events: int


@dataclass(frozen=True)
class CodeVersions:
    """What replayed it: Jiesu's version, the digest of its lock file (None where there is none), SDK and Python."""

    version: str
    lock: str | None
    sdk: str
    python: str


@cache
def code_versions() -> CodeVersions:
    """That of this process."""
    lock = next((hashlib.sha256(file.read_bytes()).hexdigest() for file in _LOCKS if file.is_file()), None)
    version, sdk = (importlib.metadata.version(name) for name in ("jiesu", "temporalio"))
    return CodeVersions(version, lock, sdk, platform.python_version())


def build(
    runs: Sequence[SealedRun], folded: Refolded | None, verdict: Verdict, code: CodeVersions, now: datetime
) -> dict[str, Any]:
    """The record of an issue; without `folded`, for a history that cannot be folded, what follows from it is null."""
    head: dict[str, Any] = {"format": FORMAT, "issue": verdict.issue, "archived_at": format_time(now)}
    said: dict[str, Any] = {
        "runs": [{"run": run.run, "sha256": run.sha256, "events": run.events} for run in runs],
        "code": {"version": code.version, "lock": code.lock, "sdk": code.sdk, "python": code.python},
        "replay": {"holds": verdict.holds, "commands": verdict.commands, "findings": places(verdict.findings)},
    }
    return {**head, **said, **(_UNFOLDED if folded is None else {"events": _events(folded), **facts(folded)})}


def places(findings: Sequence[Finding]) -> list[str]:
    """Where something does not hold; at most MOST_FINDINGS, and how many more there are."""
    shown = [f"{each.step}: {each.where}" for each in findings[:MOST_FINDINGS]]
    more = len(findings) - len(shown)
    return [*shown, f"{more} more"] if more else shown


def digest_of(plain: Any) -> str:
    """SHA-256 of the canonical JSON, which is what lies in a bundle."""
    return hashlib.sha256(canonical(plain)).hexdigest()


_UNFOLDED: Final[Mapping[str, Any]] = {
    "number": None, "opened_at": None, "closed_at": None, "closed": None, "version": None, "rules_version": None,
    "events": {"count": 0, "digest": digest_of([])}, "policies": [], "calendars": [], "files": {},
}  # fmt: skip


def _events(folded: Refolded) -> dict[str, Any]:
    events = [dump_event(event) for event in folded.events]
    return {"count": len(events), "digest": digest_of(events)}


def facts(folded: Refolded) -> dict[str, Any]:
    """What follows from a history, apart from its events: a record must say the same for ever."""
    state = folded.state
    closed = state.closed
    return {
        "number": state.number,
        "opened_at": format_time(state.opened_at),
        "closed_at": format_time(state.marks["closed"].at) if closed is not None else None,
        # Written out: `dump` would leave out a satisfaction that is the default.
        "closed": {"kind": closed.kind, "satisfaction": closed.satisfaction} if closed is not None else None,
        "version": state.version,
        "rules_version": folded.rules_version,
        "policies": [_named(policy) for policy in _policies(folded)],
        "calendars": list(_calendars(folded)),
        # As they lie in a bundle, so that whoever has one can compare them without knowing what they mean.
        "files": {"policy.json": _policy_file(folded.policy), "calendars.json": _calendars_file(folded.calendars)},
    }


_FILES: Final[dict[str, str]] = {}
"""By the digest of what is in them; there are few, and every issue names them."""


def _policy_file(policy: Policy) -> str:
    if policy.digest not in _FILES:
        _FILES[policy.digest] = digest_of(dump(policy))
    return _FILES[policy.digest]


def _calendars_file(calendars: tuple[YearCalendar, ...]) -> str:
    name = calendars_digest(calendars)
    if name not in _FILES:
        _FILES[name] = digest_of(dump(calendars))
    return _FILES[name]


def _policies(folded: Refolded) -> Iterator[Policy]:
    yield folded.policy
    for event in folded.events:
        if isinstance(event.body, PolicyChanged):
            yield event.body.policy


def _named(policy: Policy) -> dict[str, Any]:
    return {"id": policy.id, "version": policy.version, "digest": policy.digest}


def _calendars(folded: Refolded) -> Iterator[str]:
    """The digest of the set at the start, and of each later one."""
    last = calendars_digest(folded.calendars)
    yield last
    if not any(isinstance(event.body, CalendarPublished) for event in folded.events):
        return
    for found in _sets(state for _, state in folded.states()):
        if found != last:
            last = found
            yield found


def _sets(states: Iterator[Issue]) -> Iterator[str]:
    for state in states:
        yield calendars_digest(state.calendars)
