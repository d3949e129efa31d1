"""The sealed record of an issue: how the issue ended, under which rules and code, and the digests of the files that
prove it.

A record holds nothing personal. It names findings by their place only, since the words of a finding may quote what
people wrote. Verifying the archived history gives those words again at any time.
"""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from audit.case import Finding, Verdict
from audit.refold import Refolded
from domain.events import CalendarPublished, PolicyChanged, dump_event
from domain.issue import calendars_digest
from domain.policy import Policy
from domain.wire import canonical, dump, format_time

FORMAT: Final = 1
MOST_FINDINGS: Final = 50
_HERE: Final = Path(__file__).resolve().parent
_LOCKS: Final = (_HERE.parent / "constraints.txt", _HERE / "constraints.txt")
"""The places of the lock file: in a checkout, and in an installed package."""


@dataclass(frozen=True)
class SealedRun:
    """One run of the issue's workflow: Temporal's id of the run, the SHA-256 of its serialized history, its number of
    history events.
    """

    run: str
    sha256: str
    events: int


@dataclass(frozen=True)
class CodeVersions:
    """The code that replayed an issue: Jiesu's version, the digest of its lock file (None if there is no lock file),
    and the versions of Temporal's SDK and of Python.
    """

    version: str
    lock: str | None
    sdk: str
    python: str


@cache
def code_versions() -> CodeVersions:
    """The versions of the code that this process runs."""
    lock = next((hashlib.sha256(file.read_bytes()).hexdigest() for file in _LOCKS if file.is_file()), None)
    version, sdk = (importlib.metadata.version(name) for name in ("jiesu", "temporalio"))
    return CodeVersions(version, lock, sdk, platform.python_version())


def build(
    runs: Sequence[SealedRun], folded: Refolded | None, verdict: Verdict, code: CodeVersions, now: datetime
) -> dict[str, Any]:
    """The record of an issue. Without `folded`, if the history cannot be folded, the fields that follow from the fold
    are empty or null.
    """
    return {
        "format": FORMAT,
        "issue": verdict.issue,
        "archived_at": format_time(now),
        "runs": list(map(asdict, runs)),
        "code": asdict(code),
        "replay": {"holds": verdict.holds, "commands": verdict.commands, "findings": places(verdict.findings)},
        **(_UNFOLDED if folded is None else {"events": _events(folded), **facts(folded)}),
    }


def places(findings: Sequence[Finding]) -> list[str]:
    """The places of the first MOST_FINDINGS findings as ``step: where``; if there are more, one last text says how
    many.
    """
    shown = [f"{each.step}: {each.where}" for each in findings[:MOST_FINDINGS]]
    more = len(findings) - len(shown)
    return [*shown, f"{more} more"] if more else shown


def digest_of(plain: Any) -> str:
    """SHA-256 of a plain value in canonical JSON, which is also the form of the value's file in a bundle."""
    return hashlib.sha256(canonical(plain)).hexdigest()


_UNFOLDED: Final[Mapping[str, Any]] = {
    "number": None, "opened_at": None, "closed_at": None, "closed": None, "version": None, "rules_version": None,
    "events": {"count": 0, "digest": digest_of([])}, "policies": [], "calendars": [], "files": {},
}  # fmt: skip


def _events(folded: Refolded) -> dict[str, Any]:
    events = [dump_event(event) for event in folded.events]
    return {"count": len(events), "digest": digest_of(events)}


def facts(folded: Refolded) -> dict[str, Any]:
    """The fields of a record that follow from the history, apart from the events. Folding the same history gives the
    same fields at any later time.
    """
    state = folded.state
    closed = state.closed
    return {
        "number": state.number,
        "opened_at": format_time(state.opened_at),
        "closed_at": format_time(state.marks["closed"].at) if closed is not None else None,
        # Not `dump`, which would leave out a satisfaction that is the default.
        "closed": {"kind": closed.kind, "satisfaction": closed.satisfaction} if closed is not None else None,
        "version": state.version,
        "rules_version": folded.rules_version,
        "policies": [{"id": it.id, "version": it.version, "digest": it.digest} for it in _policies(folded)],
        "calendars": _calendars(folded),
        # The files of a bundle, so that its owner can compare them without interpreting them.
        "files": {
            "policy.json": _file(folded.policy.digest, folded.policy),
            "calendars.json": _file(calendars_digest(folded.calendars), folded.calendars),
        },
    }


_FILES: Final[dict[str, str]] = {}
"""A cache: the digest of a policy or of calendars -> the digest of its file in a bundle. There are few of them, and
every issue names some.
"""


def _file(digest: str, value: object) -> str:
    if digest not in _FILES:
        _FILES[digest] = digest_of(dump(value))
    return _FILES[digest]


def _policies(folded: Refolded) -> Iterator[Policy]:
    yield folded.policy
    for event in folded.events:
        if isinstance(event.body, PolicyChanged):
            yield event.body.policy


def _calendars(folded: Refolded) -> list[str]:
    """The digests of the issue's calendars: those at the start, then each later set of calendars."""
    found = [calendars_digest(folded.calendars)]
    if any(isinstance(event.body, CalendarPublished) for event in folded.events):
        for _, state in folded.states():
            if (digest := calendars_digest(state.calendars)) != found[-1]:
                found.append(digest)
    return found
