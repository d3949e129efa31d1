"""Routes for operators and programs: whether the process is alive or ready, its metrics, and types of problems."""

from typing import Any, Final, Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.dependencies import Use
from api.http.openapi import answers
from api.http.problems import TYPES, Problem
from api.http.responses import Answer
from protocol.context import LANGUAGE
from protocol.errors import NotFound

router: Final = APIRouter(tags=["service"])

_CHECKS: Final = dict.fromkeys(("temporal", "database", "keys", "archive", "pictures", "clock", "signing"), True)


class AliveView(Answer):
    """The answer of a process that is alive."""

    status: Literal["ok"]


class ReadyView(Answer):
    """Whether the process is ready; `checks` maps the name of each check to true, or to what is wrong."""

    ready: bool
    checks: dict[str, Literal[True] | str]


class ProblemView(Answer):
    """What a type of problem means."""

    type: str
    title: str
    status: int
    about: str


def _about(kind: Problem) -> dict[str, Any]:
    return {**kind.plain(language := LANGUAGE.get()), "about": kind.about or kind.titled(language)}


@router.get("/healthz", responses=answers(200, {"status": "ok"}, "It lives"))
async def healthz() -> AliveView:
    """Answers ok as long as the process is alive. It does not say whether Temporal and the database answer."""
    return AliveView(status="ok")


@router.get(
    "/readyz",
    responses={
        **answers(200, {"ready": True, "checks": _CHECKS}, "Ready"),
        **answers(
            503, {"ready": False, "checks": {**_CHECKS, "database": "disk full"}}, "Not ready, and why",
            model=ReadyView,
        ),
    },
)  # fmt: skip
async def readyz(use: Use, answer: Response) -> ReadyView:
    """Whether this process can serve requests: 200 if it can, else 503 with what is wrong."""
    checks = await use.readiness.checks()
    ready = all(found is True for found in checks.values())
    answer.status_code = 200 if ready else 503
    return ReadyView(ready=ready, checks=checks)


@router.get("/metrics", response_class=Response)
def metrics(use: Use) -> Response:
    """Prometheus metrics.

    The function is not async, so it runs in a thread: it waits for metrics that come from the port of Temporal's SDK.
    """
    return Response(generate_latest(use.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/problems/{name}", responses=answers(200, _about(TYPES["stale"]), "It", NotFound))
async def problem(name: str) -> ProblemView:
    """What a type of problem means."""
    kind = TYPES.get(name)
    if kind is None:
        raise NotFound
    return ProblemView(**_about(kind))
