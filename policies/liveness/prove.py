"""``python -m policies.liveness.prove [--commands N] [ID...]`` searches the shipped packs anew, and records the proofs.

Each pack takes two processes.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from domain.policy import Policy
from policies.liveness import proofs
from policies.liveness.report import Report
from policies.liveness.search import Search
from policies.liveness.words import findings, refusals
from policies.loader import load_pack, shipped


def prove(
    policy: Policy, commands: int = proofs.COMMANDS, *, resident: bool = False, seconds: float | None = None
) -> Report:
    """Searches the pack to this depth, for at most so many seconds."""
    processes = min(2, os.cpu_count() or 1)
    return Search(policy, [other(policy)], resident=resident, seconds=seconds, processes=processes).run(commands)


def other(policy: Policy) -> Policy:
    """The pack to which the administrator of the search changes: the one for everything, or else that of disputes."""
    return load_pack("dispute" if policy.id == "12345" else "12345")


def main(arguments: Sequence[str]) -> int:
    """Records the proofs of these shipped packs, or of all. Returns 1 if one of them may not be used."""
    parser = argparse.ArgumentParser(prog="python -m policies.liveness.prove")
    parser.add_argument("--commands", type=int, default=proofs.COMMANDS)
    parser.add_argument("ids", nargs="*")
    given = parser.parse_args(arguments)
    failed = 0
    for policy in [load_pack(each) for each in given.ids] or shipped():
        began = time.monotonic()
        report = prove(policy, given.commands)
        took = time.monotonic() - began
        against = list(refusals(policy, report))
        if against:
            failed = 1
        else:
            proofs.keep(policy, report)
        said = "\n  ".join((f"{policy.id}: {took:.0f} s", *findings(policy, report), *against))
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
