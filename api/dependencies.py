"""The FastAPI dependencies of routes: the services, the caller, and the id of the issue.

All of them are coroutines, because FastAPI would run a plain function in a thread, for each request.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Path, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.container import Services
from protocol.caller import Caller
from protocol.errors import Invalid, NotFound, ProtocolError
from protocol.naming import issue_named
from texts.catalogue import Wrong

_NAMES: Final = "The issue: its id, its number as people type it, or `mine`, that of the tracking code"


async def services(request: Request) -> Services:
    return cast("Any", request.state).services


Use = Annotated[Services, Depends(services)]


def part(name: str, without: Callable[[], ProtocolError]) -> Any:
    """The dependency on a service that not every process has: it raises what it gets `without` it."""

    async def found(use: Use) -> Any:
        if (service := getattr(use, name)) is None:
            raise without()
        return service

    return Depends(found)


async def anybody(request: Request, use: Use) -> Caller:
    """The caller. A request without credentials is accepted: its `Caller` has neither actor nor tracking code."""
    return await use.authenticator.caller_or_anybody(request)


async def no_guesser(request: Request, use: Use) -> AsyncGenerator[Caller]:
    """The caller. Raises Unauthenticated without credentials, unless the route says that it takes callers without.

    Raises TooMany for a network address that tried too many wrong tracking codes. A token beside a code changes nothing:
    else it would make guesses free.
    """
    route: APIRoute = request.scope["route"]
    is_open = {} in (route.openapi_extra or {}).get("security", ())
    found = await (use.authenticator.caller_or_anybody if is_open else use.authenticator.caller)(request)
    if found.tracking_code is None:
        yield found
        return
    await use.access.may_guess()
    try:
        yield found
    except NotFound:
        await use.access.guessed()
        raise


Known = Annotated[Caller, Depends(no_guesser)]


async def issue_id(issue: Annotated[str, Path(description=_NAMES)], who: Known, use: Use) -> str:
    """The id of the issue that the path names. Raises what `issue_named` does."""
    return await issue_named(use.model, use.reader, who, issue)


IssueId = Annotated[str, Depends(issue_id)]
Anybody = Annotated[Caller, Depends(anybody)]


async def known_query(request: Request) -> None:
    """Raises Invalid for a query parameter that the route does not have."""
    route: APIRoute = request.scope["route"]
    unknown = sorted(set(request.query_params) - _names(route.dependant))
    if unknown:
        raise Invalid(*((name, Wrong("no-such-parameter")) for name in unknown))


def _names(dependant: Dependant) -> set[str]:
    found = {field.alias for field in dependant.query_params}
    return found.union(*(_names(each) for each in dependant.dependencies))


def router_of(tag: str, *dependencies: Callable[..., object]) -> APIRouter:
    """A router for routes below `/v1`.

    Its routes refuse unknown query parameters, and all have these `dependencies`.
    """
    return APIRouter(prefix="/v1", tags=[tag], dependencies=[Depends(each) for each in (known_query, *dependencies)])
