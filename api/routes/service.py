"""Routes for operators and programs: is it alive, is it ready, what does it count, what does a problem mean."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.http.answers import AliveView, ProblemView, ReadyView
from api.http.openapi import answers
from api.http.problems import TYPES, Problem
from api.routes.issues import Use
from protocol.errors import NotFound

_CHECKS = {"temporal": True, "database": True, "clock": True}


async def healthz() -> Response:
    """The process answers; that is all it says."""
    return JSONResponse({"status": "ok"})


async def readyz(use: Use) -> Response:
    """Whether to send requests here: 200, or 503 with what is missing."""
    checks = await use.readiness.checks()
    ready = all(found is True for found in checks.values())
    return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)


def metrics(use: Use) -> Response:
    """Prometheus metrics. Not async: some are fetched from the SDK's own port."""
    return Response(generate_latest(use.registry), media_type=CONTENT_TYPE_LATEST)


async def problem(name: str) -> Response:
    """What a type of problem means."""
    kind = TYPES.get(name)
    if kind is None:
        raise NotFound
    return JSONResponse(_about(kind))


def _about(kind: Problem) -> dict[str, Any]:
    return {**kind.plain, "about": kind.about or kind.title}


def register(app: FastAPI) -> None:
    """Adds the routes."""
    alive = answers(200, {"status": "ok"}, "It lives", model=AliveView)
    app.get("/healthz", responses=alive, tags=["service"])(healthz)
    missing = {"ready": False, "checks": {**_CHECKS, "database": "does not answer"}}
    ready = {
        **answers(200, {"ready": True, "checks": _CHECKS}, "Ready", model=ReadyView),
        **answers(503, missing, "Not ready, and why", model=ReadyView),
    }  # fmt: skip
    app.get("/readyz", responses=ready, tags=["service"])(readyz)
    app.get("/metrics", tags=["service"], response_class=Response)(metrics)
    shown = answers(200, _about(TYPES["stale"]), "It", NotFound, model=ProblemView)
    app.get("/problems/{name}", responses=shown, tags=["service"])(problem)
