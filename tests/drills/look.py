"""One look at a home: what a report, a command, reads and pictures are answered, and what `/readyz` says."""

import uuid
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from tests.drills.house import House, Known, Said, until

AS_EVER: Final = {"report": 201, "command": 200, "read": 200, "list": 200, "add a picture": 201, "see a picture": 200}
"""What users do, and the status of its answer while nothing is wrong."""
LONGEST: Final = 150.0
"""Seconds within which a home heals by itself, if it does."""
_shades: Final = count(1)


@dataclass
class Kept:
    """What was acknowledged, or sent and to be sent again: by key, and what was answered last."""

    reports: dict[str, Said] = field(default_factory=dict[str, Said])
    commands: dict[str, Said] = field(default_factory=dict[str, Said])


@dataclass(frozen=True)
class Look:
    """What users were answered, by what they did, and what `/readyz` said."""

    users: dict[str, Said]
    ready: Said

    @property
    def is_whole(self) -> bool:
        return self.ready.status == 200 and all(said.status == AS_EVER[name] for name, said in self.users.items())

    def told(self) -> str:
        """What was not as ever, for people."""
        odd: dict[str, list[str]] = {}
        for name, said in self.users.items():
            if said.status != AS_EVER[name]:
                odd.setdefault(str(said), []).append(name)
        return "; ".join(f"{', '.join(names)}: {said}" for said, names in odd.items()) or "all as ever"


def look(house: House, known: Known, staff: dict[str, str], kept: Kept) -> Look:
    """Does once what users do, each with a key of its own, and asks `/readyz`."""
    ready = house.ready()
    report, command = str(uuid.uuid4()), str(uuid.uuid4())
    kept.reports[report] = house.report(report)
    kept.commands[command] = house.comment(known, command)
    path = f"/v1/issues/{known.issue}"
    users = {
        "report": kept.reports[report],
        "command": kept.commands[command],
        "read": house.ask("GET", path, known.code),
        "list": house.ask("GET", "/v1/worklist?org=other-property", staff),
        "add a picture": _attached(house, known, kept.reports[report]),
        "see a picture": house.ask("GET", f"{path}/attachments/{known.picture}", known.code),
    }
    return Look(users, ready)


def _attached(house: House, known: Known, reported: Said) -> Said:
    """A new picture, to the issue that was just reported if it was: an issue holds a few only."""
    if reported.status != 201:
        return house.attach(known.issue, known.code, next(_shades))
    return house.attach(reported.body["id"], {"X-Tracking-Code": reported.body["tracking_code"]}, next(_shades))


def heals(house: House, known: Known, staff: dict[str, str], kept: Kept) -> bool:
    """Whether all is as ever again within LONGEST."""
    return house.runs and until(lambda: look(house, known, staff, kept).is_whole, LONGEST)


def lost(house: House, known: Known, kept: Kept) -> list[str]:
    """What was acknowledged and is not there, or cannot be sent again with its key, as the answer had said."""
    gone: list[str] = []
    for key, said in kept.reports.items():
        again = house.report(key)
        if again.status not in (200, 201):
            gone.append(f"a report answered {said} is answered {again} again")
        elif said.status == 201:
            code = {"X-Tracking-Code": said.body["tracking_code"]}
            if not until(lambda: house.ask("GET", f"/v1/issues/{said.body['id']}", code).status == 200, 60):  # noqa: B023
                gone.append("a report that was acknowledged cannot be read")
            elif house.ask("GET", f"/v1/issues/{said.body['id']}/timeline", code).status != 200:
                gone.append("the timeline of a report that was acknowledged cannot be read")
    for key, said in kept.commands.items():
        if not until(lambda: house.comment(known, key).status == 200, 60):  # noqa: B023
            gone.append(f"a command answered {said} is answered {house.comment(known, key)} again")
    return gone
