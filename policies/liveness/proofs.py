"""Proofs: what a search found, kept by the digests of pack and rules, so that nothing is searched twice.

Those of shipped packs are committed beside this file; those of other packs stand in the home.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import domain
from domain.policy import Policy
from domain.wire import WireError, dump, load
from policies.liveness.report import Report

SHIPPED: Final = Path(__file__).parent.parent / "proofs"
COMMANDS: Final = 3
"""How many commands deep packs are searched at least; shipped ones a command deeper before a release."""
_DOMAIN: Final = Path(domain.__file__).parent
_HERE: Final = Path(__file__).parent
_BEGINS: Final = (_DOMAIN / "advance.py", *(_HERE / f"{name}.py" for name in ("alone", "moves", "search", "states")))
"""The rules, and the search itself: what they import of the domain counts as well."""


def file_of(policy: Policy, folder: Path) -> Path:
    """The file of the pack's proof in this folder."""
    return folder / f"{policy.id}.json"


def proof(policy: Policy, folders: Iterable[Path] = (SHIPPED,)) -> Report | None:
    """The kept proof of exactly this pack under today's rules; None if there is none."""
    for folder in folders:
        try:
            plain = json.loads(file_of(policy, folder).read_bytes())
            if (plain["policy"], plain["rules"]) == (policy.digest, rules_digest()):
                return load(Report, plain["report"])
        except (OSError, ValueError, KeyError, TypeError, WireError):
            continue
    return None


def keep(policy: Policy, report: Report, folder: Path = SHIPPED) -> Path:
    """Writes the proof. Raises OSError."""
    plain = {"id": policy.id, "policy": policy.digest, "rules": rules_digest(), "report": dump(report)}
    folder.mkdir(parents=True, exist_ok=True)
    file = file_of(policy, folder)
    file.write_text(json.dumps(plain, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return file


@cache
def rules_digest() -> str:
    """The digest of the rules and of the search, by their code without comments and docstrings."""
    found = hashlib.sha256()
    for path in sorted(_closure(_BEGINS)):
        found.update(f"{path.name}\n{_code(path)}\n".encode())
    return found.hexdigest()


def _closure(paths: Iterable[Path]) -> set[Path]:
    """These modules and what they import of the domain, and so on."""
    found, new = set[Path](), set(paths)
    while new:
        found |= new
        new = {each for path in new for each in _imports(path)} - found
    return found


def _imports(path: Path) -> set[Path]:
    names = set[str]()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    files = {_DOMAIN / f"{name.removeprefix('domain.')}.py" for name in names if name.startswith("domain.")}
    return {file for file in files if file.is_file()}


def _code(path: Path) -> str:
    """The lines of a module that decide anything. Not its syntax tree, which differs between versions of Python."""
    texts = {
        line
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    return "\n".join(line for number, line in lines if number not in texts and not _says_nothing(line.strip()))


def _says_nothing(line: str) -> bool:
    return not line or line.startswith("#")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
