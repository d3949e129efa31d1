"""Dependencies are pinned by hash, listed with licences, and never called safe without an answer."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.supply import DEVELOPMENT, NOTICE, ROOT, RUNTIME, judged, licence, notice, pinned

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
SOUND = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "version": "3", "skip_reason": "not found"}


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda path: path.name)
def test_every_package_of_a_lock_has_its_hashes(lock: Path) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", lock.read_text("utf-8").strip())
    assert len(blocks) == len(pinned(lock)) > 50
    for block in blocks:
        assert re.search(r"\\\n +--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_both_locks_hold_the_same_versions_and_hashes() -> None:
    assert set(pinned(RUNTIME)) <= set(pinned(DEVELOPMENT))
    known = set(DEVELOPMENT.read_text("utf-8").replace("\\", "").split())
    assert {word for word in RUNTIME.read_text("utf-8").split() if word.startswith("--hash")} <= known


def test_whoever_installs_insists_on_the_hashes() -> None:
    installs = [line for line in MAKEFILE.splitlines() if "pip install" in line and " -r " in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)
    compiles = [line for line in MAKEFILE.splitlines() if "uv pip compile" in line]
    assert len(compiles) == 2
    assert all("--generate-hashes" in line for line in compiles)


def test_notice_names_exactly_the_packages_of_the_runtime_lock() -> None:
    listed = re.findall(r"^([a-z0-9._-]+) (\S+): (\S.*)$", NOTICE.read_text("utf-8"), re.MULTILINE)
    assert [(name, version) for name, version, _ in listed] == [(each.name, each.version) for each in pinned(RUNTIME)]


def test_notice_says_what_the_packages_say() -> None:
    assert NOTICE.read_text("utf-8") == notice(), "make notice"
    assert licence("no-such-package") is None


def test_the_bill_of_materials_holds_what_the_image_holds(tmp_path: Path) -> None:
    [command] = re.findall(r"^\t\$\(BIN\)/cyclonedx-py (.*) -o build/sbom\.json$", MAKEFILE, re.MULTILINE)
    bill = tmp_path / "sbom.json"
    program = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run([program, *command.split(), "-o", bill], cwd=ROOT, capture_output=True, check=True, timeout=120)
    plain = json.loads(bill.read_bytes())
    assert (plain["bomFormat"], plain["metadata"]["component"]["name"]) == ("CycloneDX", "jiesu")
    found = {(each["name"], each["version"]) for each in plain["components"]}
    assert found == {(each.name, each.version) for each in pinned(RUNTIME)}
    assert all(each["externalReferences"][0]["hashes"] for each in plain["components"])


def test_ci_makes_the_bill_of_materials_and_git_ignores_it() -> None:
    steps = (ROOT / ".ci" / "run").read_text("utf-8").split("\n")
    first = [
        next(n for n, step in enumerate(steps) if step.startswith(target)) for target in ("make sbom", "make test")
    ]
    assert first == sorted(first)
    assert "build/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("found", "code", "says"),
    [
        ([SOUND], 0, "none of 1 packages"), ([BAD], 1, "b 2: PYSEC-1"), ([SOUND, BAD], 1, "PYSEC-1"),
        ([SOUND, SKIPPED], 2, "NOT KNOWN: no vulnerability service answered for 1 of 2"), ([BAD, SKIPPED], 1, "NOT KNOWN"),
        ([], 2, "NOT KNOWN"),
    ],
)  # fmt: skip
def test_nothing_is_called_safe_that_nobody_has_looked_up(found: list[dict[str, object]], code: int, says: str) -> None:
    answered, text = judged(json.dumps({"dependencies": found, "fixes": []}), max(len(found), 1))
    assert answered == code
    assert says in text


def test_without_any_vulnerability_answer_the_result_is_not_known() -> None:
    assert judged("", 5) == (2, "NOT KNOWN: no vulnerability service answered for 5 of 5 packages")
