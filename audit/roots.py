"""The signing roots: the roots of trust by which the keys that sign commands are certified (not the roots of the Merkle
log).

Each signing root is published in a statement that the log's key signs. If an issue names a signing root without a
statement, then it was not the API that started the issue.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from audit.case import Finding, Verdict
from audit.log_keys import LogKeys, TrustedKeys
from audit.notes import NoteError, parse_time_line, sign_text, signed_by, split
from domain.wire import format_time
from runtime.files import put_new

FOLDER: Final = "roots"
_NAME: Final = re.compile(r"[0-9A-Za-z_-]{43}")


def publish_roots(keys: LogKeys, folder: Path, roots: Iterable[str], now: datetime) -> None:
    """Writes a signed statement for each signing root into the folder of heads, unless the root has one there. Raises
    LogKeysError, OSError.
    """
    signer, at = keys.signer, max(filter(None, [now, keys.since]))  # not before its key
    for root in roots:
        path = folder / FOLDER / f"{root}.txt"
        if path.exists():
            continue
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        put_new(path, sign_text(f"{keys.name}\nroot {root}\ntime {format_time(at)}\n", [signer]).encode())


def statements(folder: Path, trust: TrustedKeys) -> list[str]:
    """The signed statements in the folder as texts, to be sent to organisations that keep them elsewhere. Raises
    OSError.
    """
    published, _ = read_roots(folder, trust)
    return [(folder / FOLDER / f"{root}.txt").read_text("utf-8") for root in published]


def read_roots(folder: Path, trust: TrustedKeys | None) -> tuple[Mapping[str, datetime], list[Finding]]:
    """The published signing roots, each with the time of its statement; and a finding for each statement that cannot be
    used.
    """
    published: dict[str, datetime] = {}
    found: list[Finding] = []
    for path in sorted((folder / FOLDER).glob("*.txt")):
        try:
            root, since = _read(path.read_text("utf-8", "replace"), trust)
            if root != path.stem:
                raise NoteError("it is of another root than its name says")  # noqa: TRY301
            published[root] = since
        except NoteError as error:
            found.append(Finding("head", None, f"root {path.stem}", str(error)))
    return published, found


def check_root(verdict: Verdict, published: Mapping[str, datetime] | None) -> Verdict:
    """The verdict, with a finding added if the issue names a signing root that was never published: then the API did
    not start it.

    Without published signing roots (None) the verdict stays as it is.
    """
    if published is None or not verdict.root or verdict.root in published:
        return verdict
    what = f"it was begun under root {verdict.root}, which nobody has told of"
    return replace(verdict, findings=(*verdict.findings, Finding("head", verdict.issue, "report", what)))


def _read(note: str, trust: TrustedKeys | None) -> tuple[str, datetime]:
    text, signatures = split(note)
    lines = text.removesuffix("\n").split("\n")
    if len(lines) != 3 or not lines[1].startswith("root ") or not _NAME.fullmatch(lines[1][5:]):
        raise NoteError("not three lines that tell of a root")
    since = parse_time_line(lines[2], "line 3")
    if trust is None:
        raise NoteError("there is no key to check it by")
    key = trust.key_at(since)
    if lines[0] != key.name or not signed_by(text, signatures, key):
        raise NoteError(f"it is not signed by {key.name}+{key.id.hex()}, the log's key at its time")
    return lines[1][5:], since
