"""docs/architecture.md, the import-linter contracts and the imports agree, and no files import in a circle."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LINES_OF_HTTP, LINES_OF_A_ROUTE = 2_620, 25
"""How many lines HTTP may have for everything, and for each route: 3,350 for the 38 routes of the day it was set, and 220 since
for event streams, codes of faults, forms, and pages."""


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [Path(name) for name in listed if (ROOT / name).exists()]


def layers() -> list[set[str]]:
    """The layers of import-linter, the highest first."""
    (contract,) = (each for each in PROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [{name.strip() for name in layer.split("|")} for layer in contract["layers"]]


ROOMS = sorted(set().union(*layers()))


def described() -> dict[str, set[str]]:
    """The rooms of the page, each with those that it may import."""
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    return {room: set(re.findall(r"\w+", may)) for room, may in rows}


def modules() -> dict[str, Path]:
    """Every module of the production code by its dotted name."""
    found: dict[str, Path] = {}
    for path in tracked():
        if path.parts[0] in ROOMS or path == Path("worker.py"):
            parts = path.with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[str]:
    """Our modules that a module imports, wherever in its code, also those for types only."""
    for node in ast.walk(ast.parse((ROOT / MODULES[module]).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES and name != module)


@cache
def graph() -> dict[str, set[str]]:
    return {module: set(imports(module)) for module in MODULES}


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        new = edges[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert {module for module in graph() if module in reachable(module, graph())} == set()


def test_a_circle_would_be_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b"}}
    assert {module for module in edges if module in reachable(module, edges)} == {"b", "c"}


def test_the_root_holds_one_module() -> None:
    assert [path.name for path in tracked() if len(path.parts) == 1] == ["worker.py"]


def test_every_folder_of_code_is_a_room() -> None:
    apart = {"tests", "bench", "deploy", "findings"}
    assert {path.parts[0] for path in tracked() if len(path.parts) > 1} - apart == set(ROOMS)
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]) == {*ROOMS, "worker.py"}


def test_the_image_gets_every_room() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert {*ROOMS, "worker.py"} <= kept


def test_the_page_names_every_room_and_what_it_may_import() -> None:
    order = layers()
    may = {room: set().union(*order[level + 1 :]) for level, layer in enumerate(order) for room in layer}
    may["cli"].add("worker")  # one module is no package, so import-linter cannot place it among the layers
    told = described()
    assert set(told) == {*ROOMS, "worker"}
    wrong = {room: told[room] - may[room] for room in ROOMS if told[room] - may[room]}
    assert wrong == {}, "the page allows what import-linter forbids"


@pytest.mark.parametrize("room", [*ROOMS, "worker"])
def test_a_room_imports_what_the_page_says(room: str) -> None:
    used = {
        name.partition(".")[0]
        for module, found in graph().items()
        if module.partition(".")[0] == room
        for name in found
    } - {room}
    assert used == described()[room]


def test_the_http_part_of_the_api_stays_small() -> None:
    counted = [path for path in tracked() if path.parts[0] == "api" and path.parts[1] != "identity"]
    texts = [(ROOT / path).read_text("utf-8") for path in counted]
    routes = sum(len(re.findall(r"^@\w*router\.(?:get|post|put|delete)\(", text, re.MULTILINE)) for text in texts)
    assert sum(len(text.splitlines()) for text in texts) <= LINES_OF_HTTP + LINES_OF_A_ROUTE * routes
