"""What a restored home says at its first start: as of when it is, and what it lost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from temporalio.client import Client

from audit.held import held_back
from audit.log import size
from audit.log_check import largest_published
from audit.rebuild import Rebuilt
from audit.runs import issues_of
from db.alarms import put_alarm_once
from db.engine import Database
from db.tables import IssueRow, OutboxRow
from domain.wire import format_time, parse_time
from domain.worktime import SHANGHAI
from runtime.files import put_new, sync

_WORD: Final = "restored.json"
_NAMED: Final = 5
ALARM: Final = "restored"


@dataclass(frozen=True)
class Restored:
    """That a home was restored at `at`, from a backup as of `moment`; `erased_again` keys were destroyed once more."""

    moment: datetime
    at: datetime
    erased_again: int = 0


@dataclass(frozen=True)
class Stock:
    """What a restored home has, and what it lacks."""

    open: int
    """Open issues that go on."""
    without_workflow: Sequence[str]
    """Open issues, by number, on which nobody acts: Temporal does not hold them."""
    rebuilt: Rebuilt
    waiting: int
    """Notices and jobs that waited at the time of the backup."""
    log_size: int
    published: int
    """The largest size of the log that a published head gives."""
    held_back: bool


def leave_word(home: Path, word: Restored) -> None:
    """Notes in the home that it was restored, so that its next start says so."""
    plain = {"moment": format_time(word.moment), "at": format_time(word.at), "erased_again": word.erased_again}
    put_new(home / _WORD, json.dumps(plain).encode(), 0o600)


def left_word(home: Path) -> Restored | None:
    """What the next start is to say; None if the home was not restored, or has said it."""
    try:
        plain = json.loads((home / _WORD).read_bytes())
    except FileNotFoundError:
        return None
    return Restored(parse_time(plain["moment"]), parse_time(plain["at"]), plain["erased_again"])


def forget_word(home: Path) -> None:
    """To be called once it is said."""
    (home / _WORD).unlink(missing_ok=True)
    sync(home)


async def take_stock(client: Client, database: Database, heads: Path, rebuilt: Rebuilt) -> Stock:
    """Compares a restored read model, once it is refilled (`rebuilt`), with Temporal and with the published heads."""
    known = {issue async for issue in issues_of(client)}
    async with database.read() as session:
        rows = await session.execute(select(IssueRow.id, IssueRow.number).where(IssueRow.closed_at.is_(None)))
        numbers = {row.id: row.number for row in rows}
        waiting = await session.scalar(select(func.count()).where(OutboxRow.ready_at.is_not(None))) or 0
        log_size = await session.run_sync(size)
    without = sorted(number for issue, number in numbers.items() if issue not in known)
    return Stock(
        len(numbers) - len(without), without, rebuilt, waiting, log_size, largest_published(heads), held_back(heads)
    )


def lines(word: Restored, stock: Stock) -> list[str]:
    """What is said on the console."""
    times = (
        f"restored from a backup of {_local(word.moment)}; of what came in after it, until {_local(word.at)}, nothing"
    )
    said = [f"{times} is on record", f"open issues that go on from then: {stock.open}"]
    if stock.without_workflow:
        some = ", ".join(stock.without_workflow[:_NAMED])
        said.append(
            f"nobody acts on {_count(len(stock.without_workflow), 'open issue')}, which Temporal does not hold: {some}"
        )
    if stock.rebuilt.unread:
        said.append(
            f"{_count(stock.rebuilt.unread, 'issue')} that Temporal holds could not be read: run `jiesu rebuild`"
        )
    if stock.waiting:
        said.append(
            f"{_count(stock.waiting, 'notice or job', 'notices and jobs')} waited then and go out now, perhaps again"
        )
    if stock.published > stock.log_size:
        said.append(
            f"a head of {stock.published} closed issues was published, and the log holds {stock.log_size}: no head is signed"
        )
    elif stock.held_back:
        said.append(
            "heads may have been published after it, so none is signed: say by `jiesu audit restore --heads FOLDER` "
            "which others keep, or --no-newer-heads"
        )
    again = f"{word.erased_again} erasures were done again" if word.erased_again else "no later erasure is known here"
    said.append(
        f"what was erased after it can be read again, and must be erased again (`jiesu privacy erase`): {again}"
    )
    return said


def raise_alarm(session: Session, word: Restored, stock: Stock, now: datetime) -> None:
    """Keeps it as an alarm, which stays open until somebody marks it."""
    detail = {
        "backup": format_time(word.moment), "restored": format_time(word.at), "open": stock.open,
        "without_workflow": len(stock.without_workflow), "unread": stock.rebuilt.unread,
        "refilled": len(stock.rebuilt.differences), "waiting": stock.waiting, "log": stock.log_size,
        "published": stock.published, "heads_held": stock.held_back, "erased_again": word.erased_again,
    }  # fmt: skip
    put_alarm_once(session, ALARM, None, detail, now, about="restored")


def _local(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
