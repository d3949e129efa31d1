"""The models of request bodies.

`ReportBody` is written by hand. The model of each command is generated from the command's dataclass in
`domain.commands`: it has the same fields, except those that the API fills in itself (`RESOLVED`).
"""

import functools
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    Strict,
    StringConstraints,
    create_model,
)
from pydantic import Field as Part

import domain.commands as c
from domain.commands import SIGNALS, Body
from domain.personal import Personal, Sealed
from domain.vocabulary import Category, Channel
from domain.wire import Text, WireError, load, parse_time
from domain.worktime import Limit, YearCalendar
from protocol.intake import ReportDraft
from protocol.text_rules import FILLED, FIT, blank, unfit
from security.phone_numbers import kept
from texts.catalogue import Wrong

LONGEST_TEXT: Final = 4000
LONGEST_WORD: Final = 200
_MOST_ITEMS: Final = 50
_MOST: Final = 2**31 - 1
_MAY_BE_EMPTY: Final = frozenset({"note", "comment"})
_PATTERNS: Final = {
    "Limit": "^[1-9][0-9]{0,8}(s|m|h|sm|sh|nd|wd)$", "ServiceHours": "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$",
}  # fmt: skip
_NARROWER: Final[Mapping[tuple[type[Any], str], Any]] = {
    (c.Confirm, "satisfaction"): Literal["satisfied", "basically", "dissatisfied"],  # silence alone is not rated
}


class Shape(BaseModel):
    """The base of the models of request bodies. Values are not converted between types, unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _filled(text: str) -> str:
    if blank(text):
        raise Wrong("empty")
    return text


def _unsealed(text: str) -> str:
    """Refuses a text that begins with the mark of sealed texts: only the API seals texts."""
    if text.startswith(Sealed.MARK):
        raise Wrong("sealed", mark=Sealed.MARK)
    return text


def _fit(text: str) -> str:
    if (wrong := unfit(text)) is not None:
        raise wrong
    return text


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        raise Wrong("string-type")
    return value


def timed(value: Any) -> datetime:
    """The time in a text, with its zone. Pydantic alone would also take a number, and a day without a zone."""
    try:
        return parse_time(_text_only(value))
    except (WireError, OverflowError):
        raise Wrong("no-time") from None


def _moment(value: Any) -> Any:
    moment = timed(value)
    # A timer beyond 292 years overflows in Temporal's server.
    if not 2000 <= moment.year <= 2100:
        raise Wrong("another-century")
    return moment


def _day(value: Any) -> Any:
    try:
        return date.fromisoformat(_text_only(value))
    except ValueError:
        raise Wrong("no-date") from None


@dataclass(frozen=True)
class Described:
    """A pattern that the OpenAPI document shows for a field. Validators check the text, with a clearer message."""

    pattern: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}


Long = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), Described(FIT)]
Word = Annotated[str, StringConstraints(max_length=LONGEST_WORD), Described(FIT)]
Filled = AfterValidator(_filled)
Fit = AfterValidator(_fit)
"""Refuses a query parameter that `unfit` refuses. The texts of bodies need no `Fit`: `BodyLimit` checks them."""
NotBlank = Described(FILLED)
Unsealed = AfterValidator(_unsealed)


class Contact(Shape):
    """How to reach the person who reports an issue."""

    name: Annotated[Word, Unsealed] = ""
    phone: Annotated[
        str, StringConstraints(max_length=40), AfterValidator(kept), Unsealed, Described(r"^[^\u0000]*$")
    ] = ""


class ReportBody(Shape):
    """The report of an issue, as a resident hands it in."""

    compound: Annotated[Word, Filled, NotBlank]
    category: Category
    description: Annotated[Long, Filled, NotBlank, Unsealed]
    urgent: bool = False
    about_operator: bool = False
    location: Annotated[Word, Unsealed] = ""
    channel: Channel | None = None
    contact: Contact = Contact()
    follows: Word | None = None
    news: Annotated[Word, Unsealed] = ""
    takes_up: bool = False

    @property
    def draft(self) -> ReportDraft:
        """The same report in the form that the command protocol takes."""
        return ReportDraft(
            compound=self.compound, category=self.category, description=self.description, urgent=self.urgent,
            about_operator=self.about_operator, location=self.location, channel=self.channel,
            contact=c.ContactDetails(self.contact.name, self.contact.phone), follows=self.follows,
            news=self.news, takes_up=self.takes_up,
        )  # fmt: skip


@dataclass(frozen=True)
class CommandShape:
    """One command in the API: its name, the model of its request body, and the command's dataclass (`body`)."""

    name: str
    model: type[Shape]
    body: type[Body]

    @property
    def may_be_empty(self) -> bool:
        return not any(field.is_required() for field in self.model.model_fields.values())

    def read(self, shape: Shape) -> Body:
        """The request body as the command's dataclass, which the rules take.

        The fields that the API fills in (`RESOLVED`) still hold their defaults.
        """
        return load(self.body, shape.model_dump(mode="json", exclude_unset=True))


@functools.cache
def _model(kind: type[Any]) -> type[Shape]:
    """The model generated from a dataclass of the domain, without the fields that the API fills in (`RESOLVED`)."""
    hints = get_type_hints(kind)
    parts: dict[str, Any] = {}
    for field in fields(kind):
        if not field.metadata.get("resolved"):
            parts[field.name] = _part(field, _NARROWER.get((kind, field.name), hints[field.name]))
    doc = (kind.__doc__ or "").partition("\n")[0]
    name = kind.__name__ if issubclass(kind, Body) else f"{kind.__name__}Part"
    return create_model(name, __base__=Shape, __doc__=doc if "(" not in doc[: len(kind.__name__) + 1] else "", **parts)


def _part(field: "Field[Any]", hint: Any) -> tuple[Any, Any]:
    personal = bool(field.metadata.get("personal"))
    required = field.default is MISSING and field.default_factory is MISSING
    kind = _kind(hint, personal)
    if hint in (str, Personal) and required and field.name not in _MAY_BE_EMPTY:
        kind = Annotated[kind, Filled, NotBlank]
    if required:
        return kind, ...
    if field.default is not MISSING:
        return kind, _plain(field.default)
    return kind, Part(default_factory=cast("Any", field.default_factory))


def _plain(default: Any) -> Any:
    return list(cast("tuple[Any, ...]", default)) if isinstance(default, tuple) else default


def _kind(hint: Any, personal: bool) -> Any:
    """The type of a field in a generated model, from the type of the same field in the domain's dataclass."""
    origin = get_origin(hint)
    if origin is Literal:
        return hint
    if hint == Personal:  # the caller writes it; who seals it is the API
        return Annotated[Long, Unsealed]
    if origin in (Union, types.UnionType):
        return cast("Any", Union)[tuple(_kind(each, personal) for each in get_args(hint))]
    if origin is tuple:
        return Annotated[list[_kind(get_args(hint)[0], personal)], Part(max_length=_MOST_ITEMS * 2)]
    if hint is str:
        return Long if personal else Word
    if hint is int:
        return Annotated[int, Strict(), Part(ge=-_MOST, le=_MOST)]
    if hint is datetime:
        return Annotated[datetime, BeforeValidator(_moment)]
    if hint is date:
        return Annotated[date, BeforeValidator(_day)]
    if isinstance(hint, type) and issubclass(hint, Text):
        return Annotated[str, AfterValidator(functools.partial(_parsed, hint)), Described(_PATTERNS[hint.__name__])]
    if hint is YearCalendar:
        return Annotated[_model(YearCalendar), AfterValidator(_published)]
    if isinstance(hint, type) and is_dataclass(hint):
        return _model(cast("type[Any]", hint))
    return cast("Any", hint)


def _published(shape: Shape) -> Shape:
    """Refuses a calendar in which `YearCalendar.problems` finds a fault."""
    found = load(YearCalendar, shape.model_dump(mode="json", exclude_unset=True))
    if problems := "; ".join(found.problems()):
        raise Wrong("calendar-faulty", problem=problems)
    return shape


def _parsed(kind: type[Text], text: str) -> str:
    try:
        return str(kind.parse(text))
    except ValueError:
        raise Wrong("no-limit") if kind is Limit else Wrong("no-hours") from None


COMMANDS: Final[Mapping[str, CommandShape]] = types.MappingProxyType(
    {name: CommandShape(name, _model(body), body) for name, body in SIGNALS.items() if body is not c.Attach}
)
"""The shape of every command that the API accepts, by the command's name; `attach` comes with an uploaded picture only."""
