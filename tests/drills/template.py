"""The home with which each drill begins: an open issue with a picture, one that is closed and sealed, a published head."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client

from audit.schedules import SEAL_DAY
from tests.drills.house import House, HouseError, Known, until

_KEYS: Final = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


def build(folder: Path) -> Known:
    """Makes it in this folder, and stops it."""
    folder.mkdir()
    with contextlib.closing(House(folder)) as house:
        if said := house.start():
            raise HouseError(f"it did not start: {said}")
        kept, closed = (_reported(house, key) for key in _KEYS)
        code = {"X-Tracking-Code": kept["tracking_code"]}
        path = f"/v1/issues/{closed['id']}/commands/withdraw"
        withdrawn = {"X-Tracking-Code": closed["tracking_code"], "Idempotency-Key": _KEYS[0]}
        gone = until(lambda: house.ask("POST", path, withdrawn, json={"reason": "好了"}).status == 200)
        _must(gone, "an issue is not closed")
        _must(
            until(lambda: house.ask("GET", f"/v1/issues/{kept['id']}", code).status == 200), "a report is not on record"
        )
        added = house.attach(kept["id"], code, 0)
        _must(added.status == 201, f"a picture is not added: {added}")
        _must(until(lambda: any((house.home / "archive").rglob(f"{closed['id']}/*"))), "nothing is archived")
        sealed(house)
        return Known(kept["id"], code, added.body["attachment"], closed["id"])


def sealed(house: House) -> None:
    """Has the head of the day made now, and waits until it is published."""
    trigger(house)
    _must(until(lambda: len([*(house.home / "heads").glob("*.html")]) > 0), "no head is published")


def trigger(house: House) -> None:
    """Has the head of the day made now."""
    asyncio.run(_trigger(house))


async def _trigger(house: House) -> None:
    client = await Client.connect(house.settings.address)
    await client.get_schedule_handle(SEAL_DAY).trigger()


def _reported(house: House, key: str) -> dict[str, Any]:
    found = []
    _must(until(lambda: found.append(house.report(key)) or found[-1].status == 201), "a report is not taken")
    return found[-1].body


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise HouseError(otherwise)
