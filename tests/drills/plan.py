"""The drills: what is broken, with which part of the home, and by what it is mended."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.devserver import find_temporal
from tests.audit.test_outside import PAUSABLE
from tests.drills import faults, up_shifted, weekend
from tests.drills.faults import Fault
from tests.drills.house import House
from tests.drills.template import trigger


@dataclass(frozen=True)
class Drill:
    """One drill. `name`: its row in the table. `says`: what `/readyz` must name; empty: the fault is none of its.

    `alarm`: the cause that must be alarmed, and closes by itself; `acts`: what is done after it was broken, and mended;
    `asks`: a command of `jiesu` that is given while it is broken. `ground`: on which home, of GROUNDS; `at_start`: the home is also started while it is broken.
    `mends`: how people mend it; `keeps`: whether all that was acknowledged meanwhile must be there afterwards.
    """

    name: str
    fault: Fault
    mends: str
    says: str = ""
    ground: str = "plain"
    at_start: bool = False
    alarm: str = ""
    acts: Callable[[House], None] | None = None
    asks: tuple[str, ...] = ()
    keeps: bool = True


@dataclass(frozen=True)
class Part:
    """A store of the home: its file or folder, the name of its check, and the processes that hold its files open."""

    name: str
    place: str
    check: str
    holders: tuple[str, ...] = ()


DATABASE: Final = Part("database", "jiesu.db", "database", ("worker", "api"))
TEMPORAL: Final = Part("Temporal's file", "temporal.db", "temporal", ("temporal",))
KEYS: Final = Part("keys of issues", "keys/issues.db", "keys", ("worker", "api"))
ARCHIVE: Final = Part("archive", "archive", "archive")
PICTURES: Final = Part("pictures", "attachments", "pictures")
HEADS: Final = Part("heads", "heads", "")
PARTS: Final = (DATABASE, TEMPORAL, KEYS, ARCHIVE, PICTURES, HEADS)
KEY_FILES: Final = ("signing.pem", "namespace.json", "master.json", "secret", "token.pem", "seal")


def _plain(folder: Path, _: contextlib.ExitStack) -> House:
    return House(folder)


def _disks(folder: Path, stack: contextlib.ExitStack) -> House:
    house = House(folder)
    for part in PARTS:
        stack.enter_context(faults.own_disk(house, store_of(part)))
    return house


def store_of(part: Part) -> str:
    """What lies on one disk: the keys of issues lie beside the other keys."""
    return "keys" if part is KEYS else part.place


def _special(folder: Path, stack: contextlib.ExitStack) -> House:
    """Its Temporal can pause workflows, its API can be ahead, and one organisation has a webhook."""
    program = folder / "temporal"
    program.write_text(f'#!/bin/sh\nexec {find_temporal()} "$@" --dynamic-config-value {PAUSABLE}\n', "utf-8")
    program.chmod(0o755)
    house = House(folder, (sys.executable, "-P", str(Path(up_shifted.__file__))), {"TEMPORAL_CLI": str(program)})
    stack.enter_context(weekend.served(house))
    return house


GROUNDS: Final[Mapping[str, Callable[[Path, contextlib.ExitStack], House]]] = {
    "plain": _plain, "disks": _disks, "special": _special,
}  # fmt: skip
"""How the home in a folder is made ready for its start; the stack ends with it."""


def disks() -> Iterator[Drill]:
    for part in PARTS:
        store = store_of(part)

        says = f"{part.check}: " if part.check else ""
        of_heads = {"alarm": "head-not-published", "acts": trigger} if part is HEADS else {}
        yield Drill(
            f"{part.name}: disk full", faults.full(store), "room was made", says and says + "disk full", "disks",
            **of_heads,
        )  # fmt: skip
        yield Drill(
            f"{part.name}: read-only", faults.read_only(store, *part.holders), "mounted for writing again",
            says + "read-only" if part.check else "", "disks", at_start=bool(part.holders), **of_heads,
        )  # fmt: skip


def files() -> Iterator[Drill]:
    for part in PARTS:
        is_database, verify = bool(part.holders), ("audit", "verify", "--all") if part in (ARCHIVE, HEADS) else ()
        yield Drill(
            f"{part.name}: damaged", faults.damaged(part.place, cure=faults.put_back_stopped if is_database else None),
            "stopped, put back from a copy" if is_database else "put back",
            f"{part.check}: damaged" if is_database else "", at_start=True, keeps=part not in (TEMPORAL, KEYS), asks=verify,
        )  # fmt: skip
        says = f"{part.check}: missing" if part.check else ""
        yield Drill(f"{part.name}: missing", faults.missing(part.place), "put back", says, at_start=True, asks=verify)
    for name in KEY_FILES:
        place, of_seal = f"keys/{name}", {"alarm": "no-seal-key", "acts": trigger} if name == "seal" else {}
        for said, fault in (("damaged", faults.damaged(place)), ("missing", faults.missing(place))):
            # Any bytes could be the secret: nobody can tell that it is another.
            is_told = name not in ("token.pem", "seal") and (name, said) != ("secret", "damaged")
            says = f"keys: {name} {said}" if is_told else ""
            yield Drill(f"`{place}`: {said}", fault, "put back", says, at_start=True, **of_seal)


def others() -> Iterator[Drill]:
    yield Drill("Temporal frozen", faults.frozen, "it went on", "temporal: does not answer")
    yield Drill(
        "workflow of an issue paused",
        faults.paused,
        "`temporal workflow unpause`",
        alarm="workflow-paused",
        ground="special",
    )
    yield Drill(
        "clock of the API 2 h ahead", faults.ahead, "set right", "clock: differs from",
        ground="special",
    )  # fmt: skip
    yield Drill(
        "a weekend without receiver", weekend.away, "the receiver came back on Monday (in virtual time)",
        alarm="notices-late", ground="special",
    )  # fmt: skip


DRILLS: Final[Sequence[Drill]] = (*disks(), *files(), *others())
