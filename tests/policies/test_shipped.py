"""A shipped policy stays loadable for ever: each committed body, and each that a golden history pins.

``python tests/policies/test_shipped.py`` commits the bodies of packs that are shipped for the first time.
"""

import json
import sys
from pathlib import Path

import pytest

from audit.archive import parse_history
from audit.gate import golden
from audit.refold import refold
from domain.events import PolicyChanged
from domain.pins import read_policy
from domain.policy import Policy
from domain.wire import canonical, dump
from policies.loader import shipped

FOLDER = Path(__file__).resolve().parent / "shipped"
"""``ID-VERSION.DIGEST.json``: the canonical body of each pack, as issues have pinned it."""
FILES = sorted(FOLDER.glob("*.json"))
WHAT_TO_DO = """
{name} is not the pack that was shipped under this version: issues have pinned that one by its digest.
- The pack changed? What was shipped never changes: give it the next `version`, and commit its body by
  `python tests/policies/test_shipped.py`.
- Only the code changed? Then it reads the same pack otherwise: let a new field have a default, and leave old ones.
"""
NEW = """
{name} is shipped for the first time: commit its body by `python tests/policies/test_shipped.py`.
"""


def file_of(policy: Policy) -> Path:
    return FOLDER / f"{policy.id}-{policy.version}.{policy.digest}.json"


def known(policy: Policy) -> list[Path]:
    """The files of this id and version."""
    return [file for file in FILES if file.name.startswith(f"{policy.id}-{policy.version}.")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_every_body_that_was_shipped_loads_unchanged(file: Path) -> None:
    policy = read_policy(json.loads(file.read_bytes()))
    assert file_of(policy) == file, WHAT_TO_DO.format(name=file.name)
    assert canonical(dump(policy)) == file.read_bytes(), WHAT_TO_DO.format(name=file.name)


@pytest.mark.parametrize("policy", shipped(), ids=lambda policy: policy.id)
def test_every_pack_of_today_is_among_them(policy: Policy) -> None:
    name = f"{policy.id}, version {policy.version}"
    assert known(policy), NEW.format(name=name)
    assert known(policy) == [file_of(policy)], WHAT_TO_DO.format(name=name)


def test_what_golden_histories_pin_loads() -> None:
    """That of the start, and those that were changed to; all of them were shipped."""
    changed = 0
    for case in golden():
        folded = refold(case.issue, [parse_history("", run) for run in case.runs])
        for policy in (folded.policy, *(e.body.policy for e in folded.events if isinstance(e.body, PolicyChanged))):
            assert file_of(policy) in FILES, f"{case.issue} pins {policy.id}, which was never shipped"
            assert read_policy(json.loads(file_of(policy).read_bytes())) == policy
        changed += folded.state.policy != folded.policy
    assert changed


def commit() -> None:
    """Writes what is not there; what was shipped under its version stays as it is."""
    FOLDER.mkdir(exist_ok=True)
    for policy in shipped():
        if not known(policy):
            file_of(policy).write_bytes(canonical(dump(policy)))
            sys.stdout.write(f"committed {file_of(policy).name}\n")
        elif known(policy) != [file_of(policy)]:
            sys.stdout.write(WHAT_TO_DO.format(name=f"{policy.id}, version {policy.version}"))


if __name__ == "__main__":
    commit()
