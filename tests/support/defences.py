"""Takes single defences out of copies of the tree, and runs the tests of the attacks against what is left."""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ATTACKS: Final = ROOT / "tests" / "attacks"
PATCHES: Final = ATTACKS / "patches"
NAMES: Final = re.compile(r"[0-9]{2}[b-z]?")
"""What a patch may be called: its row, and a letter where it takes out another answer of that row than the first one."""
SECONDS: Final = 120
AT_ONCE: Final = 2
_FAILS: Final = re.compile(r"^Fails: (.+)$", re.MULTILINE)
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
    return ATTACKS / f"test_row_{row}.py"


def patch(name: str) -> Path:
    return PATCHES / f"{name}.patch"


def row_of(name: str) -> str:
    """The row of a patch."""
    return name[:2]


def must_fail(name: str) -> tuple[str, ...]:
    """The tests that a patch names, each of which shows that this one defence is out. None: any of its row shows it."""
    found = _FAILS.match(patch(name).read_text("utf-8"))
    return tuple(each.strip() for each in found[1].split(",")) if found else ()


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
    tests = f"tests/attacks/{module(row_of(name)).name}"
    named = [f"{tests}::{test}" for test in must_fail(name)]
    what = ["-rfE", *named] if named else ["-x", tests]
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
