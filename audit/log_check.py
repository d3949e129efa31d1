"""Checks that the log is the one whose heads were published: no leaf was removed, inserted, moved or replaced."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from audit.case import Finding, Leaf
from audit.log import SignedHead
from audit.log_keys import TrustedKeys
from audit.merkle import Tree
from audit.notes import NoteError, TreeHead, parse, signed_by, split


class LogMismatchError(RuntimeError):
    """The log is not the one whose head was published; the message says how they differ."""


UNPINNED: Final = "the key is the one beside the heads: whoever wrote them could have made it, so pin it from elsewhere"


_NAME: Final = re.compile(r"(?P<size>\d{1,18})-\d{8}T\d{6}Z\.txt")
"""The name of a published head's file; other files in the folder of heads are ignored."""


def published_heads(folder: Path) -> dict[str, str]:
    """The notes of the published heads in a folder, by file name."""
    files = sorted(file for file in folder.glob("*.txt") if _NAME.fullmatch(file.name))
    return {file.name: file.read_text("utf-8", "replace") for file in files}


def largest_published(folder: Path) -> int:
    """The largest size of the log that the file name of a published head gives, 0 if no head was published."""
    found = (_NAME.fullmatch(file.name) for file in folder.glob("*.txt"))
    return max((int(name["size"]) for name in found if name), default=0)


def check_log(
    leaves: Sequence[Leaf], stored: Sequence[str], outside: Mapping[str, str], trust: TrustedKeys | None
) -> Iterator[Finding]:
    """Checks the log against its published heads.

    `leaves` are in order of position, `stored` are the notes of heads in SQL, `outside` the published notes by file
    name. Without `trust` (the log's public keys) no head can be verified, which gives a finding for each head.
    """
    yield from _positions(leaves)
    tree = Tree(leaf.leaf for leaf in leaves)
    for name, note in outside.items():
        if trust is None:
            yield Finding("head", None, f"head {name}", "there is no key to check it by")
        else:
            yield from check_head(name, note, tree, trust)
    held = set(stored)
    for name, note in outside.items():
        with contextlib.suppress(NoteError):
            if _NAME.fullmatch(name) and name != f"{name_of(parse(note)[0])}.txt":
                yield Finding("head", None, f"head {name}", "it is of another size or time than its name says")
        if note not in held:
            yield Finding("head", None, f"head {name}", "SQL does not hold this head, or another one in its place")
    known = set(outside.values())
    for note in stored:
        if note not in known:
            yield Finding("head", None, f"head {_first_lines(note)}", "SQL holds a head that was never put outside")


def check_head(name: str, note: str, tree: Tree, trust: TrustedKeys) -> Iterator[Finding]:
    """Checks one published head: that the log's key of its time signed it, and that the log still begins with the
    leaves that the head covers.
    """
    where = f"head {name}"
    try:
        head, signatures = parse(note)
        text, _ = split(note)
    except NoteError as error:
        yield Finding("head", None, where, f"it is no head: {error}")
        return
    key = trust.key_at(head.at)
    if not signed_by(text, signatures, key):
        yield Finding("head", None, where, f"it is not signed by {key.name}+{key.id.hex()}, the log's key at its time")
    if head.size > len(tree):
        what = f"the log was rolled back: it had {head.size} issues at {head.at}, and has {len(tree)}"
        yield Finding("head", None, where, what)
    elif tree.root(head.size) != head.root:
        yield Finding(
            "head", None, where, f"the first {head.size} issues of the log are not those that it had at {head.at}"
        )


def tree_of(leaves: Sequence[Leaf], head: TreeHead) -> Tree:
    """The tree over the leaves that a head covers. Raises LogMismatchError if there are too few leaves, or their root
    differs from the head's.
    """
    if len(leaves) < head.size:
        raise LogMismatchError(
            f"the log has {len(leaves)} issues, and a head of {head.size} was published: verify it first"
        )
    tree = Tree(leaf.leaf for leaf in leaves[: head.size])
    if tree.root() != head.root:
        raise LogMismatchError(
            f"the log is not the one whose head of {head.size} issues was published: verify it first"
        )
    return tree


def newest_head(notes: Iterable[str]) -> tuple[TreeHead, str] | None:
    """The newest of the heads in the notes, with its note: the head of the largest size, among several of that size the
    latest. None without a head; notes that are no heads are skipped.
    """
    heads: list[tuple[TreeHead, str]] = []
    for note in notes:
        try:
            heads.append((parse(note)[0], note))
        except NoteError:
            continue
    return max(heads, key=lambda each: (each[0].size, each[0].at), default=None)


def name_of(head: "TreeHead | SignedHead") -> str:
    """The name of a head's files without their ending, such as ``1204-20261124T160500Z``: the size of the log and the
    time.
    """
    return f"{head.size}-{head.at:%Y%m%dT%H%M%SZ}"


def _positions(leaves: Sequence[Leaf]) -> Iterator[Finding]:
    for expected, leaf in enumerate(leaves):
        if leaf.position != expected:
            yield Finding("seal", None, f"leaf {expected}", f"leaf {leaf.position} stands here")
            return


def _first_lines(note: str) -> str:
    return " ".join(note.splitlines()[1:2])[:40] or "without text"
