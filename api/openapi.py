"""How routes are described in the OpenAPI document: one example an answer, one line a problem."""

from typing import Any

from api import examples
from api.problems import MEDIA_TYPE, PREFIX, TYPES, Problem

Answers = dict[int | str, dict[str, Any]]


def answers(status: int, example: Any, text: str, *problems: type[Problem]) -> Answers:
    """The answer of a route with its example, and the problems that it may have."""
    described: Answers = {status: {"description": text, "content": {"application/json": {"example": example}}}}
    for problem in problems:
        known = described.setdefault(problem.status, {"description": problem.title, "content": {}})
        body = examples.REFUSED if problem is TYPES["refused"] else _example(problem)
        shown = known["content"].setdefault(MEDIA_TYPE, {"examples": {}})
        shown["examples"][problem.type] = {"value": body}
    return described


def _example(problem: type[Problem]) -> dict[str, Any]:
    return {"type": PREFIX + problem.type, "title": problem.title, "status": problem.status}
