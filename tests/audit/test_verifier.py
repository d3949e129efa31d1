"""The stand-alone verifier: it passes a genuine bundle, names each fault, and never ends with a traceback."""

import ast
import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.history.v1 import History, HistoryEvent

from audit import notes, verifier
from audit.log_keys import LogKeys
from audit.merkle import Tree, commitment, leaf_hash
from audit.notes import NoteSigner, TreeHead
from domain.wire import canonical

NAME = "city.example/jiesu"
DAY = datetime(2026, 11, 24, 16, tzinfo=UTC)
SIZES = (3, 5, 7)
"""Of the log on three days; between the second and the third the key was changed."""
EXPORTED = (2, 5)
Tamper = Callable[["World"], None]


def history(issue: int, run: int, events: int) -> bytes:
    made = [HistoryEvent(event_id=n + 1, task_id=issue * 1000 + run, version=n * n) for n in range(events)]
    return History(events=made).SerializeToString(deterministic=True)


def issue_files(number: int) -> dict[str, bytes]:
    """The files of an issue with its record; the second run is long enough for a length of three bytes."""
    files = {"events.json": canonical([{"seq": 1, "kind": "reported"}, {"seq": 2, "kind": "closed", "n": number}])}
    files["policy.json"] = canonical({"id": "demo", "version": "1"})
    files["calendars.json"] = canonical([])
    runs = [history(number, 0, 4), history(number, 1, 300)]
    record = {
        "format": 1,
        "issue": f"issue-{number}",
        "runs": [
            {"run": f"run-{n}", "sha256": sha(run), "events": len(History.FromString(run).events)}
            for n, run in enumerate(runs)
        ],
        "events": {"count": 2, "digest": sha(files["events.json"])},
        "files": {name: sha(data) for name, data in files.items() if name != "events.json"},
        "verdict": "一致",
    }
    return files | {f"history/{n}.pb": run for n, run in enumerate(runs)} | {"record.json": canonical(record)}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def salt(number: int) -> bytes:
    return hashlib.sha256(f"salt {number}".encode()).digest()


def log(issues: list[dict[str, bytes]]) -> Tree:
    return Tree(leaf_hash(commitment(salt(n), files["record.json"])) for n, files in enumerate(issues))


@dataclass
class World:
    """A bundle in a folder, the key and the head that its auditor holds, and what a tamperer may hold."""

    root: Path
    vkey: str
    kept: Path
    keys: list[NoteSigner]
    tree: Tree
    args: list[str] = dataclasses.field(default_factory=list)

    def read(self, name: str) -> Any:
        return json.loads((self.root / name).read_bytes())

    def write(self, name: str, value: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else canonical(value)
        )

    def edit(self, name: str, **changes: Any) -> None:
        self.write(name, self.read(name) | changes)

    def cover(self) -> None:
        """Makes bundle.json name what is there, as whoever alters a bundle would."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        names = {path.relative_to(self.root).as_posix(): path for path in files}
        self.edit("bundle.json", files={n: sha(p.read_bytes()) for n, p in names.items() if n != "bundle.json"})

    def reseal(self, number: int, **changes: Any) -> None:
        """What only the log itself could do: a record that says something else, in a log of its own, signed anew."""
        folder = f"issues/issue-{number}"
        self.edit(f"{folder}/record.json", **changes)
        record = (self.root / folder / "record.json").read_bytes()
        issues = [issue_files(n) for n in range(SIZES[-1])]
        issues[number] |= {"record.json": record}
        self.tree = log(issues)
        for each in EXPORTED:
            proof = [node.hex() for node in self.tree.inclusion_proof(each)]
            self.edit(f"issues/issue-{each}/seal.json", proof=proof)
        for day in range(len(SIZES)):
            self.write(f"heads/{SIZES[day]}.txt", self.head(day))
        for old in SIZES[:-1]:
            proof = [node.hex() for node in self.tree.consistency_proof(old)]
            self.edit(f"proofs/consistency/{old}-{SIZES[-1]}.json", proof=proof)

    def head(self, day: int, signer: NoteSigner | None = None, **changes: Any) -> str:
        size = SIZES[day]
        head = TreeHead(NAME, size, self.tree.root(size), DAY + timedelta(days=day))
        return notes.sign(dataclasses.replace(head, **changes), [signer or self.keys[day == 2]])

    def run(self, *arguments: str) -> int:
        return verifier.main(
            [str(self.root), *(arguments or ("--key", self.vkey, "--head", str(self.kept))), *self.args]
        )


def build(folder: Path) -> World:
    issues = [issue_files(number) for number in range(SIZES[-1])]
    tree = log(issues)
    ring = LogKeys.create(folder / "keys", NAME)
    keys = [ring.signer]
    rotated = ring.rotate(DAY + timedelta(days=1, hours=1))
    world = World(folder / "bundle", str(ring.first_vkey), folder / "kept.txt", [*keys, rotated.signer], tree)
    world.root.mkdir()
    world.write("README.md", "how to verify")
    world.write("key.txt", f"{ring.first_vkey}\n")
    shutil.copy(verifier.__file__, world.root / "verifier.py")
    for day, size in enumerate(SIZES):
        world.write(f"heads/{size}.txt", world.head(day))
    world.write("rotations/0001.txt", rotated.rotations[0].text)
    for old in SIZES[:-1]:
        proof = [node.hex() for node in tree.consistency_proof(old)]
        world.write(f"proofs/consistency/{old}-{SIZES[-1]}.json", {"old": old, "new": SIZES[-1], "proof": proof})
    for number in EXPORTED:
        for name, data in issues[number].items():
            world.write(f"issues/issue-{number}/{name}", data)
        proof = [node.hex() for node in tree.inclusion_proof(number)]
        seal = {"position": number, "salt": salt(number).hex(), "size": SIZES[-1], "proof": proof}
        world.write(f"issues/issue-{number}/seal.json", seal)
    world.write("bundle.json", {"format": 1, "issues": [f"issue-{number}" for number in EXPORTED], "files": {}})
    world.cover()
    world.kept.write_text(world.head(0), encoding="utf-8")
    return world


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("original"))


@pytest.fixture
def world(original: World, tmp_path: Path) -> World:
    shutil.copytree(original.root, tmp_path / "bundle")
    shutil.copy(original.kept, tmp_path / "kept.txt")
    return dataclasses.replace(original, root=tmp_path / "bundle", kept=tmp_path / "kept.txt", args=[])


def stranger() -> NoteSigner:
    return NoteSigner(NAME, Ed25519PrivateKey.generate())


# What is true.


def test_a_bundle_that_is_true_passes(world: World, capsys: pytest.CaptureFixture[str]):
    assert world.run() == 0
    *lines, last = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("NOTE ")]
    assert all(line.startswith("ok       ") for line in lines)
    assert last == f"{len(lines)} ok, 0 FAILED, 0 unusable"
    for said in (
        "rotations/0001.txt: signed by ",
        "heads/5.txt: head of 5 issues at 2026-11-25T16:00:00.000Z, signed by ",
        "heads/3.txt: the log of 7 (2026-11-26T16:00:00.000Z) continues that of 3 (2026-11-24T16:00:00.000Z)",
        f"{world.kept}: the log of 7 (2026-11-26T16:00:00.000Z) continues that of 3",
        "issues/issue-5/seal.json: record and salt are number 5 of the 7",
        "issues/issue-2/history/1.pb: holds 300 events",
        "issues/issue-2/history/1.pb: the file that the record names",
        "issues/issue-2/policy.json: the file that the record names",
        "verifier.py: the file that bundle.json names",
    ):
        assert sum(line[9:].startswith(said) for line in lines) == 1, said


def test_it_runs_alone_from_the_bundle(world: World):
    command = [sys.executable, "-I", "-W", "error", str(world.root / "verifier.py"), str(world.root)]
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command, "--key", world.vkey], capture_output=True, text=True, check=False, env=environment, cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" ok, 0 FAILED, 0 unusable\n")
    done = subprocess.run(command[:-1], capture_output=True, text=True, check=False, env=environment, cwd="/")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_without_a_key_it_says_that_the_bundle_vouches_for_itself(world: World, capsys: pytest.CaptureFixture[str]):
    assert verifier.main([str(world.root)]) == 0
    assert "NOTE     without --key the bundle vouches for itself" in capsys.readouterr().out
    world.run()
    assert "NOTE     without" not in capsys.readouterr().out


def test_it_names_what_the_bundle_says_without_proof(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run()
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("NOTE")]
    assert said.startswith("NOTE     proven by nothing outside this bundle: ")
    named = {name.strip(" '") for name in said.rpartition(":")[2].split(",")}
    assert named == {path.name for path in world.root.iterdir() if path.is_file()}
    assert {"bundle.json", "key.txt"} <= named


def test_the_quiet_verifier_gives_only_its_exit_code(world: World, capsys: pytest.CaptureFixture[str]):
    told = [str(world.root), "--key", world.vkey]
    assert verifier.main(told, quiet=True) == 0
    file_altered(world)
    assert verifier.main(told, quiet=True) == 1
    assert capsys.readouterr().out == ""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert verifier.main(told) == 1
    assert "FAILED   README.md" in said.getvalue()


def test_a_kept_head_may_have_come_through_a_scanner(world: World):
    note = world.kept.read_text(encoding="utf-8")
    for changed in (note.rstrip("\n"), note.replace("\n", "\r\n"), note + "\n \n"):
        world.kept.write_bytes(changed.encode())
        assert world.run() == 0


def test_heads_of_the_same_size_and_of_an_empty_log_need_no_proof(world: World):
    again = world.kept.with_name("again.txt")
    again.write_text(world.head(2, at=DAY + timedelta(days=9)), encoding="utf-8")
    empty = world.kept.with_name("empty.txt")
    empty.write_text(
        world.head(0, size=0, root=hashlib.sha256().digest(), at=DAY - timedelta(days=9)), encoding="utf-8"
    )
    world.args = ["--head", str(again), "--head", str(empty)]
    assert world.run() == 0


def test_a_log_that_was_sealed_differently_would_pass(world: World):
    """The helper of the tampers below makes whole logs; kept heads are what tells them apart."""
    world.reseal(2, verdict="other")
    world.cover()
    assert world.run("--key", world.vkey) == 0


# What is not.


def record_altered(world: World) -> None:
    world.edit("issues/issue-2/record.json", verdict="other")


def record_of_another(world: World) -> None:
    for name in ("record.json", "seal.json", "events.json", "history/0.pb", "history/1.pb"):
        shutil.copy(world.root / "issues/issue-5" / name, world.root / "issues/issue-2" / name)


def salt_altered(world: World) -> None:
    world.edit("issues/issue-2/seal.json", salt=salt(3).hex())


def position_altered(world: World) -> None:
    world.edit("issues/issue-2/seal.json", position=3)


def proof_altered(world: World) -> None:
    seal = world.read("issues/issue-2/seal.json")
    world.edit("issues/issue-2/seal.json", proof=[sha(b"x"), *seal["proof"][1:]])


def proof_shortened(world: World) -> None:
    world.edit("issues/issue-2/seal.json", proof=world.read("issues/issue-2/seal.json")["proof"][:-1])


def proof_of_another_size(world: World) -> None:
    world.edit("issues/issue-2/seal.json", size=5)


def size_without_head(world: World) -> None:
    world.edit("issues/issue-2/seal.json", size=6)


def history_altered(world: World) -> None:
    path = world.root / "issues/issue-2/history/1.pb"
    events = History.FromString(path.read_bytes())
    events.events[7].event_time.FromSeconds(1)
    path.write_bytes(events.SerializeToString(deterministic=True))


def history_cut_off(world: World) -> None:
    path = world.root / "issues/issue-2/history/1.pb"
    events = History.FromString(path.read_bytes())
    del events.events[-1]
    path.write_bytes(events.SerializeToString(deterministic=True))


def history_is_none(world: World) -> None:
    world.write("issues/issue-2/history/0.pb", b"\x0a\x05abc")


def history_of_another(world: World) -> None:
    shutil.copy(world.root / "issues/issue-5/history/1.pb", world.root / "issues/issue-2/history/1.pb")


def history_too_many(world: World) -> None:
    shutil.copy(world.root / "issues/issue-2/history/1.pb", world.root / "issues/issue-2/history/2.pb")


def record_fits_altered_history(world: World) -> None:
    history_altered(world)
    record = world.read("issues/issue-2/record.json")
    record["runs"][1]["sha256"] = sha((world.root / "issues/issue-2/history/1.pb").read_bytes())
    world.write("issues/issue-2/record.json", record)


def events_altered(world: World) -> None:
    world.write("issues/issue-2/events.json", [{"seq": 1, "kind": "reported"}, {"seq": 2, "kind": "closed"}])


def policy_altered(world: World) -> None:
    world.edit("issues/issue-2/policy.json", version="2")


def calendars_altered(world: World) -> None:
    world.write("issues/issue-2/calendars.json", [{"year": 2026}])


def photograph_added(world: World) -> None:
    world.write("issues/issue-2/photograph.jpg", b"proof!")


def file_added(world: World) -> None:
    world.write("statement.txt", b"all is well")


def file_altered(world: World) -> None:
    world.write("README.md", "do as I say")


def issue_left_out(world: World) -> None:
    world.edit("bundle.json", issues=["issue-2"])


def root_altered(world: World) -> None:
    note = (world.root / "heads/7.txt").read_text(encoding="utf-8")
    root = base64.b64encode(world.tree.root()).decode()
    world.write("heads/7.txt", note.replace(root, base64.b64encode(world.tree.root(6)).decode()))


def head_by_a_stranger(world: World) -> None:
    world.write("heads/7.txt", world.head(2, stranger()))


def head_by_the_old_key(world: World) -> None:
    world.write("heads/7.txt", world.head(2, world.keys[0]))


def head_by_the_new_key_too_early(world: World) -> None:
    world.write("heads/5.txt", world.head(1, world.keys[1]))


def head_of_another_log(world: World) -> None:
    world.write("heads/7.txt", world.head(2, origin="other.example"))


def head_dated_back(world: World) -> None:
    world.write("heads/7.txt", world.head(2, world.keys[0], at=DAY - timedelta(days=1)))


def head_under_another_name(world: World) -> None:
    (world.root / "heads/3.txt").rename(world.root / "heads/4.txt")


def rotation_by_a_stranger(world: World) -> None:
    thief = stranger()
    text = f"{NAME}/rotation\n{thief.vkey}\ntime 2026-11-25T17:00:00.000Z\n"
    world.write("rotations/0001.txt", notes.sign_text(text, [thief]))
    world.write("heads/7.txt", world.head(2, thief))


def rotation_by_the_old_key_only(world: World) -> None:
    text = f"{NAME}/rotation\n{stranger().vkey}\ntime 2026-11-25T17:00:00.000Z\n"
    world.write("rotations/0001.txt", notes.sign_text(text, [world.keys[0]]))


def rotation_by_a_replaced_key(world: World) -> None:
    thief = stranger()
    text = f"{NAME}/rotation\n{thief.vkey}\ntime 2026-11-26T15:00:00.000Z\n"
    world.write("rotations/0002.txt", notes.sign_text(text, [world.keys[0], thief]))
    world.write("heads/7.txt", world.head(2, thief))


def rotation_left_out(world: World) -> None:
    (world.root / "rotations/0001.txt").unlink()


def growth_altered(world: World) -> None:
    name = "proofs/consistency/3-7.json"
    world.edit(name, proof=[sha(b"x"), *world.read(name)["proof"][1:]])


def growth_left_out(world: World) -> None:
    (world.root / "proofs/consistency/3-7.json").unlink()


def log_rewritten(world: World) -> None:
    world.reseal(2, verdict="other")


def log_cut_short(world: World) -> None:
    kept = world.kept.read_text(encoding="utf-8").replace("\n3\n", "\n30\n").rpartition("\n\n")[0] + "\n"
    world.kept.write_text(notes.sign_text(kept, [world.keys[0]]), encoding="utf-8")


def two_logs_of_one_size(world: World) -> None:
    world.kept.write_text(world.head(2, root=bytes(32)), encoding="utf-8")


def kept_head_is_no_head_of_this_log(world: World) -> None:
    world.kept.write_text(world.head(0, stranger()), encoding="utf-8")


def record_counts_wrong(world: World) -> None:
    runs = world.read("issues/issue-2/record.json")["runs"]
    world.reseal(2, runs=[runs[0], runs[1] | {"events": 299}])


def record_counts_other_events(world: World) -> None:
    record = world.read("issues/issue-2/record.json")
    world.reseal(2, events=record["events"] | {"count": 3})


def record_names_nothing(world: World) -> None:
    """A digest of no digits."""
    world.reseal(2, events={"count": 2, "digest": ""})


def record_names_depths(world: World) -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    world.reseal(2, files={"calendars.json": deep})
    world.edit("bundle.json", files={"README.md": deep})


def record_of_another_format(world: World) -> None:
    world.reseal(2, format=2)


TAMPERS: dict[Tamper, str] = {
    record_altered: "issues/issue-2/seal.json: record and salt are number 2 of the 7",
    record_of_another: "issues/issue-2/record.json: the record, format 1, of issue issue-2",
    salt_altered: "issues/issue-2/seal.json: record and salt are number 2 of the 7",
    position_altered: "issues/issue-2/seal.json: record and salt are number 3 of the 7",
    proof_altered: "issues/issue-2/seal.json: record and salt",
    proof_shortened: "issues/issue-2/seal.json: record and salt",
    proof_of_another_size: "issues/issue-2/seal.json: record and salt are number 2 of the 5",
    size_without_head: "issues/issue-2/seal.json: there is a signed head of 6 issues",
    history_altered: "issues/issue-2/history/1.pb: the file that the record names",
    history_cut_off: "issues/issue-2/history/1.pb: holds 300 events",
    history_is_none: "issues/issue-2/history/0.pb: holds 4 events",
    history_of_another: "issues/issue-2/history/1.pb: the file that the record names",
    history_too_many: "'issues/issue-2/history/2.pb': a file that the record names: it is under no seal",
    record_fits_altered_history: "issues/issue-2/seal.json: record and salt",
    events_altered: "issues/issue-2/events.json: the file that the record names",
    policy_altered: "issues/issue-2/policy.json: the file that the record names",
    calendars_altered: "issues/issue-2/calendars.json: the file that the record names",
    record_names_depths: "issues/issue-2/calendars.json: the file that the record names",
    record_names_nothing: "issues/issue-2/events.json: the file that the record names",
    photograph_added: "'issues/issue-2/photograph.jpg': a file that the record names: it is under no seal",
    issue_left_out: "'issues/issue-5/seal.json': a file of the bundle, or of an issue, that bundle.json names",
    root_altered: "heads/7.txt: head of 7 issues",
    head_by_a_stranger: "heads/7.txt: head of 7 issues",
    head_by_the_old_key: "heads/7.txt: head of 7 issues",
    head_by_the_new_key_too_early: "heads/5.txt: head of 5 issues",
    head_of_another_log: "heads/7.txt: head of 7 issues",
    head_dated_back: "heads/3.txt: the log of 7 (2026-11-23T16:00:00.000Z) continues that of 3",
    head_under_another_name: "heads/4.txt: named after its size, 3",
    rotation_by_a_stranger: "rotations/0001.txt: signed by ",
    rotation_by_the_old_key_only: "rotations/0001.txt: signed by ",
    rotation_by_a_replaced_key: "rotations/0002.txt: signed by ",
    rotation_left_out: "heads/7.txt: head of 7 issues",
    growth_altered: "heads/3.txt: the log of 7 ",
    growth_left_out: "there is no proofs/consistency/3-7.json",
    log_rewritten: "kept.txt: the log of 7 ",
    log_cut_short: "kept.txt: the bundle, of 7 issues, is no older than this head: ask for a newer one",
    two_logs_of_one_size: "kept.txt: the log of 7 ",
    kept_head_is_no_head_of_this_log: "kept.txt: head of 3 issues",
    record_counts_wrong: "issues/issue-2/history/1.pb: holds 299 events",
    record_counts_other_events: "issues/issue-2/events.json: holds as many events as the record says",
    record_of_another_format: "issues/issue-2/record.json: the record, format 1",
}
"""Each with what must be said of it, though whoever did it made bundle.json fit."""


@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda each: each.__name__)
def test_each_altered_file_is_named_as_failed(world: World, tamper: Tamper, capsys: pytest.CaptureFixture[str]):
    tamper(world)
    world.cover()
    assert world.run() == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED ")]
    assert any(TAMPERS[tamper] in line for line in failed), failed


@pytest.mark.parametrize("tamper", [file_added, file_altered, *TAMPERS], ids=lambda each: each.__name__)
def test_what_was_altered_clumsily_is_named_too(world: World, tamper: Tamper, capsys: pytest.CaptureFixture[str]):
    tamper(world)
    assert world.run() != 0
    assert re.search("^(FAILED|UNUSABLE) ", capsys.readouterr().out, re.MULTILINE)


def test_another_key_vouches_for_nothing(world: World, capsys: pytest.CaptureFixture[str]):
    assert world.run("--key", str(stranger().vkey)) == 1
    out = capsys.readouterr().out
    for name in ("rotations/0001.txt", "heads/3.txt", "heads/5.txt", "heads/7.txt", "heads: hold a signed"):
        assert f"FAILED   {name}" in out


# What cannot be used.


def written(name: str, content: bytes | str) -> Tamper:
    return lambda world: world.write(name, content)


def edited(name: str, **changes: Any) -> Tamper:
    return lambda world: world.edit(name, **changes)


def outside(world: World) -> None:
    (world.root / "README.md").unlink()
    (world.root / "README.md").symlink_to(world.kept)


def pipe(world: World) -> None:
    (world.root / "README.md").unlink()
    os.mkfifo(world.root / "README.md")


def folder(world: World) -> None:
    (world.root / "README.md").unlink()
    (world.root / "README.md").mkdir()


def loop(world: World) -> None:
    (world.root / "README.md").unlink()
    (world.root / "README.md").symlink_to("README.md")


def missing(name: str) -> Tamper:
    return lambda world: (world.root / name).unlink()


def named_file(name: str) -> Tamper:
    return lambda world: world.edit("bundle.json", files=world.read("bundle.json")["files"] | {name: sha(b"")})


SEAL = "issues/issue-2/seal.json"
RECORD = "issues/issue-2/record.json"
DEEP = "[" * 100_000 + "]" * 100_000
UNUSABLE: dict[str, tuple[Tamper, str]] = {
    "no bundle": (lambda world: shutil.rmtree(world.root), "bundle.json: cannot be read"),
    "no bundle.json": (missing("bundle.json"), "bundle.json: cannot be read"),
    "bundle.json is no JSON": (written("bundle.json", "format: 1"), "bundle.json: not usable as JSON"),
    "bundle.json is no object": (written("bundle.json", "[]"), "bundle.json: 'format' is missing"),
    "bundle.json is deep": (written("bundle.json", DEEP), "bundle.json: not usable as JSON"),
    "bundle.json is not UTF-8": (written("bundle.json", b"\xff"), "bundle.json: not usable as JSON"),
    "bundle.json of tomorrow": (edited("bundle.json", format=2), "bundle.json: not of format 1"),
    "format is true": (edited("bundle.json", format=True), "bundle.json: 'format' is missing, or no int"),
    "files is a list": (edited("bundle.json", files=[]), "bundle.json: 'files' is missing, or no dict"),
    "an issue is a list": (edited("bundle.json", issues=[[]]), "bundle.json: an issue's id is no text"),
    "an issue is elsewhere": (edited("bundle.json", issues=["../../x"]), "'issues/../../x/record.json': not the name"),
    "an issue is missing": (edited("bundle.json", issues=["x"]), "issues/x/record.json: cannot be read"),
    "a name leads out": (named_file("../kept.txt"), "'../kept.txt': not the name of a file"),
    "a name is absolute": (named_file("/etc/passwd"), "'/etc/passwd': not the name of a file"),
    "a name has a NUL": (named_file("a\0b"), "'a\\x00b': not the name of a file"),
    "a name is too long": (named_file("x" * 5000), "cannot be read: File name too long"),
    "a name is that of a folder": (named_file("issues"), "issues: not a file in the bundle"),
    "a link leads out": (outside, "README.md: not a file in the bundle"),
    "a link leads to itself": (loop, "README.md: cannot be read"),
    "a pipe": (pipe, "README.md: not a file in the bundle"),
    "a folder": (folder, "README.md: not a file in the bundle"),
    "no record": (missing(RECORD), f"{RECORD}: cannot be read: No such file"),
    "record is deep": (written(RECORD, DEEP), f"{RECORD}: not usable as JSON"),
    "record is no object": (written(RECORD, "[]"), f"{RECORD}: 'format' is missing, or no int"),
    "record says it twice": (
        written(RECORD, '{"format":1,"format":1}'),
        f"{RECORD}: not usable as JSON: the same name",
    ),
    "record has a long number": (written(RECORD, '{"format":' + "1" * 9999 + "}"), f"{RECORD}: not usable as JSON"),
    "record names no runs": (edited(RECORD, runs={}), f"{RECORD}: 'runs' is missing, or no list"),
    "record's run is none": (edited(RECORD, runs=[None]), f"{RECORD}: 'sha256' is missing"),
    "record's files are none": (edited(RECORD, files=7), f"{RECORD}: 'files' is missing, or no dict"),
    "record names a file elsewhere": (
        edited(RECORD, files={"../x": sha(b"")}),
        "'issues/issue-2/../x': not the name of a file",
    ),
    "no seal": (missing(SEAL), f"{SEAL}: cannot be read"),
    "seal is cut off": (written(SEAL, '{"position":2,'), f"{SEAL}: not usable as JSON"),
    "salt is short": (edited(SEAL, salt="00"), f"{SEAL}: a hash, or a salt, is not 64"),
    "salt is in capitals": (edited(SEAL, salt=salt(2).hex().upper()), f"{SEAL}: a hash, or a salt, is not 64"),
    "proof is text": (edited(SEAL, proof="00"), f"{SEAL}: 'proof' is missing, or no list"),
    "proof holds a number": (edited(SEAL, proof=[1]), f"{SEAL}: a hash, or a salt, is not 64"),
    "position is a fraction": (edited(SEAL, position=2.0), f"{SEAL}: 'position' is missing, or no int"),
    "no history": (missing("issues/issue-2/history/1.pb"), "issues/issue-2/history/1.pb: cannot be read"),
    "events are deep": (written("issues/issue-2/events.json", DEEP), "issues/issue-2/events.json: not usable as JSON"),
    "head is empty": (written("heads/7.txt", ""), "heads/7.txt: not a signed note, or cut off"),
    "head is not UTF-8": (written("heads/7.txt", b"\xff"), "heads/7.txt: not UTF-8"),
    "head's signature is no base64": (written("heads/7.txt", "a\n1\n\n— a !!!!\n"), "heads/7.txt: not base64"),
    "head is another note": (written("heads/7.txt", "a\n1\n\n— a AAAAAAAA\n"), "heads/7.txt: not a tree head"),
    "rotation is another note": (
        written("rotations/0001.txt", "a\n1\n\n— a AAAAAAAA\n"),
        "rotations/0001.txt: not a rot",
    ),
    "rotation is cut off": (
        written("rotations/0001.txt", f"{NAME}/rotation\n"),
        "rotations/0001.txt: not a signed note",
    ),
    "a rotation is missing": (
        lambda world: (world.root / "rotations/0001.txt").rename(world.root / "rotations/0002.txt"),
        "rotations/0001.txt: cannot be read",
    ),
    "growth is no proof": (written("proofs/consistency/3-7.json", "{}"), "proofs/consistency/3-7.json: 'proof' is"),
    "growth is for others": (edited("proofs/consistency/3-7.json", old=5), "proofs/consistency/3-7.json: for other"),
    "kept head is missing": (lambda world: world.kept.unlink(), "kept.txt: cannot be read"),
    "kept head is no note": (lambda world: world.kept.write_text("3"), "kept.txt: not a signed note"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_named(world: World, case: str, capsys: pytest.CaptureFixture[str]):
    tamper, said = UNUSABLE[case]
    tamper(world)
    assert world.run() in {1, 2}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("UNUSABLE ")]
    assert any(said in line for line in lines), lines


def test_what_is_only_unusable_is_told_from_what_failed(world: World):
    world.kept.unlink()
    assert world.run() == 2
    file_altered(world)
    assert world.run() == 1


@pytest.mark.parametrize(
    "key", ["", "x", "a+b+c", "a+00000000+AAAA", f"{NAME}+00000000+{'A' * 44}", "a\n+x+y", "é+x+" + "A" * 40]
)
def test_a_key_that_is_none_is_said(world: World, key: str, capsys: pytest.CaptureFixture[str]):
    assert world.run(f"--key={key}") == (2 if key else 0)
    assert ("UNUSABLE --key: not " in capsys.readouterr().out) == bool(key)


def test_a_huge_file_is_not_read_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    most = 100_000
    monkeypatch.setattr(verifier, "MOST", most)
    with (world.root / "issues/issue-2/history/1.pb").open("ab") as file:
        file.truncate(10**12)  # a hole: it takes no room
    assert world.run() == 2
    assert f"UNUSABLE issues/issue-2/history/1.pb: larger than {most} bytes" in capsys.readouterr().out


def test_a_trouble_in_one_issue_does_not_hide_another(world: World, capsys: pytest.CaptureFixture[str]):
    world.write(SEAL, "nonsense")
    world.edit("issues/issue-5/record.json", verdict="other")
    world.cover()
    assert world.run() == 1
    out = capsys.readouterr().out
    assert f"UNUSABLE {SEAL}" in out
    assert "FAILED   issues/issue-5/seal.json: record and salt" in out


def test_verifier_output_holds_no_control_characters(world: World, capsys: pytest.CaptureFixture[str]):
    escape = "\x1b[2J\u202e"
    world.write(f"issues/issue-2/{escape}.txt", b"")
    world.cover()
    world.edit("bundle.json", issues=["issue-2", "issue-5", escape])
    world.edit(RECORD, issue=escape, files={escape: escape})
    world.kept.write_text(f"{escape}\n1\n{escape}\n\n— {escape} {escape}\n", encoding="utf-8")
    assert world.run() == 1
    out = capsys.readouterr().out
    assert not set(out) & set(escape[:1] + escape[-1:])


@pytest.mark.parametrize("seed", range(4))
def test_no_changed_byte_passes_or_crashes_the_verifier(world: World, seed: int, capsys: pytest.CaptureFixture[str]):
    """Whoever changed it made bundle.json fit; only what no head vouches for may then go unseen."""
    rng = random.Random(seed)
    sealed = sorted(path for path in world.root.rglob("*") if path.is_file() and path.parent != world.root)
    unsealed = [world.root / "bundle.json", world.kept]
    for path in [rng.choice(sealed) for _ in range(60)] + unsealed * 10:
        whole, index = path.read_bytes(), (world.root / "bundle.json").read_bytes()
        changed = bytearray(whole)
        place = rng.randrange(len(changed))
        match rng.randrange(3):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                del changed[place:]
            case _:
                changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        path.write_bytes(changed)
        if path not in unsealed:
            world.cover()
        code = world.run()
        said = capsys.readouterr().out
        # What surrounds a note's text may change its form: its text may not.
        told = code != 0 or path == world.kept or (path.suffix == ".txt" and changed.rstrip() == whole.rstrip())
        assert told, (seed, path, place, said)
        path.write_bytes(whole)
        (world.root / "bundle.json").write_bytes(index)
    assert world.run() == 0


# What it is made of.


def test_the_verifier_imports_only_python_and_cryptography():
    tree = ast.parse(Path(verifier.__file__).read_bytes())
    names: set[str] = set()
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            names |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0
            names.add(each.module or "")
        elif isinstance(each, ast.Name):
            assert each.id not in {"__import__", "eval", "exec", "open", "compile"}
    outside = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert outside == {"cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric.ed25519"}
    assert not names & {"importlib", "subprocess", "socket", "urllib", "pickle", "http", "ctypes"}


def test_the_verifier_has_fewer_than_400_lines():
    lines = Path(verifier.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) < 400


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384, 3_000_000])
def test_events_are_counted_by_their_lengths(size: int):
    one = HistoryEvent(principal={"name": "x" * size}) if hasattr(HistoryEvent, "principal") else HistoryEvent()
    assert verifier.count_events(History(events=[one] * 3).SerializeToString()) == 3
    assert verifier.count_events(b"") == 0


@pytest.mark.parametrize("junk", [b"\x0a", b"\x0a\x02x", b"\x12\x00", b"\x0a\x00\x0b", b"\x0a" + b"\xff" * 12, b"\x00"])
def test_what_is_no_history_has_no_events(junk: bytes):
    assert verifier.count_events(junk) == -1
