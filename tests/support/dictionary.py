"""Trains the archive's dictionary from the golden histories: ``python -m support.dictionary NUMBER``, once for ever."""

import sys
from pathlib import Path

import zstandard

from support.golden import HISTORIES

SIZE = 64 * 1024
CUT = 8000
"""Bytes of a sample: about a standard history."""


def train(number: int) -> bytes:
    samples: list[bytes] = []
    for file in sorted(HISTORIES.glob("*.pb")):
        history = file.read_bytes()
        samples += [history[begin : begin + CUT] for begin in range(0, len(history), CUT // 4)]
    return zstandard.train_dictionary(SIZE, samples * 3, dict_id=number).as_bytes()


if __name__ == "__main__":
    number = int(sys.argv[1])
    file = Path(__file__).resolve().parents[2] / "audit" / "dictionaries" / f"{number}.zdict"
    if file.exists():
        sys.exit(f"{file.name} is in use for ever: take the next number")
    file.write_bytes(train(number))
