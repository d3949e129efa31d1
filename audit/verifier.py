"""Checks a bundle of archived issues without trusting, or needing, the system that exported it.

    python verifier.py BUNDLE --key VKEY [--head FILE]...

VKEY is the log's first public key, known from elsewhere: a printed page, a notary, a newspaper. Each FILE is a signed
tree head that you kept; the bundle must belong to the same log. Needs Python 3.10 and the package `cryptography`.
Each line states what must hold, and whether it does. Exit code: 0 all of it holds, 1 something does not (FAILED),
2 something cannot be used (UNUSABLE) and nothing failed.

It shows that each record was in the log when a head was signed, that the files are those that the records name, and
that the log has only grown since a head that you kept. It does not show that a record was true when it was made, nor
that an outcome follows from the rules: `jiesu audit` runs the rules again over the same histories.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST = 256 * 1024 * 1024  # bytes of a file; Temporal ends a history at 50 MB
SIZE = re.compile("0|[1-9][0-9]{0,18}")
TIME = re.compile("time ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z)")  # sorts as text


class Unusable(Exception):
    """The input cannot be checked at all; the message names the file."""


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes
    since: str  # the time of the rotation that introduced it; empty for the first

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}"


class Head(NamedTuple):
    size: int
    root: bytes
    time: str


class Note(NamedTuple):
    text: str
    lines: list[str]
    signatures: list[tuple[str, bytes]]  # the key's name; its id and the signature

    def signed_by(self, key: Key) -> bool:
        found = [data[4:] for name, data in self.signatures if (name, data[:4]) == (key.name, key.id)]
        try:
            for signature in found:
                Ed25519PublicKey.from_public_bytes(key.public).verify(signature, self.text.encode())
        except (InvalidSignature, ValueError):
            return False
        return bool(found)


class Report:
    def __init__(self, *, quiet: bool = False) -> None:
        self.passed = self.failed = self.unusable = 0
        self.quiet = quiet

    def say(self, line: str) -> None:
        if not self.quiet:
            sys.stdout.write(line + "\n")

    def check(self, holds: bool, where: str, what: str) -> bool:
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)
        self.say(f"{'ok      ' if holds else 'FAILED  '} {where}: {what}")
        return holds

    @contextmanager
    def section(self) -> Generator[None]:
        """A part of the report. If an input in it is unusable, only this part ends, so that the later parts are still
        checked.
        """
        try:
            yield
        except Unusable as error:
            self.unusable += 1
            self.say(f"UNUSABLE {error}")


# The mathematics: RFC 9162, sections 2.1.1, 2.1.3.2 and 2.1.4.2.


def leaf(salt: bytes, record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + hashlib.sha256(salt + record).digest()).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def included(index: int, size: int, hashed: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    at, last = index, size - 1
    if not 0 <= at <= last:
        return False
    for sibling in proof:
        if last == 0:
            return False
        if at % 2 or at == last:
            hashed = node(sibling, hashed)
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            hashed = node(hashed, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and hashed == root


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    if old == new:
        return not proof and old_root == new_root
    if old == 0:  # an empty log is the beginning of every log
        return not proof and old_root == hashlib.sha256().digest()
    if not 0 < old < new or not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    at, last = old - 1, new - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            before, after = node(sibling, before), node(sibling, after)
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            after = node(after, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


# Reading, with suspicion.


def read(root: Path, name: str) -> bytes:
    """The bytes of a file within the folder. Refuses names and links that lead out of the folder."""
    if not name.isprintable() or "\\" in name or {"", ".", ".."} & set(name.split("/")):
        raise Unusable(f"{name!r}: not the name of a file in the bundle")
    path = root / name
    try:
        if not path.resolve(strict=True).is_relative_to(root.resolve()) or not path.is_file():
            raise Unusable(f"{name}: not a file in the bundle")
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except (OSError, RuntimeError) as error:
        raise Unusable(f"{name}: cannot be read: {getattr(error, 'strerror', error)}") from None
    if len(data) > MOST:
        raise Unusable(f"{name}: larger than {MOST} bytes")
    return data


def listing(root: Path, folder: str = "") -> set[str]:
    """The names of all files in the bundle, or in a folder of it; links count as files and are not followed."""
    found = (root / folder).rglob("*")
    return {path.relative_to(root).as_posix() for path in found if path.is_symlink() or not path.is_dir()}


def same(data: bytes, digest: Any) -> bool:
    return hashlib.sha256(data).hexdigest() == digest


def read_json(root: Path, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):  # two readers could see two values
            raise ValueError("the same name twice")
        return dict(pairs)

    try:
        return json.loads(read(root, name).decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{name}: not usable as JSON: {error}") from None


def take(document: Any, file: str, name: str, kind: type) -> Any:
    value = cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Unusable(f"{file}: {name!r} is missing, or no {kind.__name__}")
    return value


def unhex(value: Any, file: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise Unusable(f"{file}: a hash, or a salt, is not 64 hexadecimal digits")
    return bytes.fromhex(value)


def unbase64(text: str, file: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Unusable(f"{file}: not base64") from None


def parse_key(text: str, file: str, since: str = "") -> Key:
    name, _, rest = text.strip().partition("+")
    hint, _, encoded = rest.partition("+")
    data = unbase64(encoded, file)
    key = Key(name, hashlib.sha256(name.encode() + b"\n" + data).digest()[:4], data[1:], since)
    if not name.isprintable() or len(data) != 33 or data[0] != 1 or key.id.hex() != hint:
        raise Unusable(f"{file}: not an Ed25519 key such as name+hash+base64")
    return key


def read_note(root: Path, name: str) -> Note:
    """Reads a signed note from a file: a text, a blank line, and signature lines (c2sp.org/signed-note)."""
    try:  # around the signed text is what a scanner of codes, or an editor, may have changed
        whole = read(root, name).decode().replace("\r\n", "\n").rstrip()
    except UnicodeDecodeError:
        raise Unusable(f"{name}: not UTF-8") from None
    text, blank, below = whole.rpartition("\n\n")
    found = [re.fullmatch("— ([^ ]+) ([^ ]+)", line) for line in below.split("\n")]
    if not blank or not all(found):
        raise Unusable(f"{name}: not a signed note, or cut off")
    return Note(text + "\n", text.split("\n"), [(each[1], unbase64(each[2], name)) for each in found if each])


# The checks.


def follow(root: Path, count: int, keys: list[Key], report: Report) -> None:
    """Adds to the first key the keys that replaced it. Each must have a statement that both the previous and the new
    key signed.
    """
    for number in range(1, count + 1):
        name, old = f"rotations/{number:04}.txt", keys[-1]
        note = read_note(root, name)
        time = TIME.fullmatch(note.lines[-1])
        if len(note.lines) != 3 or note.lines[0] != f"{old.name}/rotation" or time is None:
            raise Unusable(f"{name}: not a rotation of {old.name}")
        new = parse_key(note.lines[1], name, time[1])
        signed = new.name == old.name and new.since > old.since and note.signed_by(old) and note.signed_by(new)
        if not report.check(signed, name, f"signed by {old} and by {new}, which follows it from {new.since} on"):
            return
        keys.append(new)


def check_head(root: Path, name: str, keys: list[Key], report: Report) -> Head | None:
    note = read_note(root, name)
    time = TIME.fullmatch(note.lines[-1])
    if len(note.lines) != 4 or not SIZE.fullmatch(note.lines[1]) or time is None:
        raise Unusable(f"{name}: not a tree head")
    head = Head(int(note.lines[1]), unbase64(note.lines[2], name), time[1])
    key = [key for key in keys if key.since <= head.time][-1]
    signed = note.lines[0] == key.name and note.signed_by(key)
    what = f"head of {head.size} issues at {head.time}, signed by {key}, the key of that time"
    return head if report.check(signed, name, what) else None


def check_growth(root: Path, names: set[str], where: str, one: Head, other: Head, report: Report) -> None:
    old, new = sorted((one, other), key=lambda head: head.size)
    proof: list[bytes] = []
    if 0 < old.size < new.size:
        name = f"proofs/consistency/{old.size}-{new.size}.json"
        if name not in names:
            report.check(False, where, f"the log of {new.size} continues that of {old.size}: there is no {name}")
            return
        document = read_json(root, name)
        proof = [unhex(each, name) for each in take(document, name, "proof", list)]
        if (take(document, name, "old", int), take(document, name, "new", int)) != (old.size, new.size):
            raise Unusable(f"{name}: for other sizes than its name says")
    holds = consistent(old.size, new.size, old.root, new.root, proof)
    holds = holds and (old.size == new.size or old.time <= new.time)
    report.check(holds, where, f"the log of {new.size} ({new.time}) continues that of {old.size} ({old.time})")


def check_issue(root: Path, issue: str, heads: dict[int, Head], report: Report) -> None:
    folder = f"issues/{issue}/"
    recorded, sealed = folder + "record.json", folder + "seal.json"
    record, seal = read_json(root, recorded), read_json(root, sealed)
    own = take(record, recorded, "format", int) == 1 and take(record, recorded, "issue", str) == issue
    report.check(own, recorded, f"the record, format 1, of issue {issue}")
    position, size = take(seal, sealed, "position", int), take(seal, sealed, "size", int)
    hashed = leaf(unhex(seal.get("salt"), sealed), read(root, recorded))
    proof = [unhex(each, sealed) for each in take(seal, sealed, "proof", list)]
    if report.check(size in heads, sealed, f"there is a signed head of {size} issues"):
        holds = included(position, size, hashed, proof, heads[size].root)
        report.check(holds, sealed, f"record and salt are number {position} of the {size}")

    events = take(record, recorded, "events", dict)
    digests = {**take(record, recorded, "files", dict), "events.json": take(events, recorded, "digest", str)}
    for number, run in enumerate(take(record, recorded, "runs", list)):
        digests[name := f"history/{number}.pb"] = take(run, recorded, "sha256", str)
        with report.section():
            count = take(run, recorded, "events", int)
            report.check(count_events(read(root, folder + name)) == count, folder + name, f"holds {count} events")
    for name, digest in digests.items():
        with report.section():
            report.check(same(read(root, folder + name), digest), folder + name, "the file that the record names")
    with report.section():
        listed = read_json(root, folder + "events.json")
        holds = isinstance(listed, list) and len(cast("list[Any]", listed)) == take(events, recorded, "count", int)
        report.check(holds, folder + "events.json", "holds as many events as the record says")
    for name in sorted(listing(root, folder) - {recorded, sealed} - {folder + name for name in digests}):
        report.check(False, ascii(name), "a file that the record names: it is under no seal")


def count_events(history: bytes) -> int:
    """The number of events in a serialized history, -1 if it is malformed. Each event is a byte 0x0A, its length as a
    varint, and so many bytes.
    """
    at = count = 0
    while at < len(history):
        varint = re.compile(rb"\x0a([\x80-\xff]{0,4}[\x00-\x7f])", re.DOTALL).match(history, at)
        if varint is None:
            return -1
        at = varint.end() + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(varint[1]))
        count += 1
    return count if at == len(history) else -1


def verify(root: Path, vkey: str | None, kept: Sequence[str], report: Report) -> None:
    index = read_json(root, "bundle.json")
    if take(index, "bundle.json", "format", int) != 1:
        raise Unusable("bundle.json: not of format 1, the one that this verifier knows")
    files, issues = take(index, "bundle.json", "files", dict), take(index, "bundle.json", "issues", list)
    if not all(isinstance(issue, str) for issue in issues):
        raise Unusable("bundle.json: an issue's id is no text")
    keys = [parse_key(vkey, "--key") if vkey else parse_key(read(root, "key.txt").decode(errors="replace"), "key.txt")]
    for name, digest in files.items():
        with report.section():
            report.check(same(read(root, name), digest), name, "the file that bundle.json names")
    # What whoever made the bundle wrote himself; the rest is under a seal, a signature or a proof.
    names, folders = listing(root), {f"issues/{issue}" for issue in issues}
    for name in sorted(names - {"bundle.json"}):
        if name not in files or (name.startswith("issues/") and "/".join(name.split("/")[:2]) not in folders):
            report.check(False, ascii(name), "a file of the bundle, or of an issue, that bundle.json names")
    loose = ", ".join(ascii(name) for name in sorted(names) if "/" not in name)
    report.say(f"NOTE     proven by nothing outside this bundle: {loose}")

    with report.section():
        follow(root, sum(name.startswith("rotations/") for name in names), keys, report)
    heads: dict[int, Head] = {}
    for name in sorted(name for name in names if name.startswith("heads/")):
        with report.section():
            if head := check_head(root, name, keys, report):
                report.check(name == f"heads/{head.size}.txt", name, f"named after its size, {head.size}")
                heads[head.size] = head
    if report.check(bool(heads), "heads", "hold a signed tree head"):
        newest = heads[max(heads)]
        for head in heads.values():
            with report.section():
                if head is not newest:
                    check_growth(root, names, f"heads/{head.size}.txt", head, newest, report)
        for file in kept:
            with report.section():
                path = Path(file)
                if head := check_head(path.parent, path.name, keys, report):
                    if head.size > newest.size:  # an older bundle, or a log that was cut short
                        report.check(
                            False,
                            file,
                            f"the bundle, of {newest.size} issues, is no older than this head: ask for a newer one",
                        )
                    else:
                        check_growth(root, names, file, head, newest, report)
    for issue in issues:
        with report.section():
            check_issue(root, issue, heads, report)


def main(arguments: Sequence[str] | None = None, *, quiet: bool = False) -> int:
    parser = argparse.ArgumentParser(description="Checks an exported bundle of archived issues.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", help="the log's first public key, known from elsewhere")
    parser.add_argument("--head", action="append", default=[], metavar="FILE", help="a tree head that you kept")
    given = parser.parse_args(arguments)
    with suppress(AttributeError):  # whatever a name holds, a terminal can show it
        cast("Any", sys.stdout).reconfigure(errors="backslashreplace")
    report = Report(quiet=quiet)
    with report.section():
        verify(given.bundle, given.key, given.head, report)
    if not given.key:
        report.say("NOTE     without --key the bundle vouches for itself: take the key from elsewhere")
    report.say(f"{report.passed} ok, {report.failed} FAILED, {report.unusable} unusable")
    return 1 if report.failed else 2 if report.unusable else 0


if __name__ == "__main__":
    sys.exit(main())
