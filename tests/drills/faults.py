"""How a home is broken: its disks filled, made read-only, its files damaged and taken away, its Temporal frozen."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import psutil
from temporalio.client import Client

from support import faults
from tests.audit.test_outside import pause, unpause
from tests.drills.house import House, until

Fault = Callable[[House], AbstractContextManager[None]]
"""Breaks a home within the block, and mends it at its end."""
SIZE: Final = "size=112m"
"""Of the small disk of a store: it has more room than `runtime.disk.LEAST_FREE` before it is filled."""
SQLITE: Final = ("", "-wal", "-shm")


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@contextlib.contextmanager
def own_disk(house: House, store: str) -> Iterator[None]:
    """The folder of a store, or the file of a database, lies on a small disk of its own."""
    place, disk = house.home / store, disk_of(house, store)
    away = house.folder / "away"
    away.mkdir()
    for each in sorted(place.iterdir()) if place.is_dir() else files_of(place):
        shutil.move(each, away / each.name)
    disk.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", SIZE, "tmpfs", str(disk))
    try:
        for each in away.iterdir():
            shutil.move(each, disk / each.name)
        away.rmdir()
        if disk != place:
            place.symlink_to(disk / store)
        yield
    finally:
        unmount(disk)


def disk_of(house: House, store: str) -> Path:
    return house.home / store if "." not in store else house.folder / "disks" / store


def full(store: str) -> Fault:
    """Not a byte is free on the disk of this store."""

    @contextlib.contextmanager
    def fault(house: House) -> Iterator[None]:
        ballast = disk_of(house, store) / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        try:
            yield
        finally:
            ballast.unlink()

    return fault


def read_only(store: str, *restarted: str) -> Fault:
    """The disk of this store is mounted read-only; processes that have its files open are begun anew."""

    @contextlib.contextmanager
    def fault(house: House) -> Iterator[None]:
        disk = disk_of(house, store)
        mount("--bind", str(disk), str(disk))
        mount("-o", "remount,bind,ro", str(disk))
        try:
            anew(house, *restarted)
            yield
        finally:
            unmount(disk)

    return fault


def anew(house: House, *names: str) -> None:
    """Kills these children of `jiesu up`, and waits until it has started them again, or has given up."""
    before = house.pids()
    house.kill(*names)
    until(lambda: not house.runs or all(house.pids().get(name, before.get(name)) != before.get(name) for name in names))
    if "api" in names:
        until(lambda: not house.runs or house.ask("GET", "/healthz").status == 200)


def files_of(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [path for path in (Path(f"{place}{end}") for end in SQLITE) if path.exists()]


def damaged(store: str, *, cure: Callable[[House, Mapping[Path, bytes]], None] | None = None) -> Fault:
    """Garbage in the place of every file of this store. At the end of the block the files are as before, or `cure`d."""

    @contextlib.contextmanager
    def fault(house: House) -> Iterator[None]:
        kept = {path: path.read_bytes() for path in files_of(house.home / store)}
        for path, data in kept.items():
            _overwrite(path, (b"garbage!" * (len(data) // 8 + 1))[: len(data)])
        try:
            yield
        finally:
            (cure or put_back)(house, kept)

    return fault


def put_back(house: House, kept: Mapping[Path, bytes]) -> None:
    """Writes the files as they were, under whoever uses them."""
    for path, data in kept.items():
        _overwrite(path, data)


def put_back_stopped(house: House, kept: Mapping[Path, bytes]) -> None:
    """Stops the home, and puts a database back as from a backup."""
    house.stop()
    for path in files_of(next(iter(kept))):
        path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
        path.chmod(0o600)


def _overwrite(path: Path, data: bytes) -> None:
    """In the same file, as a broken disk does it."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def missing(store: str) -> Fault:
    """The files of this store are elsewhere, and come back."""

    @contextlib.contextmanager
    def fault(house: House) -> Iterator[None]:
        away = house.folder / "away"
        away.mkdir()
        place = house.home / store
        gone = [place] if place.is_dir() else files_of(place)
        for path in gone:
            path.rename(away / path.name)
        try:
            yield
        finally:
            for path in [place] if place.is_dir() else files_of(place):  # what was made in their place
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path in gone:
                (away / path.name).rename(path)
            away.rmdir()

    return fault


@contextlib.contextmanager
def frozen(house: House) -> Iterator[None]:
    with faults.frozen(psutil.Process(house.pids()["temporal"])):
        yield


@contextlib.contextmanager
def ahead(house: House) -> Iterator[None]:
    """The clock of the API is two hours ahead; see `up_shifted`."""
    (house.home / "ahead").touch()
    try:
        yield
    finally:
        (house.home / "ahead").unlink()


@contextlib.contextmanager
def paused(house: House) -> Iterator[None]:
    """Somebody has paused the workflow of the open issue in Temporal."""
    issue = known_issue(house)
    asyncio.run(_in_temporal(house, pause, issue))
    try:
        yield
    finally:
        asyncio.run(_in_temporal(house, unpause, issue))


def known_issue(house: House) -> str:
    """The issue that was reported first."""
    with contextlib.closing(sqlite3.connect(house.home / "jiesu.db")) as connection:
        (found,) = connection.execute(
            "SELECT id FROM issues WHERE closed_at IS NULL ORDER BY opened_at LIMIT 1"
        ).fetchone()
    return found


async def _in_temporal(house: House, do: Callable[[Client, str], Awaitable[None]], issue: str) -> None:
    await do(await Client.connect(house.settings.address), issue)
