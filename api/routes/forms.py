"""The routes from which a form is built: what a caller may choose from, each in his scope."""

from typing import Annotated, Any, ClassVar, Final

from fastapi import Depends, Query

from api.dependencies import Anybody, Known, Use, anybody, router_of
from api.http.openapi import ANYBODY, STAFF, answers
from api.http.responses import Answer, Page, PolicyView, WordView
from db.queries import PAGE
from domain.vocabulary import HandlerKind, Level
from protocol.catalogue import clauses_of, words
from protocol.errors import Invalid, TooMany, Unauthenticated, Unavailable

router: Final = router_of("forms")

After = Annotated[str, Query(max_length=64, pattern="^[A-Za-z0-9._-]*$", description="The `next_cursor` of a page.")]
Limit = Annotated[int, Query(ge=1, le=200)]
_DEMO: Final = {"code": "demo", "name": "体验小区"}


class NamedView(Answer):
    """A code, and the name that people read."""

    code: str
    name: str


class PlaceView(NamedView):
    """A compound; `grid` and `operator` are told to staff who work there."""

    community: NamedView
    street: NamedView
    buildings: int | None
    grid: str | None
    operator: NamedView | None

    example: ClassVar[Any] = {
        **_DEMO, "community": _DEMO, "street": _DEMO, "buildings": 12, "grid": "g1", "operator": None
    }  # fmt: skip


class OrganisationView(NamedView):
    """An organisation; `streets` are those in which it works today, null where no contract says where."""

    kind: HandlerKind
    streets: list[str] | None

    example: ClassVar[Any] = {**_DEMO, "kind": "company", "streets": ["demo-street"]}


class PackView(PolicyView):
    """A policy pack: what a district has promised; its clauses by id, with their names."""

    title: str
    source: str
    ladder: list[Level]
    clauses: list[WordView]

    example: ClassVar[Any] = {
        "id": "demo", "version": 1, "digest": "2c26b46b68ffc68ff99b453c1d304134", "title": "体验", "source": "made for trying out",
        "ladder": ["property", "community", "street"], "clauses": [WordView.example],
    }  # fmt: skip


def _page(example: Any) -> Any:
    return _answers({"items": [example], "next_cursor": None})


def _answers(example: Any) -> Any:
    return answers(200, example, "What there is", Unauthenticated, Invalid, TooMany, Unavailable)


@router.get("/places", operation_id="places", openapi_extra=ANYBODY, responses=_page(PlaceView.example))
async def places(who: Anybody, use: Use, cursor: After = "", limit: Limit = PAGE) -> Page[PlaceView]:
    """All compounds, by code: for everybody."""
    return Page[PlaceView].of(await use.catalogue.places(who.actor, cursor, limit))


@router.get(
    "/organisations", operation_id="organisations", openapi_extra=STAFF, responses=_page(OrganisationView.example)
)
async def organisations(who: Known, use: Use, cursor: After = "", limit: Limit = PAGE) -> Page[OrganisationView]:
    """The organisations that may work where the caller's does, by code, and his own; none for residents."""
    return Page[OrganisationView].of(await use.catalogue.organisations(who.staff, cursor, limit))


@router.get("/policies", operation_id="policies", openapi_extra=STAFF, responses=_answers([PackView.example]))
async def policies(who: Known, use: Use) -> list[PackView]:
    """The packs that hold in the caller's scope today; none for residents, and all for an administrator."""
    found = await use.catalogue.policies(who.staff)
    return [PackView.of(each, ladder=list(each.ladder), clauses=WordView.list_of(clauses_of(each))) for each in found]


@router.get(
    "/vocabulary", operation_id="vocabulary", openapi_extra=ANYBODY, dependencies=[Depends(anybody)],
    responses=_answers({"categories": [{"word": "leak", "zh": "漏水", "en": "leak"}]}),
)  # fmt: skip
async def vocabulary() -> dict[str, list[WordView]]:
    """The values of each closed set, such as `categories`, with their names in both languages: for everybody."""
    return {name: list(map(WordView.of, found)) for name, found in words().items()}
