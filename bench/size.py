"""Counts the lines of production code: `python -m bench.size [FOLDER]`.

A line counts if it holds code. Blank lines, comments and docstrings do not count, nor do the files of the tests, of
`bench`, and of the migrations, which never change.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import Final

_APART: Final = frozenset({"tests", "bench", "build", "dist", "findings", "migrations"})
_NO_CODE: Final = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


def code_lines(source: str) -> int:
    """The number of lines of a module that hold code."""
    texts = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - texts)


def by_room(root: Path) -> dict[str, int]:
    """The number of lines of code by folder or module at the top of the tree."""
    found: dict[str, int] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if any(part in _APART or part.startswith(".") for part in parts):
            continue
        found[parts[0]] = found.get(parts[0], 0) + code_lines(path.read_text("utf-8"))
    return found


def main() -> None:
    rooms = by_room(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for name, count in sorted(rooms.items(), key=lambda each: -each[1]):
        print(f"{count:6} {name}")
    print(f"{sum(rooms.values()):6} in all")


if __name__ == "__main__":
    main()
