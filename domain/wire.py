"""Converts values of the domain to plain JSON values and back; the canonical form can be hashed.

Fields that hold their default are left out, so a field added later with a default changes no old digest.
Times are RFC 3339 UTC with milliseconds and ``Z``; a time without a zone is refused.
"""

import hashlib
import json
import re
import types
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import repeat
from typing import Any, ClassVar, Final, Literal, Self, TypeVar, Union, cast, get_args, get_origin

T = TypeVar("T")

PERSONAL: Mapping[str, bool] = types.MappingProxyType({"personal": True})
"""Field metadata: the field may hold personal data; no rule reads it, and some readers see it masked."""
RESOLVED: Mapping[str, bool] = types.MappingProxyType({"resolved": True})
"""Field metadata: the API fills the field in from the directory; the field is never accepted from the wire."""


class WireError(ValueError):
    """A plain value that does not fit its type; the message begins with the path to the mistake."""


class Text:
    """A value whose wire form is one string: ``str(value)`` writes it, `parse` reads it. `parse` raises ValueError."""

    MARK: ClassVar[str] = ""
    """The prefix of the wire form, which distinguishes such a value from ordinary text in ``SomeText | str``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        raise TypeError(f"{cls.__name__} cannot be read from {text!r}")


def wire_name(kind: type[Any]) -> str:
    """The class name in snake case: how commands and kinds of events are named on the wire."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def truncate(moment: datetime) -> datetime:
    """The moment in UTC, cut to whole milliseconds, as all times are stored. Raises WireError without a zone."""
    if moment.tzinfo is None:
        raise WireError("a time needs a zone")
    moment = moment.astimezone(UTC)
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment


def format_time(moment: datetime) -> str:
    """The time as RFC 3339 text in UTC with milliseconds and ``Z``. Raises WireError for a time without a zone."""
    zone = moment.tzinfo
    if zone is None:
        raise WireError("a time needs a zone")
    utc = moment if zone is UTC else moment.astimezone(UTC)
    # Every event has two or three times, and this takes half as long as `isoformat` or an f-string.
    return "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ" % (  # noqa: UP031
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond // 1000
    )  # fmt: skip


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`: converts other offsets to UTC and cuts to milliseconds. Raises WireError."""
    try:
        return truncate(datetime.fromisoformat(text))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"not a time with a zone: {text!r}") from error


def dump(value: Any) -> Any:
    """The plain JSON value of a dataclass, collection, time or scalar."""
    kind = value.__class__
    return value if kind in _SCALARS else _dumper(kind)(value)


_SCALARS: Final = frozenset({str, int, bool, float, types.NoneType})
"""Types that need no conversion; most values have one of them."""


@cache
def _dumper(kind: type[Any]) -> Callable[[Any], Any]:
    """The function that dumps values of exactly this type.

    Cached by type, since in Temporal's sandbox each ``isinstance`` costs some ten times as much as elsewhere.
    """
    if issubclass(kind, (str, int, float)):
        return _same
    if issubclass(kind, datetime):
        return format_time
    if issubclass(kind, Text):
        return str
    if issubclass(kind, date):
        return date.isoformat
    if issubclass(kind, Mapping):
        return _dump_mapping
    if issubclass(kind, frozenset):
        return _dump_sorted
    if issubclass(kind, (tuple, list)):
        return _dump_items
    return dump_fields


def _same(value: Any) -> Any:
    return value


def _dump_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {":".join(key) if key.__class__ is tuple else str(key): dump(item) for key, item in value.items()}


def _dump_items(value: Iterable[Any]) -> list[Any]:
    return [dump(item) for item in value]


def _dump_sorted(value: Iterable[Any]) -> list[Any]:
    return [dump(item) for item in sorted(value)]


def dump_fields(value: Any, without: Container[str] = ()) -> dict[str, Any]:
    """The plain values of a dataclass's fields, without those that hold their default or are named in `without`."""
    held = value.__dict__
    plain: dict[str, Any] = {}
    for name, default in _defaults(value.__class__):
        item = held[name]
        if item is default or (default is not None and item == default) or name in without:
            continue
        kind = item.__class__
        plain[name] = item if kind in _SCALARS else _dumper(kind)(item)
    return plain


def load(kind: type[T], plain: Any, where: str = "") -> T:
    """Decodes `plain` as a value of type `kind`.

    Raises WireError, whose path begins with `where` or the name of the type.
    """
    try:
        return cast("T", _decoder(kind)(plain))
    except WireError as error:
        raise WireError(f"{where or kind.__name__}{error}") from error


def load_fields(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Decodes the fields of dataclass `kind` that `plain` holds. Raises WireError."""
    unknown = plain.keys() - _parts(kind).keys()
    if unknown:
        raise WireError(f"{kind.__name__}.{min(unknown)}: unknown field")
    try:
        return _decode_fields(kind, plain)
    except WireError as error:
        raise WireError(f"{kind.__name__}{error}") from error


def canonical(plain: Any) -> bytes:
    """The value as JSON in UTF-8, with sorted keys and no blanks."""
    return _canonical(plain).encode()


def digest(plain: Any) -> str:
    """SHA-256 of the canonical form, the first 128 bits in hexadecimal."""
    return hashlib.sha256(canonical(plain)).hexdigest()[:32]


_canonical: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode
"""Encodes a value in canonical form; built once, since every event and every command is hashed."""
_NEVER = object()


def _default(field: "Field[Any]") -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else _NEVER


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, _default(field)) for field in fields(kind))


Decoder = Callable[[Any], Any]
"""Decodes a plain value. Its WireError begins with the path within the value, ``.rows[1]: ...``; each caller prepends
its own part, so a path is built only for an error."""


@cache
def _decoder(kind: Any) -> Decoder:
    origin = get_origin(kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin in (Union, types.UnionType):
        return _text_or_str(kind) or _optional(kind)
    if origin is tuple:
        return _tuple(get_args(kind))
    if origin is frozenset:
        sequence = _tuple((get_args(kind)[0], ...))
        return lambda plain: frozenset(sequence(plain))
    if origin in (dict, Mapping):
        return _mapping(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Text):
        return _text(kind)
    if is_dataclass(cast("object", kind)):
        return _dataclass(cast("type[Any]", kind))
    if kind is datetime:
        return _time
    if kind is date:
        return _date
    if kind in (str, int, float, bool):
        return _scalar(kind)
    if kind is Any:
        return _same
    raise TypeError(f"no wire form for {kind!r}")


def _scalar(kind: type[Any]) -> Decoder:
    def decode(plain: Any) -> Any:
        if type(plain) is kind:
            return plain
        if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
            try:
                return float(plain)
            except OverflowError:
                raise WireError(": a number beyond all measure") from None
        if not isinstance(plain, kind) or isinstance(plain, bool):
            raise WireError(f": expected {kind.__name__}, got {plain!r}")
        return plain

    return decode


def _time(plain: Any) -> datetime:
    try:
        return parse_time(plain)
    except WireError as error:
        raise WireError(f": {error}") from error


def _text(kind: type[Text]) -> Decoder:
    def decode(plain: Any) -> Any:
        if not isinstance(plain, str):
            raise WireError(f": expected text, got {plain!r}")
        try:
            return kind.parse(plain)
        except ValueError as error:
            raise WireError(f": {error}") from error

    return decode


def _date(plain: Any) -> date:
    try:
        return date.fromisoformat(plain)
    except (TypeError, ValueError) as error:
        raise WireError(f": not a date: {plain!r}") from error


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decode(plain: Any) -> Any:
        if plain not in allowed:
            raise WireError(f": {plain!r} is not one of {', '.join(map(str, allowed))}")
        return plain

    return decode


def _text_or_str(kind: Any) -> Decoder | None:
    """The decoder of ``SomeText | str``, which decides by the prefix `Text.MARK`; None for other unions."""
    args = get_args(kind)
    if len(args) != 2 or args[1] is not str or not (isinstance(args[0], type) and issubclass(args[0], Text)):
        return None
    text, plain_text, mark = _text(args[0]), _scalar(str), args[0].MARK

    def decode(plain: Any) -> Any:
        return (text if isinstance(plain, str) and plain.startswith(mark) else plain_text)(plain)

    return decode


def _optional(kind: Any) -> Decoder:
    inner = [_decoder(each) for each in get_args(kind) if each is not type(None)]
    nullable = type(None) in get_args(kind)

    def decode(plain: Any) -> Any:
        if plain is None and nullable:
            return None
        error: WireError | None = None
        for each in inner:
            try:
                return each(plain)
            except WireError as tried:
                error = error or tried
        raise error or WireError(": null is not allowed")

    return decode


def _tuple(args: tuple[Any, ...]) -> Decoder:
    if len(args) == 2 and args[1] is Ellipsis:
        item = _decoder(args[0])

        def decode(plain: Any) -> Any:
            if not isinstance(plain, (list, tuple)):
                raise WireError(f": expected a list, got {plain!r}")
            return _decode_items(repeat(item), cast("list[Any]", plain))

        return decode
    parts = [_decoder(arg) for arg in args]

    def decode_fixed(plain: Any) -> Any:
        if not isinstance(plain, (list, tuple)) or len(cast("list[Any]", plain)) != len(parts):
            raise WireError(f": expected a list of {len(parts)}, got {plain!r}")
        return _decode_items(parts, cast("list[Any]", plain))

    return decode_fixed


def _decode_items(decoders: Iterable[Decoder], items: Iterable[Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for decode, item in zip(decoders, items, strict=False):
        try:
            found.append(decode(item))
        except WireError as error:
            raise WireError(f"[{len(found)}]{error}") from error
    return tuple(found)


def _mapping(args: tuple[Any, ...]) -> Decoder:
    key, item = _key(args[0]), _decoder(args[1])

    def decode(plain: Any) -> Any:
        found: dict[Any, Any] = {}
        for name, value in _entries(plain).items():
            named = key(name)
            try:
                found[named] = item(value)
            except WireError as error:
                raise WireError(f".{name}{error}") from error
        return found

    return decode


def _key(kind: Any) -> Decoder:
    """The decoder of mapping keys; a tuple is one string with colons between its parts."""
    decode = _decoder(kind)
    return (lambda plain: decode(plain.split(":"))) if get_origin(kind) is tuple else decode


def _entries(plain: Any) -> Mapping[str, Any]:
    if type(plain) is not dict and not isinstance(plain, Mapping):
        raise WireError(f": expected an object, got {plain!r}")
    return cast("Mapping[str, Any]", plain)


@cache
def _parts(kind: type[Any]) -> dict[str, Decoder]:
    """The decoders of a dataclass's fields, built when the first value is decoded, so types may refer to each other."""
    hints = typing.get_type_hints(kind)
    return {field.name: _decoder(hints[field.name]) for field in fields(kind)}


def _dataclass(kind: type[Any]) -> Decoder:
    required = tuple(name for name, default in _defaults(kind) if default is _NEVER)

    def decode(plain: Any) -> Any:
        values = _decode_fields(kind, _entries(plain))
        for name in required:
            if name not in values:
                raise WireError(f".{name}: missing")
        return kind(**values)

    return decode


def _decode_fields(kind: type[Any], entries: Mapping[str, Any]) -> dict[str, Any]:
    parts = _parts(kind)
    values: dict[str, Any] = {}
    for name, value in entries.items():
        part = parts.get(name)
        if part is None:
            raise WireError(f".{name}: unknown field")
        try:
            values[name] = part(value)
        except WireError as error:
            raise WireError(f".{name}{error}") from error
    return values
