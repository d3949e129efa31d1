"""A bundle is verified where none of our code can be imported."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit import bundle
from audit.archive import ArchiveError
from audit.bundle import BundleError
from audit.heads import Destinations, publish
from audit.holdings import NotYetError, UnknownError
from audit.log_check import LogMismatchError
from audit.log_keys import LogKeys
from audit.merkle import EMPTY_ROOT
from audit.notes import TreeHead
from db.engine import Database
from support.archiving import now
from support.installation import COVERED, LATER, OPEN, UNCOVERED, Installation

ROOT = Path(__file__).resolve().parents[2]
ISSUE = LATER[0]


async def export(where: Installation, folder: Path, *issues: str) -> Path:
    async with where.service() as service:
        assert await service.export(issues, folder) == len(issues)
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As somebody who has a Python with `cryptography`, and the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JIESU"))}
    command = [sys.executable, "-I", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": ""}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
async def exported(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await export(installation, tmp_path_factory.mktemp("bundle") / "bundle", *COVERED)


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "elsewhere"))


ALONE = """
import importlib, runpy, sys
sys.path[:] = [each for each in sys.path if each != {root!r}]  # where our own installation is an editable one
for name in ("audit.merkle", "domain"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    sys.exit(name + " is at hand")
sys.argv = {argv!r}
runpy.run_path("verifier.py", run_name="__main__")
"""


def stranger(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = ["verifier.py", ".", *arguments]
    return python(folder, "-c", ALONE.format(root=str(ROOT), argv=argv))


def test_a_bundle_is_verified_without_our_code(installation: Installation, copy: Path, tmp_path: Path) -> None:
    kept = [shutil.copy(file, tmp_path) for file in installation.head_files]
    heads = [argument for file in kept for argument in ("--head", str(file))]
    done = stranger(copy, "--key", installation.vkey, *heads)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "0 FAILED, 0 unusable" in done.stdout.splitlines()[-1]
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("NOTE")]
    page = (copy / "README.md").read_text("utf-8").partition("## What is not proven")[2].partition("\n## ")[0]
    for name in ("README.md", "bundle.json", "key.txt", "verifier.py"):
        assert repr(name) in told
        assert f"`{name}`" in page
    for issue in COVERED:
        assert f"ok       issues/{issue}/seal.json: record and salt are number " in done.stdout
    assert "the log of 4 " in done.stdout
    assert "continues that of 2 " in done.stdout
    # And as it stands in the bundle's own README.
    done = python(copy, "verifier.py", ".", "--key", installation.vkey, *heads)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        f"issues/{ISSUE}/history/1.pb", f"issues/{ISSUE}/events.json", f"issues/{ISSUE}/record.json",
        f"issues/{ISSUE}/policy.json", f"issues/{ISSUE}/calendars.json", "heads/2.txt", "README.md",
    ],
)  # fmt: skip
def test_an_altered_file_is_named(installation: Installation, copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    done = stranger(copy, "--key", installation.vkey)
    assert done.returncode == 1
    assert any(line.startswith(f"FAILED   {name}") for line in done.stdout.splitlines())


def test_a_head_or_a_key_of_another_log_does_not_fit(exported: Path, tmp_path: Path) -> None:

    ring = LogKeys.create(tmp_path / "keys", "city.example/jiesu")
    assert stranger(exported, "--key", str(ring.first_vkey)).returncode == 1
    other = tmp_path / "other.txt"
    other.write_text(ring.sign(TreeHead(ring.name, 0, EMPTY_ROOT, now())), "utf-8")
    done = stranger(exported, "--key", (exported / "key.txt").read_text().strip(), "--head", str(other))
    assert done.returncode == 1
    assert f"FAILED   {other.name}" in done.stdout


async def test_audit_check_replays_a_bundle_under_the_rules(exported: Path, copy: Path) -> None:
    verdicts = await bundle.check(exported)
    assert [verdict.issue for verdict in verdicts] == list(COVERED)
    assert [str(each) for verdict in verdicts for each in verdict.findings] == []
    assert all(verdict.commands > 0 for verdict in verdicts)

    (copy / f"issues/{ISSUE}/history/1.pb").write_bytes(b"")
    (copy / f"issues/{COVERED[0]}/history/0.pb").unlink()
    verdicts = await bundle.check(copy)
    found = "\n".join(str(each) for verdict in verdicts for each in verdict.findings)
    assert f"{ISSUE}: archive: run 1: the history is not the one that was sealed" in found
    assert f"{COVERED[0]}: archive: history: run 0 cannot be read: No such file or directory" in found
    assert [verdict.issue for verdict in verdicts if verdict.holds] == [COVERED[1], COVERED[3]]


def test_a_bundle_holds_exactly_the_documented_files(exported: Path, installation: Installation) -> None:
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    top = {"README.md", "bundle.json", "heads/2.txt", "heads/4.txt", "key.txt", "verifier.py"}
    runs = {f"issues/{issue}/history/0.pb" for issue in COVERED} | {f"issues/{ISSUE}/history/1.pb"}
    files = ("calendars.json", "events.json", "policy.json", "record.json", "seal.json")
    each = {f"issues/{issue}/{file}" for issue in COVERED for file in files}
    assert names == top | runs | each | {"proofs/consistency/2-4.json"}
    assert json.loads((exported / "bundle.json").read_text())["issues"] == list(COVERED)
    assert (exported / "verifier.py").read_bytes() == (ROOT / "audit" / "verifier.py").read_bytes()
    assert (exported / "heads" / "4.txt").read_bytes() == installation.head_files[-1].read_bytes()
    for file in ("README.md", "verifier.py"):
        assert (exported / file).stat().st_mode & 0o044


async def test_the_newest_of_two_heads_of_one_size_is_in_it(installation: Installation, tmp_path: Path) -> None:
    """A head is published each day, whether or not the log has grown."""

    where = installation.copied(tmp_path / "copy")
    where.sql("DELETE FROM seals WHERE position = 4")
    database, ring = Database(where.url), LogKeys.open(where.home / "keys" / "seal")
    ring = ring.rotate(datetime(2030, 1, 1, tzinfo=UTC))
    kept = await publish(database, ring, Destinations(where.heads), datetime(2030, 1, 2, tzinfo=UTC))
    await database.close()
    (where.heads / "rotations" / ".0002.txt-draft").write_text("left behind by a kill")
    folder = await export(where, tmp_path / "bundle", ISSUE)
    assert (folder / "heads" / "4.txt").read_text("utf-8") == kept.note
    done = stranger(folder, "--key", installation.vkey, *("--head", str(installation.head_files[-1])))
    assert done.returncode == 0, done.stdout
    assert "rotations/0001.txt: signed by" in done.stdout


Break = Callable[[Installation], object]


@pytest.mark.parametrize(
    ("issues", "spoil", "error", "said"),
    [
        ((OPEN,), None, NotYetError, f"issue {OPEN} is not sealed yet: it is open, or was closed a moment ago"),
        ((UNCOVERED,), None, NotYetError, f"issue {UNCOVERED} was sealed after the newest published head"),
        (("nobody",), None, UnknownError, "there is no issue nobody here"),
        ((ISSUE,), lambda where: where.take_away(ISSUE), NotYetError, f"issue {ISSUE}: its content was erased"),
        (
            (ISSUE,),
            lambda where: next(where.home.glob(f"archive/issues/*/{ISSUE}/0-*")).unlink(),
            ArchiveError,
            f"issue {ISSUE}: issues/",
        ),
        (
            (ISSUE,),
            lambda where: next(where.home.glob(f"archive/issues/*/{ISSUE}/0-*")).write_bytes(b"x"),
            ArchiveError,
            f"issue {ISSUE}: issues/",
        ),
        ((ISSUE,), lambda where: where.sql("DELETE FROM seals WHERE position = 0"), LogMismatchError, "the log is not the one"),
        ((ISSUE,), lambda where: where.sql("DELETE FROM seals WHERE position > 2"), LogMismatchError, "the log has 3 issues"),
        ((ISSUE,), lambda where: [file.unlink() for file in where.head_files], NotYetError, "no head was published yet"),
        ((ISSUE,), lambda where: where.head_files[0].write_text("x"), BundleError, "head 2-"),
    ],
)  # fmt: skip
async def test_what_cannot_be_exported_is_said_in_a_line_and_leaves_nothing(
    installation: Installation, tmp_path: Path, issues: tuple[str, ...], spoil: Break | None, error: type[Exception], said: str
) -> None:  # fmt: skip
    where = installation
    if spoil is not None:
        where = installation.copied(tmp_path / "copy")
        spoil(where)
    with pytest.raises(error) as caught:
        await export(where, tmp_path / "out" / "bundle", COVERED[1], *issues)
    assert str(caught.value).startswith(said)
    assert str(caught.value).isprintable()
    assert not any((tmp_path / "out").glob("*"))


async def test_an_export_does_not_overwrite_files(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleError, match="is there already"):
        await export(installation, tmp_path / "bundle", ISSUE)
    assert not list((tmp_path / "bundle").iterdir())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bundle.json", None, "bundle.json cannot be read: No such file"),
        ("bundle.json", "{", "bundle.json is no JSON: "),
        ("bundle.json", "[]", "bundle.json is no JSON object"),
        ("bundle.json", "{}", "bundle.json names no issues"),
        ("bundle.json", '{"issues": 5}', "bundle.json names no issues"),
        ("bundle.json", '{"issues": ["../../.."]}', "'issues/../../../record.json' leads out of the bundle"),
        ("bundle.json", '{"issues": [7]}', "issues/7/record.json cannot be read"),
        (f"issues/{ISSUE}/seal.json", "{}", f"issues/{ISSUE}/seal.json: 'salt'"),
        (
            f"issues/{ISSUE}/seal.json",
            '{"salt": "00", "position": 1}',
            f"issues/{ISSUE}/seal.json: a salt has 32 bytes",
        ),
        (f"issues/{ISSUE}/record.json", '"x"', f"issues/{ISSUE}/record.json is no JSON object"),
    ],
)
async def test_what_is_no_bundle_is_named(copy: Path, name: str, text: str | None, said: str) -> None:
    if text is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(text)
    with pytest.raises(BundleError) as caught:
        await bundle.check(copy)
    assert str(caught.value).startswith(said)


async def test_a_record_of_another_shape_is_a_finding(copy: Path) -> None:
    (copy / f"issues/{ISSUE}/record.json").write_text('{"runs": 5}')
    found = {verdict.issue: verdict for verdict in await bundle.check(copy)}
    assert not found[ISSUE].holds
    assert found[COVERED[1]].holds
