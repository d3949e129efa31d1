"""Alters the rules in one place at a time and counts how many alterations the tests of the domain notice.

`python -m bench.mutants [COUNT] [SEED] [ROOT]`: draws COUNT mutants of ROOT/domain by SEED, runs `tests/domain` in a
copy of the tree against each mutant, and prints the mutants that pass all tests. A mutant is the code with one
comparison, boolean operator, number or truth value altered.
"""

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

COUNT: Final = 20
SEED: Final = 9
AT_ONCE: Final = 1
SECONDS: Final = 900
_SWAPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_APART: Final = frozenset({".venv", ".git", ".jiesu", "__pycache__", ".hypothesis", ".pytest_cache", ".ruff_cache"})


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """``(line, what was altered, altered source)`` for each alteration in the functions of a module."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPPED:
                before, node.ops[0] = node.ops[0], _SWAPPED[type(node.ops[0])]()
                yield node.lineno, f"{type(before).__name__} -> {type(node.ops[0]).__name__}", ast.unparse(tree)
                node.ops[0] = before
            elif isinstance(node, ast.BoolOp):
                operator, node.op = node.op, ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield node.lineno, f"{type(operator).__name__} -> {type(node.op).__name__}", ast.unparse(tree)
                node.op = operator
            elif isinstance(node, ast.Constant) and isinstance(node.value, int):
                value = node.value
                node.value = not value if isinstance(value, bool) else value + 1
                yield node.lineno, f"{value} -> {node.value}", ast.unparse(tree)
                node.value = value


def drawn(root: Path, count: int, seed: int) -> list[tuple[Path, int, str, str]]:
    found = [
        (path.relative_to(root), *mutant)
        for path in sorted((root / "domain").glob("*.py"))
        for mutant in mutants(path.read_text("utf-8"))
    ]
    return random.Random(seed).sample(found, min(count, len(found)))


def survives(root: Path, altered: Mapping[Path, str]) -> bool:
    """Whether the tests of the domain pass in a copy of the tree with these modules in place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(root, tree, ignore=lambda _, names: _APART.intersection(names))
        for path, source in altered.items():
            (tree / path).write_text(source, "utf-8")
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/domain"]
        try:
            done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{[*altered]}: pytest ended with {done.returncode}\n{done.stdout.decode()}")
        return done.returncode == 0


def main() -> None:
    given = sys.argv[1:]
    count, seed = (int(given[0]) if given else COUNT), (int(given[1]) if len(given) > 1 else SEED)
    root = Path(given[2] if len(given) > 2 else Path(__file__).parents[1]).resolve()
    chosen = drawn(root, count, seed)
    # A mutant is written without comments: the tests must pass with all modules written so, and nothing altered.
    same = {path: ast.unparse(ast.parse((root / path).read_text("utf-8"))) for path, *_ in chosen}
    if not survives(root, same):
        raise RuntimeError("the tests fail without any mutant")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        alive = list(pool.map(lambda mutant: survives(root, {mutant[0]: mutant[3]}), chosen))
    for (path, line, what, _), is_alive in zip(chosen, alive, strict=True):
        if is_alive:
            print(f"survives: {path}:{line} {what}")
    print(f"{len(chosen) - sum(alive)} of {len(chosen)} mutants are noticed (seed {seed})")


if __name__ == "__main__":
    main()
