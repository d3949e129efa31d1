"""Holds the heads of a log back that was restored: heads that were published after the backup may cover a larger log, and
a log never signs a smaller one, nor another of that size, beside them.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

from audit import log as merkle_log
from audit.log_check import check_head, published_heads
from audit.log_keys import TrustedKeys
from audit.merkle import Tree
from db.engine import Database
from domain.wire import format_time
from runtime.files import put_new

_FILE: Final = "held.txt"
"""Stands in the folder of the heads, for those who read them as well."""


class HeldHeadsError(RuntimeError):
    """Nobody has said yet which heads were published after the backup from which this log was restored."""


class KeptHeadError(RuntimeError):
    """A head that others keep is not one of this log as it was restored; the message says why."""


def hold_back(folder: Path, moment: datetime) -> None:
    """From now on no head is signed: the log in this home is as of `moment`."""
    folder.mkdir(mode=0o755, exist_ok=True)
    text = (
        f"restored from a backup of {format_time(moment)}: heads may have been published after it, so none is signed until "
        "`jiesu audit restore` is told of them by --heads FOLDER, or that there are none by --no-newer-heads\n"
    )
    put_new(folder / _FILE, text.encode())


def held_back(folder: Path) -> bool:
    """Whether heads are held back."""
    return (folder / _FILE).exists()


def check_not_held(folder: Path) -> None:
    """Raises HeldHeadsError while heads are held back."""
    if held_back(folder):
        raise HeldHeadsError((folder / _FILE).read_text("utf-8").strip())


def release(folder: Path) -> None:
    """Heads are signed again."""
    (folder / _FILE).unlink(missing_ok=True)


async def adopt(database: Database, kept: Path, folder: Path, trust: TrustedKeys) -> int:
    """Puts heads that others keep beside the published ones, if the log still bears out all of them; returns how many.

    Raises KeptHeadError, and changes nothing then.
    """
    notes = await asyncio.to_thread(published_heads, kept)
    if not notes:
        raise KeptHeadError(f"there is no head in {kept}: they are named SIZE-TIME.txt")
    async with database.read() as session:
        leaves = await session.run_sync(merkle_log.bare_leaves)
    tree = Tree(leaf.leaf for leaf in leaves)
    for name, note in notes.items():
        for finding in check_head(name, note, tree, trust):
            raise KeptHeadError(f"{finding}: the log that was published is not the one that was restored")
    return sum([await asyncio.to_thread(put_new, folder / name, note.encode()) for name, note in notes.items()])
