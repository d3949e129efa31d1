"""Trains the archive's compression dictionary, once and for ever: ``python -m support.dictionary NUMBER ARCHIVE...``.

The samples are the golden histories and the histories of archive folders, such as homes with a few hundred standard
issues played under each policy.
"""

import asyncio
import sys
from pathlib import Path

import zstandard

from audit.archive import Archive
from support.golden import HISTORIES

SIZE = 110 * 1024


async def samples(archives: list[Path]) -> list[bytes]:
    found = [file.read_bytes() for file in sorted(HISTORIES.glob("*.pb"))]
    for folder in archives:
        archive = Archive(folder.resolve().as_uri())
        async for shelf in archive.issues():
            found += [await archive.get_run(key) for key in shelf.runs.values()]
    return found


if __name__ == "__main__":
    number = int(sys.argv[1])
    file = Path(__file__).resolve().parents[2] / "audit" / "dictionaries" / f"{number}.zdict"
    if file.exists():
        sys.exit(f"{file.name} is in use for ever: take the next number")
    trained = zstandard.train_dictionary(
        SIZE, asyncio.run(samples([Path(each) for each in sys.argv[2:]])), dict_id=number
    )
    file.write_bytes(trained.as_bytes())
