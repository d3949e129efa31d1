"""Reads the source of what workflows run, and names what a replay could not repeat: clock, chance, I/O, module state.

It stands in the place of the part of Temporal's sandbox that `worker.py` does without.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
OUTSIDE: Final = frozenset({"workflows/signals.py"})
"""Files of these rooms that no workflow runs; none of the others may import them."""
_MODULES: Final = frozenset({
    "collections", "collections.abc", "csv", "dataclasses", "datetime", "functools", "hashlib", "itertools", "json",
    "operator", "re", "string", "types", "typing", "unicodedata", "zoneinfo",
    "texts.vocabulary", "security.signing",
})  # fmt: skip
"""Modules without clock, chance and I/O, of which anything may be imported; beside them `domain` and `workflows`."""
_OF_SHELLS: Final = frozenset({
    "asyncio", "temporalio.workflow", "temporalio.api.common.v1", "temporalio.common", "temporalio.exceptions",
})  # fmt: skip
"""What shells may import beside them."""
_PARTS: Final[dict[str, frozenset[str]]] = {
    "io": frozenset({"StringIO"}),
    "uuid": frozenset({"NAMESPACE_URL", "uuid5"}),
    "asyncio": frozenset({"Task", "create_task"}),
    "workflow.unsafe": frozenset({"imports_passed_through"}),
}
"""Modules of which only these parts are harmless."""
_BUILT_IN: Final = frozenset({
    "__import__", "breakpoint", "compile", "eval", "exec", "globals", "hash", "id", "input", "open", "print",
})  # fmt: skip
"""Builtins that reach the world, or whose results differ from one process to the next."""
_CLOCKS: Final = frozenset({"now", "utcnow", "today", "localtime", "monotonic", "perf_counter", "time_ns"})
_CHANGERS: Final = frozenset({
    "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update",
})  # fmt: skip
_TABLES: Final = frozenset({("domain/decide.py", "TAKE"), ("domain/evolve.py", "CHANGES")})
"""Tables that decorators fill while their module is loaded, and nothing changes afterwards."""


def files() -> dict[str, str]:
    """The source of every file that workflows run, by its name."""
    found = sorted([*(ROOT / "domain").rglob("*.py"), *(ROOT / "workflows").rglob("*.py")])
    names = {str(file.relative_to(ROOT)): file for file in found}
    return {name: file.read_text("utf-8") for name, file in names.items() if name not in OUTSIDE}


def impurities(name: str, source: str) -> list[str]:
    """What a replay could not repeat in a file of `domain/` or `workflows/`, each as ``file:line: what``."""
    tree = ast.parse(source)
    found = [(_line(node), what) for node in ast.walk(tree) for what in _reaches_out(name, node)]
    shared = _bound(tree.body)
    for function in _functions(tree):
        found += [
            (line, f"changes {changed}, which all workflows share")
            for line, changed in _changes(function, shared - _own(function))
            if (name, changed) not in _TABLES
        ]
    return [f"{name}:{line}: {what}" for line, what in sorted(set(found))]


def _line(node: ast.AST) -> int:
    place = node.iter if isinstance(node, ast.comprehension) else node
    return int(getattr(place, "lineno", 0))


def _reaches_out(name: str, node: ast.AST) -> Iterator[str]:
    """What one piece of code has to do with the world around it."""
    match node:
        case ast.Import(names=names):
            yield from (f"imports {each.name}" for each in names if not _may_import(name, each.name, each.asname))
        case ast.ImportFrom(module=str() as module, names=names):
            yield from (f"imports {module}.{each.name}" for each in names if not _may_take(name, module, each.name))
        case ast.Attribute(value=value, attr=part) if (parts := _PARTS.get(ast.unparse(value))) and part not in parts:
            yield f"uses {ast.unparse(node)}"
        case ast.Attribute(attr=part) if part in _CLOCKS and ast.unparse(node) != "workflow.now":
            yield f"asks a clock: {ast.unparse(node)}"
        case ast.Call(func=ast.Attribute(attr="astimezone" | "fromtimestamp"), args=[], keywords=[]):
            yield "asks for the zone of this machine"
        case ast.Call(func=ast.Attribute(attr="fromtimestamp"), args=[_], keywords=[]):
            yield "asks for the zone of this machine"
        case ast.Call(func=ast.Name(id=called)) if called in _BUILT_IN:
            yield f"calls {called}"
        case ast.Global(names=names):
            yield from (f"changes {each}, which all workflows share" for each in names)
        case ast.ClassDef(body=body) if any(_is_mutable(each) for each in body):
            yield f"keeps state in the class {node.name}"
        case ast.For(iter=walked) | ast.comprehension(iter=walked) if _is_set(walked):
            yield "goes through a set, whose order differs from one process to the next"
        case _:
            pass


def _may_import(name: str, module: str, alias: str | None) -> bool:
    if module in _PARTS:
        return alias is None and (module != "asyncio" or name.startswith("workflows/"))
    return module in _MODULES or _is_ours(name, module)


def _may_take(name: str, module: str, part: str) -> bool:
    if module in _PARTS:
        return part in _PARTS[module]
    whole = f"{module}.{part}"
    if name.startswith("workflows/") and (module in _OF_SHELLS or whole in _OF_SHELLS):
        return True
    return module in _MODULES or _is_ours(name, module) or _is_ours(name, whole)


def _is_ours(name: str, module: str) -> bool:
    room, _, rest = module.partition(".")
    if f"{room}/{rest.partition('.')[0]}.py" in OUTSIDE:
        return False
    return bool(rest) and (room == "domain" or (room == "workflows" and name.startswith("workflows/")))


def _is_set(walked: ast.expr) -> bool:
    if isinstance(walked, ast.Call) and isinstance(walked.func, ast.Name):
        return walked.func.id in ("set", "frozenset")
    return isinstance(walked, (ast.Set, ast.SetComp))


def _is_mutable(statement: ast.stmt) -> bool:
    """Whether a statement gives a class a value that its objects would share and could change."""
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    if isinstance(value, ast.Call):
        return ast.unparse(value.func) in ("list", "dict", "set", "defaultdict", "deque", "Counter")
    return isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp))


_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _functions(tree: ast.AST) -> Iterator[_Function]:
    """The outermost functions; those inside them are part of them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _Function):
            yield node
        else:
            yield from _functions(node)


def _bound(body: Iterable[ast.stmt]) -> set[str]:
    """The names that statements bind: values, functions, classes, imports."""
    found: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
    return found


def _own(function: _Function) -> set[str]:
    """The names that a function, or a function in it, has for itself."""
    named = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return named | {
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _changes(function: _Function, shared: set[str]) -> Iterator[tuple[int, str]]:
    """Where a function changes what one of these names stands for, or any part of it."""
    for node in ast.walk(function):
        changed: ast.expr | None = None
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGERS:
            changed = node.func.value
        while isinstance(changed, (ast.Attribute, ast.Subscript)):
            changed = changed.value
        if isinstance(changed, ast.Name) and changed.id in shared:
            yield changed.lineno, changed.id
