"""Prints the docstrings of 40 files for a reader who marks those not understood at first reading.

`python -m bench.docstrings [SEED]`. The seed draws the files; the goal is fewer than one mark in 40.
"""

import ast
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SEED: Final = 9
FILES: Final = 40
_APART: Final = ("tests", "bench", "deploy", "migrations")


def drawn(seed: int) -> list[Path]:
    """FILES modules of production code that hold a docstring, drawn by the seed: equal seed and tree, equal modules."""
    modules = [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if not any(part in _APART or part.startswith(".") for part in path.relative_to(ROOT).parts)
        and next(docstrings(path), None)
    ]
    return sorted(random.Random(seed).sample(modules, FILES))


def docstrings(path: Path) -> Iterator[tuple[int, str, str]]:
    """``(line, name, text)`` of the module, its classes and functions, and the texts below constants and fields."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            previous = getattr(node, "name", "module")
            for child in node.body:
                if (
                    isinstance(child, ast.Expr)
                    and isinstance(child.value, ast.Constant)
                    and isinstance(child.value.value, str)
                ):
                    yield child.lineno, previous, " ".join(child.value.value.split())
                elif isinstance(child, ast.Assign | ast.AnnAssign):
                    previous = ast.unparse(child.targets[0] if isinstance(child, ast.Assign) else child.target)


def main() -> None:
    count = 0
    for path in drawn(int(sys.argv[1]) if len(sys.argv) > 1 else SEED):
        print(f"\n## {path.relative_to(ROOT)}")
        for line, name, text in sorted(docstrings(path)):
            count += 1
            print(f"{count}. {line} {name}: {text}")


if __name__ == "__main__":
    main()
