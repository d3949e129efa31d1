"""The order in which each workflow's code can give commands to Temporal, against a committed baseline."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("command_baseline.json")
COMMANDS = {
    "sleep", "execute_activity", "start_activity", "execute_local_activity", "start_local_activity",
    "execute_child_workflow", "start_child_workflow", "continue_as_new", "patched", "deprecate_patch",
    "upsert_search_attributes", "upsert_memo", "uuid4", "random", "wait_condition", "create_task", "gather",
}  # fmt: skip

RUNBOOK = """
The order of Temporal commands in {file} changed. Every issue that is open now replays this code from its start,
so an unguarded change stops all of them. Do one of these:
1. Guard it: `if workflow.patched("what-changed"): new else: old`, add a golden history of the new path
   (`make golden`), and keep those of the old one.
2. Once no run of the old path exists in Temporal or is replayed with commands any more:
   `workflow.deprecate_patch`, a release later remove it.
3. Nothing that replays has changed (a rename, a moved line)? Then write the baseline anew:
   python tests/workflows/test_baseline.py
"""


def commands(file: Path) -> dict[str, list[str]]:
    """Method -> the calls in it that give a command, in the order of the source, with their constant options."""
    found: dict[str, list[str]] = {}
    classes = [node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    methods = ((kind.name, node) for kind in classes for node in ast.walk(kind))
    for kind, function in methods:
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        named = [
            (node.lineno, node.col_offset, ast.unparse(node))
            for node in calls
            if isinstance(node.func, ast.Attribute) and node.func.attr in COMMANDS
        ]
        if named:
            found[f"{kind}.{function.name}"] = [text for _, _, text in sorted(named)]
    return found


def now() -> dict[str, dict[str, list[str]]]:
    files = sorted((ROOT / "workflows").glob("*.py"))
    return {file.name: found for file in files if (found := commands(file))}


def test_command_sequences_are_those_of_the_baseline() -> None:
    baseline = json.loads(BASELINE.read_text("utf-8"))
    current = now()
    assert sorted(current) == sorted(baseline), RUNBOOK.format(file="workflows/")
    for file, functions in current.items():
        assert functions == baseline[file], RUNBOOK.format(file=file)


def test_the_extraction_sees_a_new_command(tmp_path: Path) -> None:
    source = (ROOT / "workflows" / "issue.py").read_text("utf-8")
    changed = tmp_path / "issue.py"
    changed.write_text(source.replace("self._arm(now)", "workflow.patched('x'); self._arm(now)"), "utf-8")
    assert commands(changed) != commands(ROOT / "workflows" / "issue.py")


if __name__ == "__main__":
    BASELINE.write_text(json.dumps(now(), indent=1) + "\n", "utf-8")
