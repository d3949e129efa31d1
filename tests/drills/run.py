"""Runs the drills on few homes: each is broken while one runs, and then, where it matters, before one is started."""

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from api.identity.tokens import issue_token
from tests.drills.house import House, HouseError, Known, copy, until
from tests.drills.look import LONGEST, Kept, Look, heals, look, lost
from tests.drills.plan import GROUNDS, Drill

_FEW: Final = 6


@dataclass(frozen=True)
class Row:
    """What one drill found, for people; `faults`: what was not as it must be."""

    name: str
    users: str = ""
    ready: str = ""
    told: str = ""
    start: str = ""
    healed: str = ""
    faults: tuple[str, ...] = ()


@dataclass
class Stock:
    """The homes that drills share: one for each ground, made anew after a drill that left it ill."""

    folder: Path
    template: Path
    known: Known
    say: Callable[[str], None] = print
    house: House | None = None
    ground: str = ""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def take(self, ground: str) -> House:
        """A home on this ground, running or not."""
        if self.house is None or self.ground != ground:
            self.drop()
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            copy(self.template, folder)
            self.house, self.ground = GROUNDS[ground](folder, self._stack), ground
        return self.house

    def running(self, ground: str) -> House:
        """A home on this ground in which all is as ever."""
        house = self.take(ground)
        if not house.runs:
            _start(house)
        if not heals(house, self.known, token(house), Kept()):
            raise HouseError(f"not whole before it was broken: {look(house, self.known, token(house), Kept()).told()}")
        return house

    def drop(self) -> None:
        if self.house is not None:
            self.house.close()
        self.house = None
        self._stack.close()


def run(drills: Iterable[Drill], stock: Stock, *, starts: bool = True) -> Iterator[Row]:
    """The row of each drill. It never raises: what fails is in the row, and the other drills go on.

    Without `starts` no home is started while it is broken, which is quicker.
    """
    grounds: dict[str, list[Drill]] = {}
    for drill in drills:
        grounds.setdefault(drill.ground, []).append(drill)
    try:
        for ground, group in grounds.items():
            rows = {drill.name: _caught(_while_running, drill, stock, Row(drill.name)) for drill in group}
            for drill in group:
                if drill.at_start and starts:
                    stock.take(ground).stop()
                    rows[drill.name] = _caught(_before_start, drill, stock, rows[drill.name])
                yield rows[drill.name]
    finally:
        stock.drop()


def _caught(trial: Callable[[Drill, Stock, Row], Row], drill: Drill, stock: Stock, row: Row) -> Row:
    stock.say(f"{drill.name}: {trial.__name__.strip('_').replace('_', ' ')}")
    try:
        found = trial(drill, stock, row)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other drills go on
        traceback.print_exception(error)
        found = replace(row, faults=(*row.faults, " ".join(f"{type(error).__name__}: {error}".split())))
    stock.say(f"  {found}")
    if len(found.faults) > len(row.faults):
        stock.drop()
    return found


def _while_running(drill: Drill, stock: Stock, row: Row) -> Row:
    house, known = stock.running(drill.ground), stock.known
    staff, kept, faults = token(house), Kept(), list[str]()
    since = house.log.stat().st_size
    with drill.fault(house):
        if drill.acts is not None:
            drill.acts(house)
        until(lambda: not drill.says or drill.says in house.ready().detail, LONGEST)
        seen = look(house, known, staff, kept)
        told = _told(drill, house, since, faults)
        ended = "" if house.runs else house.last_line()
    healed = _healed(drill, house, known, staff, kept, faults)
    if drill.alarm and healed:
        healed += _closed(drill, house, faults)
    if drill.keeps and healed:
        faults += lost(house, known, kept)
    faults += _checked(drill, seen)
    start = f"`jiesu up` had ended: {_plain(ended, house)}" if ended else ""
    return replace(row, users=seen.told(), ready=str(seen.ready), told=told, start=start, healed=healed,
                   faults=tuple(faults))  # fmt: skip


def _before_start(drill: Drill, stock: Stock, row: Row) -> Row:
    house = stock.take(drill.ground)
    with drill.fault(house):
        said = house.start()
        text = _plain(said, house) if said else "starts"
        if not said:
            read = house.ask("GET", f"/v1/issues/{stock.known.issue}", stock.known.code)
            text += f"; read: {read}; `/readyz` {house.ready()}"
        house.stop()
    return replace(row, start="; ".join(filter(None, [row.start, text])))


def token(house: House) -> dict[str, str]:
    """The header of somebody of the staff, as long as this home lives: tokens are void once their key is another."""
    if not house.token:
        house.token = issue_token(house.home, "op1", "property", "other-property")
    return {"Authorization": f"Bearer {house.token}"}


def _start(house: House) -> None:
    """Starts a whole home; once more if a busy machine took longer than `jiesu up` waits."""
    said = house.start()
    if "not ready within" in said:
        said = house.start()
    if said:
        raise HouseError(f"it did not start: {said}")


def _healed(drill: Drill, house: House, known: Known, staff: dict[str, str], kept: Kept, faults: list[str]) -> str:
    """How it healed once it was mended."""
    if house.runs:
        if heals(house, known, staff, kept):
            return f"{drill.mends}; then by itself"
        faults.append(f"it did not heal by itself: {look(house, known, staff, kept).told()}")
        house.stop()
    _start(house)
    if heals(house, known, staff, kept):
        return f"{drill.mends}; then by `jiesu up`"
    said = look(house, known, staff, kept)
    faults.append(f"it did not heal: {said.told()}; {said.ready}")
    return ""


def _told(drill: Drill, house: House, since: int, faults: list[str]) -> str:
    """The log's events since then, the causes of open alarms, and what the drill's command says."""
    if drill.alarm and not until(lambda: drill.alarm in house.alarms()):
        faults.append(f"no alarm `{drill.alarm}`")
    events = sorted(
        {line["event"] for line in house.lines(since) if line["event"].replace("_", "").replace(".", "").isalnum()}
    )  # those of our own
    told = ["log: " + (", ".join(f"`{event}`" for event in events[:_FEW]) or "nothing")]
    if alarms := sorted(house.alarms()):
        told.append(f"alarm: {', '.join(alarms)}")
    if drill.asks:
        told.append(f"`jiesu {' '.join(drill.asks)}`: {house.command(*drill.asks).splitlines()[-1]}")
    return _plain("; ".join(told), house)


def _closed(drill: Drill, house: House, faults: list[str]) -> str:
    if drill.acts is not None:
        drill.acts(house)
    if until(lambda: drill.alarm not in house.alarms()):
        return "; the alarm closed by itself"
    faults.append(f"the alarm `{drill.alarm}` stays open")
    return ""


def _checked(drill: Drill, seen: Look) -> list[str]:
    found = [f"{name} was answered {said}" for name, said in seen.users.items() if said.status == 500]
    if drill.says and drill.says not in seen.ready.detail:
        found.append(f"`/readyz` must say {drill.says}")
    return found


def _plain(text: str, house: House) -> str:
    return text.replace(str(house.home), "HOME").replace(str(house.folder), "HOME")
