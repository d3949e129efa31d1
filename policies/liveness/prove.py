"""``python -m policies.liveness.prove [ID...]`` searches the shipped packs anew, two processes each, and records the proofs."""

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


def main(ids: Sequence[str]) -> int:
    """Records the proofs of these shipped packs, or of all. Returns 1 if one of them may not be used."""
    failed = 0
    for policy in [load_pack(each) for each in ids] or shipped():
        began = time.monotonic()
        report = prove(policy)
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
