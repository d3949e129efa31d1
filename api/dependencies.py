"""The FastAPI dependencies of routes: the services, the caller, and the id of the issue.

All of them are coroutines, because FastAPI would run a plain function in a thread, for each request.
"""

import re
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.container import Services
from protocol.caller import Caller
from protocol.errors import Invalid, NotFound

_ID: Final = re.compile(r"[0-9a-z-]{1,64}")


async def services(request: Request) -> Services:
    return cast("Any", request.state).services


Use = Annotated[Services, Depends(services)]


async def anybody(request: Request, use: Use) -> Caller:
    """The caller. A request without credentials is accepted: its `Caller` has neither actor nor tracking code."""
    return await use.authenticator.caller_or_anybody(request)


async def no_guesser(request: Request, use: Use) -> AsyncGenerator[Caller]:
    """The caller. Raises Unauthenticated without credentials.

    Raises TooMany for a network address that tried too many wrong tracking codes.
    """
    found = await use.authenticator.caller(request)
    if found.actor is not None:
        yield found
        return
    await use.access.may_guess()
    try:
        yield found
    except NotFound:
        await use.access.guessed()
        raise


async def issue_id(issue: str) -> str:
    """The id of the issue, from the path. Raises NotFound for a text that no issue can have as its id."""
    if not _ID.fullmatch(issue):
        raise NotFound
    return issue


IssueId = Annotated[str, Depends(issue_id)]
Known = Annotated[Caller, Depends(no_guesser)]
Anybody = Annotated[Caller, Depends(anybody)]


async def known_query(request: Request) -> None:
    """Raises Invalid for a query parameter that the route does not have."""
    route: APIRoute = request.scope["route"]
    unknown = sorted(set(request.query_params) - _names(route.dependant))
    if unknown:
        raise Invalid(*((name, "there is no such parameter") for name in unknown))


def _names(dependant: Dependant) -> set[str]:
    found = {field.alias for field in dependant.query_params}
    return found.union(*(_names(each) for each in dependant.dependencies))


def router_of(tag: str, *dependencies: Callable[..., object]) -> APIRouter:
    """A router for routes below `/v1`.

    Its routes refuse unknown query parameters, and all have these `dependencies`.
    """
    return APIRouter(prefix="/v1", tags=[tag], dependencies=[Depends(each) for each in (known_query, *dependencies)])
