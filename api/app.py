"""The API as an ASGI app."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final, TypedDict

from fastapi import APIRouter, FastAPI

from api.container import Services
from api.http import problems
from api.http.middleware import BodyLimit, Edge
from api.http.openapi import document
from api.routes import (
    attachments,
    audit,
    codec,
    commands,
    embedded_provider,
    issues,
    lists,
    phones,
    service,
    session,
    streams,
)
from api.routes.forms import router as forms

_DESCRIPTION: Final = """\
接诉即办: act on every complaint. A resident's issue is taken in, worked on, and climbs by itself if nobody acts in time.

Every command carries an `Idempotency-Key`: send the same one again and it takes effect once, with the same answer.
Errors are `application/problem+json`; their types are stable. Times are RFC 3339 in UTC.

Whoever holds several roles says in which one a request is meant, with `X-Acting-Role` and `X-Acting-Org`. A browser's
session is a cookie, and what changes something by it needs the `X-CSRF-Token` that `GET /session` tells.
"""


class State(TypedDict):
    """The state that every request carries: the services."""

    services: Services


def create_app(services: Services, pages: Iterable[APIRouter] = ()) -> FastAPI:
    """Makes the FastAPI app over these services, with routers of pages beside its own.

    At its end the app closes what the services began, but no connection that the composition root handed over.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
        services.readiness.watch()
        yield {"services": services}
        await services.close()

    routers = [
        forms, *(each.router for each in (issues, lists, streams, commands, attachments, phones, audit, codec, service)),
    ]  # fmt: skip
    if services.session is not None:
        routers.append(session.router)
    if services.embedded_provider is not None:
        routers.append(embedded_provider.router)
    routers.extend(pages)
    app = FastAPI(
        title="Jiesu", version="1", description=_DESCRIPTION, lifespan=lifespan,
        # The pages of these load scripts from foreign networks.
        docs_url=None, redoc_url=None,
        # In one list: `include_router` would match each request twice, which doubles the time that finding a route takes.
        routes=[route for router in routers for route in router.routes],
        redirect_slashes=False,
    )  # fmt: skip
    app.openapi = lambda: document(app, services.sessions and services.sessions.cookie)
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Edge, meters=services.meters, proxies=services.proxies)
    app.add_middleware(codec.Cors, origins=services.codec_origins)
    return app
