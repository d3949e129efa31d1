"""The packs of an installation: the shipped ones, and beside them those of its district, from a folder of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from domain.policy import Policy
from policies import loader
from policies.lines import Lines
from policies.liveness import proofs
from policies.liveness.words import refusals
from policies.loader import PolicyError, Problem

PROOFS: Final = "proofs"
"""The folder in that of the packs where their proofs are kept."""


def known(folder: Path | None) -> Mapping[str, Policy]:
    """By id the shipped packs and those of the folder. Raises PolicyError with all that is wrong with its files."""
    found, problems = {policy.id: policy for policy in loader.shipped()}, list[Problem]()
    for path in _files(folder).values():
        try:
            policy = _load(path)
        except PolicyError as error:
            problems += error.problems
        else:
            found[policy.id] = policy
    if problems:
        raise PolicyError(problems)
    return found


def find(policy_id: str, folder: Path | None) -> Policy:
    """The pack with this id, whatever is wrong with others. Raises PolicyError."""
    mine = _files(folder)
    if policy_id in mine:
        return _load(mine[policy_id])
    try:
        return loader.load_pack(policy_id)
    except PolicyError as error:
        raise PolicyError([Problem("", 0, ", ".join((str(error), *mine)))]) from None


def in_use(folder: Path | None, home: Path) -> Mapping[str, Policy]:
    """The packs as `known`, for issues to run under: each of the folder's is proved under the rules of this version.

    Proofs lie in `PROOFS` of the folder or of the home. Raises PolicyError.
    """
    found = known(folder)
    mine = {path: found[name] for name, path in _files(folder).items()}
    if problems := [
        Problem(str(path), 1, reason) for path, policy in mine.items() for reason in _unproved(path, policy, home)
    ]:
        raise PolicyError(problems)
    return found


def _unproved(path: Path, policy: Policy, home: Path) -> Iterator[str]:
    """Why issues may not run under the pack."""
    report = proofs.proof(policy, (path.parent / PROOFS, home / PROOFS))
    if report is None or report.commands < proofs.COMMANDS:
        yield f"there is no proof yet that no issue freezes under it: run `jiesu policy check {path}`"
    else:
        yield from refusals(policy, report)


def _files(folder: Path | None) -> Mapping[str, Path]:
    """The files of the folder by the ids that their names say."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise PolicyError([Problem(str(folder), 1, "is not a folder that can be read")])
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _load(path: Path) -> Policy:
    policy = loader.load_file(path)
    reason = None
    if (loader.SHIPPED / f"{policy.id}.toml").is_file():
        reason = f"id: {policy.id!r} is that of a shipped pack; give it another"
    elif policy.id != path.stem:
        reason = f"id: {policy.id!r} does not fit the file's name"
    if reason is not None:
        line = Lines(path.read_text(encoding="utf-8-sig")).of(("id",))
        raise PolicyError([Problem(str(path), line, reason)])
    return policy
