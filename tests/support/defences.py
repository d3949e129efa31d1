"""Removes single defences from copies of the tree, and runs the tests of the attacks, and of the checks of pages, on them.

The row of an attack is its number in docs/security.md; that of a check of docs/page-checks.md is `check-` and its number.

``python -m support.defences`` tries all patches and writes LAST, which keeps for each a digest of the files concerned. A
test run tries only those patches whose digest has changed. It uses a digest instead of git's history because a shallow
clone has none and a digest is exact; the commit in the file is for readers.
"""

import ast
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ROOT / "tests"
ATTACKS: Final = TESTS / "attacks"
PATCHES: Final = ATTACKS / "patches"
CHECKS: Final = TESTS / "browsers" / "patches"
LAST: Final = ATTACKS / "last-full-run.json"
HARNESS: Final = (Path(__file__).resolve(), ATTACKS / "test_defences.py")
NAMES: Final = re.compile(r"((?:check-)?[0-9]{2})[b-z]?")
"""What a patch may be called: its row, and a letter where it takes out another answer of that row than the first one."""
SECONDS: Final = 300
AT_ONCE: Final = 2
_FAILS: Final = re.compile(r"^Fails: (.+)$", re.MULTILINE)
_ROWS: Final = {"pytest.mark.attack": "", "pytest.mark.check": "check-"}
_FAILED: Final = re.compile(r"^FAILED \S+?::(\S+)", re.MULTILINE)
_PATCHED: Final = re.compile(r"^(?:---|\+\+\+) [ab]/(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """How the tests of one attack ended."""

    code: int
    output: str

    def failed(self, test: str) -> bool:
        """Whether this test failed, with any of its parameters unless it is named with one."""
        return any(test in (name, name.partition("[")[0]) for name in _FAILED.findall(self.output))


def module(row: str) -> Path:
    """The tests of an attack, where it has a file of its own."""
    return ATTACKS / f"test_row_{row}.py"


@cache
def attacked() -> dict[str, tuple[str, ...]]:
    """By rows, the node ids of the tests that show the attack: those of its own file, and those marked."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        own = re.fullmatch(r"test_row_(\d\d)", path.stem)
        text = path.read_text("utf-8")
        if not own and not any(f"{mark}(" in text for mark in _ROWS):
            continue
        for each in ast.parse(text).body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                for row in [own[1]] if own else _marked(each):
                    found.setdefault(row, []).append(f"{path.relative_to(ROOT).as_posix()}::{each.name}")
    return {row: tuple(tests) for row, tests in found.items()}


def _marked(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The rows of a test: those of attacks by ``attack(row)``, those of checks by ``check(number)``."""
    calls = (each for each in function.decorator_list if isinstance(each, ast.Call))
    return [
        f"{_ROWS[mark]}{ast.literal_eval(row):02}" for each in calls if (mark := ast.unparse(each.func)) in _ROWS
        for row in each.args
    ]  # fmt: skip


def files_of(row: str) -> set[str]:
    """The test modules of an attack."""
    return {test.partition("::")[0] for test in attacked().get(row, ())}


def patch(name: str) -> Path:
    return (CHECKS if name.startswith("check-") else PATCHES) / f"{name}.patch"


def patched() -> list[str]:
    """The names of all patches, those of attacks first."""
    return [path.stem for folder in (PATCHES, CHECKS) for path in sorted(folder.glob("*.patch"))]


def row_of(name: str) -> str:
    """The row of a patch."""
    found = NAMES.fullmatch(name)
    assert found is not None, name
    return found[1]


def must_fail(name: str) -> tuple[str, ...]:
    """The tests that a patch names, each of which shows that this one defence is out. None: any of its row shows it."""
    found = _FAILS.match(patch(name).read_text("utf-8"))
    return tuple(each.strip() for each in found[1].split(",")) if found else ()


def concerned(name: str) -> list[Path]:
    """The patch, what it patches, the tests that must fail, and whatever of tests/ these are made of."""
    tests = {ROOT / file for file in files_of(row_of(name))}
    conftests = {
        folder / "conftest.py" for test in tests for folder in test.parents if TESTS in (folder, *folder.parents)
    }
    made_of = _closure(tests | {path for path in conftests if path.exists()})
    patched = {ROOT / file for file in _PATCHED.findall(patch(name).read_text("utf-8"))}
    return sorted({patch(name), *patched, *made_of, *HARNESS})


def _closure(paths: set[Path]) -> set[Path]:
    """These modules and what they import of tests/, and so on."""
    found, new = set[Path](), paths
    while new:
        found |= new
        new = {each for path in new for each in _imports(path)} - found
    return found


@cache
def _imports(path: Path) -> frozenset[Path]:
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    files = {TESTS / Path(*name.removeprefix("tests.").split(".")).with_suffix(".py") for name in names}
    return frozenset(file for file in files if file.is_file())


@cache
def _content(path: Path) -> bytes:
    """What a file does: of a module its code without comments and docstrings, which defend nothing."""
    if not path.exists():
        return b""  # a patch of what is not there any more says so when it is tried
    if path.suffix != ".py":
        return path.read_bytes()
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_text(statement: ast.stmt) -> bool:
    found = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return found and isinstance(statement.value.value, str)


def digest(name: str, read: Callable[[Path], bytes] = _content) -> str:
    """Of everything concerned, by names and contents."""
    found = hashlib.sha256()
    for path in concerned(name):
        for part in (path.relative_to(ROOT).as_posix().encode(), read(path)):
            found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def due(names: Iterable[str]) -> set[str]:
    """The patches of which something changed since all were tried."""
    last = json.loads(LAST.read_text("utf-8"))["digests"] if LAST.exists() else {}
    return {name for name in names if last.get(name) != digest(name)}


def remember(names: Iterable[str]) -> None:
    """Writes down that all were tried."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    kept = {"commit": head.stdout.strip(), "digests": {name: digest(name) for name in sorted(names)}}
    LAST.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def tracked() -> list[str]:
    """Every file of the tree but what git ignores, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file())


class Copies:
    """At most so many copies of the tree, each made when it is first needed, in which patches are tried one by one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = tracked()
        self._free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(AT_ONCE):
            self._free.put(folder / f"tree-{number}")
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def submit(self, patches: Iterable[str]) -> dict[str, Future[Run]]:
        return {name: self._pool.submit(self.without, name) for name in patches}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def without(self, name: str) -> Run:
        """Runs the tests of an attack with a defence taken out."""
        tree = self._free.get()
        try:
            self._make(tree)
            applied = _git_apply(tree, patch(name))
            if applied is not None:
                return Run(-1, applied)
            try:
                return _pytest(tree, name)
            finally:
                self._restore(tree, name)
        finally:
            self._free.put(tree)

    def _make(self, tree: Path) -> None:
        if tree.exists():
            return
        for name in self._files:
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)

    def _restore(self, tree: Path, patched: str) -> None:
        """Puts the files back with their old times, so that what was compiled from the patched ones is not used."""
        for name in set(_PATCHED.findall(patch(patched).read_text("utf-8"))):
            shutil.copy2(ROOT / name, tree / name)


def _git_apply(tree: Path, file: Path) -> str | None:
    """Applies the patch; why it cannot be."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        ["git", "apply", file], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"the patch does not apply: {done.stderr}"


def _pytest(tree: Path, name: str) -> Run:
    """The tests that the patch names, all of them; else those of the row, up to the first that fails."""
    tests, named = attacked()[row_of(name)], must_fail(name)
    chosen = [
        test + each[len(each.partition("[")[0]) :]
        for each in named for test in tests if test.endswith(f"::{each.partition('[')[0]}")
    ]  # fmt: skip
    what = ["-rfE", *chosen] if named else ["-x", *tests]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *what]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTEST_ADDOPTS", None)
    with subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as running:  # fmt: skip
        try:
            output, _ = running.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return Run(-1, f"not done after {SECONDS} s\n{running.communicate()[0]}")
    return Run(running.returncode, output)


def main() -> int:
    """Tries all patches, or with the argument `due` those whose files changed, and writes the file if all are missed."""
    names = patched()
    which = [] if sys.argv[1:] == ["due"] else ["-m", ""]
    command = [sys.executable, "-m", "pytest", *which, ATTACKS / "test_defences.py"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        remember(names)
    return code


if __name__ == "__main__":
    sys.exit(main())
