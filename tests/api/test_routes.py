"""Rules for every route, whichever router declares it."""

from fastapi.routing import APIRoute

from api.dependencies import known_query
from api.routes import attachments, audit, commands, issues, lists, phones

ROUTES = [
    route
    for module in (attachments, audit, commands, issues, lists, phones)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]


def test_every_route_of_the_api_refuses_unknown_query_parameters() -> None:
    assert len(ROUTES) > 50
    assert [
        route.path
        for route in ROUTES
        if route.path.startswith("/v1") and known_query not in {each.call for each in route.dependant.dependencies}
    ] == []
