"""The image's build step, run here: files passed by .dockerignore make a complete wheel of Jiesu."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.compose import ROOT

CODE = {path.stem for path in ROOT.glob("*.py")} | {
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("bench", "tests")
}


def allowed() -> list[Path]:
    """What of the checkout Docker sees; .dockerignore takes everything away and lets single names through."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    assert lines[-1] == "**/__pycache__"
    found = [path for line in lines[1:-1] for path in ROOT.glob(line.removeprefix("!"))]
    assert all(line.startswith("!") for line in lines[1:-1])
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    context, out = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("wheel")
    for path in allowed():
        if path.is_dir():
            shutil.copytree(path, context / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, context / path.name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        out,
        context,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("jiesu-*.whl")))


def test_context_holds_no_secret_and_no_home():
    assert not {path.name for path in allowed()} & {".env", ".git", ".jiesu", ".venv", "tests", "examples"}


def test_wheel_holds_every_module(wheel: zipfile.ZipFile):
    packed = {name.partition("/")[0].removesuffix(".py") for name in wheel.namelist() if ".dist-info" not in name}
    assert packed == CODE


def test_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile):
    packed = set(wheel.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for name in CODE
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= packed
    assert any(name.endswith(".toml") for name in ours)
    assert any(name.endswith(".json") for name in ours)


def test_wheel_runs_without_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path):
    wheel.extractall(tmp_path / "site")
    # Only the wheel and the locked packages: the checkout's own entry is taken off the path again.
    program = (
        f"import sys; sys.path = [{str(tmp_path / 'site')!r}] + [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "import api, cli.main, worker\n"
        "assert all('site' in each.__file__ for each in (api, cli, worker)), worker.__file__\n"
        "sys.argv = ['jiesu', 'policy', 'list']; cli.main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "52022" in done.stdout
