"""Bundles: folders with everything that a person who trusts nobody needs to verify issues offline.

`audit.verifier`, which is copied into each bundle, verifies seals, proofs and files without any other code of Jiesu.
`check` in this module replays and folds the histories in a bundle.
"""

import asyncio
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from audit.archive import ArchiveError
from audit.case import ArchivedCase, Leaf, Verdict
from audit.holdings import Holdings, NotYetError, fold_case
from audit.log_check import newest_head, published_heads, tree_of
from audit.log_keys import FIRST, ROTATIONS
from audit.merkle import Tree, commitment, leaf_hash
from audit.notes import NoteError, TreeHead, parse
from audit.verify import verify
from domain.events import dump_event
from domain.wire import canonical, dump

HERE: Final = Path(__file__).resolve().parent
_README: Final = HERE / "bundle_readme.md"
_VERIFIER: Final = HERE / "verifier.py"
_NAME: Final = re.compile("[0-9A-Za-z_-]{1,200}")


class BundleError(RuntimeError):
    """A bundle cannot be made or read; the message names the issue or the file."""


@dataclass(frozen=True)
class _Log:
    """The log up to its newest published head: the tree of the leaves that this head covers, the head with its note,
    and the notes of all published heads by file name.
    """

    tree: Tree
    head: TreeHead
    note: str
    notes: Mapping[str, str]


async def export(holdings: Holdings, issues: Sequence[str], heads: Path, target: Path) -> int:
    """Writes a bundle of the issues into a new folder; returns the number of issues.

    The folder appears complete or not at all. Raises BundleError (also for an issue that was sealed after the newest
    published head), LogMismatchError, ArchiveError.
    """
    log = await _log(holdings, await asyncio.to_thread(published_heads, heads))
    draft = _draft(target)
    try:
        for issue in issues:
            await asyncio.to_thread(_put_issue, draft, await holdings.case(issue), log)
        _put_log(draft, log, heads)
        _finish(draft, target, issues)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return len(issues)


async def check(bundle: Path) -> list[Verdict]:
    """The verdicts of strict replay on the issues of a bundle. Seals and proofs are not checked here but by
    `audit.verifier`. Raises BundleError.
    """
    issues = _json(bundle, "bundle.json").get("issues")
    if not isinstance(issues, list):
        raise BundleError("bundle.json names no issues")
    return await verify([_case(bundle, str(issue)) for issue in cast("list[Any]", issues)])


def _draft(target: Path) -> Path:
    if target.exists():
        raise BundleError(f"{target} is there already")
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))


def _finish(draft: Path, target: Path, issues: Sequence[str]) -> None:
    shutil.copyfile(_README, draft / "README.md")
    shutil.copyfile(_VERIFIER, draft / "verifier.py")
    _put(draft / "bundle.json", {"format": 1, "issues": list(issues), "files": _digests(draft)})
    draft.chmod(0o755)
    draft.rename(target)


def _case(bundle: Path, issue: str) -> ArchivedCase:
    folder = f"issues/{issue}"
    record, seal = _json(bundle, f"{folder}/record.json"), _json(bundle, f"{folder}/seal.json")
    unread: list[str] = []
    runs: list[bytes] = []
    sealed = record.get("runs")
    for n in range(len(cast("list[Any]", sealed)) if isinstance(sealed, list) else 0):
        try:
            runs.append(_inside(bundle, f"{folder}/history/{n}.pb").read_bytes())
        except OSError as error:
            unread.append(f"run {n} cannot be read: {error.strerror}")
    try:
        salt = bytes.fromhex(seal["salt"])
        leaf = Leaf(seal["position"], leaf_hash(commitment(salt, canonical(record))), salt, record)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder}/seal.json: {error}") from None
    return ArchivedCase(issue, tuple(runs), leaf, kept=leaf.seal(), unread=tuple(unread))


def _put_issue(bundle: Path, case: ArchivedCase, log: _Log) -> None:
    leaf = case.leaf
    if not _NAME.fullmatch(case.issue):
        raise BundleError(f"{case.issue!r} cannot name a folder")
    if leaf is None:
        raise NotYetError("not-sealed", issue=case.issue)
    if leaf.record is None or leaf.salt is None:
        raise NotYetError("content-erased", issue=case.issue)
    if leaf.position >= log.head.size:
        raise NotYetError("sealed-after-head", issue=case.issue)
    if case.unread:
        raise ArchiveError(f"issue {case.issue}: {case.unread[0]}")
    folder = bundle / "issues" / case.issue
    (folder / "history").mkdir(parents=True)
    for n, run in enumerate(case.runs):
        (folder / "history" / f"{n}.pb").write_bytes(run)
    (folder / "record.json").write_bytes(canonical(leaf.record))
    proof = [each.hex() for each in log.tree.inclusion_proof(leaf.position, log.head.size)]
    _put(
        folder / "seal.json",
        {"position": leaf.position, "salt": leaf.salt.hex(), "size": log.head.size, "proof": proof},
    )
    try:
        folded = fold_case(case)
    except (ArchiveError, ValueError) as error:
        raise ArchiveError(f"issue {case.issue}: {error}") from None
    _put(folder / "events.json", [dump_event(event) for event in folded.events])
    _put(folder / "policy.json", dump(folded.policy))
    _put(folder / "calendars.json", dump(folded.calendars))


def _put_log(bundle: Path, log: _Log, heads: Path) -> None:
    """Writes the published heads, the log's first key, the rotations, and the proofs that the log has only grown."""
    (bundle / "heads").mkdir()
    sizes: set[int] = set()
    for note in log.notes.values():
        head, _ = parse(note)
        if head.size <= log.head.size:
            sizes.add(head.size)
            (bundle / "heads" / f"{head.size}.txt").write_text(note, "utf-8")
    (bundle / "heads" / f"{log.head.size}.txt").write_text(log.note, "utf-8")
    shutil.copyfile(heads / FIRST, bundle / FIRST)
    for statement in sorted((heads / ROTATIONS).glob("*.txt")):
        (bundle / ROTATIONS).mkdir(exist_ok=True)
        shutil.copyfile(statement, bundle / ROTATIONS / statement.name)
    proofs = bundle / "proofs" / "consistency"
    proofs.mkdir(parents=True)
    for old in sorted(sizes - {0, log.head.size}):
        proof = [each.hex() for each in log.tree.consistency_proof(old, log.head.size)]
        _put(proofs / f"{old}-{log.head.size}.json", {"old": old, "new": log.head.size, "proof": proof})


async def _log(holdings: Holdings, notes: Mapping[str, str]) -> _Log:
    for name, note in notes.items():
        try:
            parse(note)
        except NoteError as error:
            raise BundleError(f"head {name}: {error}") from None
    found = newest_head(notes.values())
    if found is None:
        raise NotYetError("no-head")
    head, note = found
    return _Log(tree_of(await holdings.leaves(head.size), head), head, note, notes)


def _digests(bundle: Path) -> dict[str, str]:
    files: Iterable[Path] = (path for path in sorted(bundle.rglob("*")) if path.is_file())
    return {path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _put(file: Path, plain: Any) -> None:
    file.write_bytes(canonical(plain))


def _json(bundle: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_inside(bundle, name).read_bytes())
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BundleError(f"{name} is no JSON object")
    return cast("dict[str, Any]", found)


def _inside(bundle: Path, name: str) -> Path:
    path = (bundle / name).resolve()
    if not path.is_relative_to(bundle.resolve()):
        raise BundleError(f"{name!r} leads out of the bundle")
    return path
