"""Each attack's tests fail once its defence is removed, and each check's of pages once its cure is, so none passes for another reason.

Only patches whose files changed since the last `make defences` are run.
"""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from support import defences
from support.defences import (
    ATTACKS,
    NAMES,
    ROOT,
    TESTS,
    Copies,
    Run,
    attacked,
    concerned,
    digest,
    due,
    files_of,
    must_fail,
    patch,
    patched,
    remember,
    row_of,
)

ROWS = tuple(f"{number:02}" for number in range(1, 37))
MISSING = frozenset[str]()
"""Attacks that have no test, no patch or no line in docs/security.md as yet."""
CHECKS = tuple(f"check-{number:02}" for number in range(1, 12))
PATCHED = patched()
DUE = due(PATCHED)
BROKEN = re.compile(
    r"^E +(SyntaxError|IndentationError|NameError|UnboundLocalError|ImportError|ModuleNotFoundError)\b", re.MULTILINE
)
"""What is wrong with a patch that breaks the code, where it should take out a defence."""


def described() -> dict[str, str]:
    """The lines of the table in docs/security.md by their rows."""
    page = ROOT / "docs" / "security.md"
    lines = page.read_text("utf-8").splitlines() if page.exists() else []
    return {f"{int(found[1]):02}": line for line in lines if (found := re.match(r"\| (\d+) \|", line))}


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Run]]]:
    """The runs of all patches that this session asks for; they go on beside one another."""
    asked = {item.name for item in request.session.items}
    copies = Copies(tmp_path_factory.mktemp("defences"))
    yield copies.submit(
        [name for name in PATCHED if f"{test_without_its_defence_the_attack_succeeds.__name__}[{name}]" in asked]
    )
    copies.close()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in DUE else pytest.mark.unchanged) for name in PATCHED]
)
def test_without_its_defence_the_attack_succeeds(runs: dict[str, Future[Run]], name: str) -> None:
    run = runs[name].result()
    assert run.code == 1, run.output
    summary = run.output.strip().splitlines()[-1]  # a log line that a test prints may say `attempt=1 error=`
    assert re.search(r"\b[1-9][0-9]* failed\b", summary), run.output
    assert not re.search(r"\b[1-9][0-9]* errors?\b", summary), run.output
    assert not BROKEN.search(run.output), run.output
    assert [test for test in must_fail(name) if not run.failed(test)] == [], run.output


def test_every_attack_has_a_test_a_patch_and_a_line() -> None:
    lines = described()
    assert {row for row in ROWS if not (attacked().get(row) and patch(row).exists() and row in lines)} == MISSING


def test_every_attack_test_belongs_to_a_row() -> None:
    assert set(attacked()) <= {*ROWS, *CHECKS}
    assert all(NAMES.fullmatch(name) for name in PATCHED)
    assert {row_of(name) for name in PATCHED} <= {*ROWS, *CHECKS}


def test_every_check_of_pages_has_a_line_that_names_its_tests_and_its_patches() -> None:
    lines = (ROOT / "docs" / "page-checks.md").read_text("utf-8").splitlines()
    told = {f"check-{int(found[1]):02}": line for line in lines if (found := re.match(r"\| (\d+) \|", line))}
    assert tuple(told) == CHECKS
    for check, line in told.items():
        named = set(re.findall(r"`(test_[a-z0-9_]+)`", line))
        assert named == {test.partition("::")[2] for test in attacked()[check]}, check
        assert set(re.findall(r"`(check-[a-z0-9]+)`", line)) == {name for name in PATCHED if row_of(name) == check}
        assert check in PATCHED, check


@pytest.mark.parametrize("name", PATCHED)
def test_a_patch_of_a_partial_defence_names_the_tests_that_fail(name: str) -> None:
    tests = {test.partition("::")[2] for test in attacked()[row_of(name)]}
    named = must_fail(name)
    assert bool(named) == (name != row_of(name) or name in CHECKS)
    assert {test.partition("[")[0] for test in named} <= tests


def test_each_line_names_what_there_is() -> None:
    for row, line in described().items():
        named = set(re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)*\.py)`", line))
        assert files_of(row) <= named
        assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("path", sorted(ATTACKS.glob("test_row_*.py")), ids=lambda path: path.stem)
def test_the_tests_of_a_row_bear_its_number(path: Path) -> None:
    names = re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    assert names
    assert all(name.startswith(path.stem + "_") for name in names)


@pytest.mark.parametrize("name", PATCHED)
def test_a_patch_is_tried_again_once_anything_it_depends_on_has_changed(name: str) -> None:
    before, paths = digest(name), concerned(name)
    for path in paths:
        assert digest(name, lambda each, changed=path: each.read_bytes() + b"#" * (each == changed)) != before, path
    files = re.findall(r"^--- a/(.+)$", patch(name).read_text("utf-8"), re.MULTILINE)
    expected = [patch(name), *(ROOT / file for file in files), *(ROOT / file for file in files_of(row_of(name)))]
    assert files
    assert {*expected, TESTS / "conftest.py", TESTS / "support" / "defences.py"} <= set(paths)


def test_files_behind_fixtures_are_part_of_the_digest() -> None:
    support = {path.stem for path in concerned("13") if path.parent.name == "support"}
    assert {"system", "temporal"} <= support  # the fixture of tests/api/conftest.py, and what this one starts


def test_only_what_changed_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defences, "LAST", tmp_path / "last.json")
    assert due(["01", "02"]) == {"01", "02"}
    remember(["01", "02"])
    assert due(["01", "02", "03"]) == {"03"}
    monkeypatch.setattr(defences, "digest", lambda name: "another" if name == "02" else digest(name))
    assert due(["01", "02", "03"]) == {"02", "03"}
