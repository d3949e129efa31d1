"""How values of the domain become plain JSON values and back, in one canonical form that can be hashed.

Fields that hold their default are left out, so a field added later with a default changes no old digest.
Times are RFC 3339 UTC with milliseconds and ``Z``; a time without a zone is refused.
"""

import hashlib
import json
import types
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, Self, TypeVar, Union, cast, get_args, get_origin

T = TypeVar("T")

PERSONAL: Mapping[str, bool] = types.MappingProxyType({"personal": True})
"""Field metadata: this field may hold personal data, so no rule may read it and readers may see it masked."""
RESOLVED: Mapping[str, bool] = types.MappingProxyType({"resolved": True})
"""Field metadata: filled in by the API from the directory, never accepted from the wire."""


class WireError(ValueError):
    """A plain value that does not have the shape of its type; the message begins with the path to the place."""


class Text:
    """A value whose wire form is one string: ``str(value)`` writes it, `parse` reads it (ValueError if it cannot)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        raise TypeError(f"{cls.__name__} cannot be read from {text!r}")


def truncate(moment: datetime) -> datetime:
    """The moment in UTC, cut to whole milliseconds, the precision of the record."""
    if moment.tzinfo is None:
        raise WireError("a time needs a zone")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def format_time(moment: datetime) -> str:
    """RFC 3339 UTC with milliseconds and ``Z``."""
    if moment.tzinfo is None:
        raise WireError("a time needs a zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`; other offsets are converted, other precision is cut to milliseconds."""
    try:
        return truncate(datetime.fromisoformat(text))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"not a time with a zone: {text!r}") from error


def dump(value: Any) -> Any:
    """The plain JSON value of a dataclass, collection, time or scalar."""
    return _dumper(cast("type[Any]", type(value)))(value)


@cache
def _dumper(kind: type[Any]) -> Callable[[Any], Any]:
    """How values of exactly this type are dumped.

    Asked once a type: within Temporal's sandbox, where the same values are dumped for every command, each
    ``isinstance`` costs some ten times what it costs elsewhere.
    """
    if issubclass(kind, (str, int, float, types.NoneType)):  # bool is an int
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
    return {str(key): dump(item) for key, item in value.items()}


def _dump_items(value: Iterable[Any]) -> list[Any]:
    return [dump(item) for item in value]


def _dump_sorted(value: Iterable[Any]) -> list[Any]:
    return [dump(item) for item in sorted(value)]


def dump_fields(value: Any, but: Container[str] = ()) -> dict[str, Any]:
    """The plain values of a dataclass's fields, those left out that hold their default or are named in `but`."""
    return {
        name: dump(item)
        for name, default in _defaults(cast("type[Any]", type(value)))
        if name not in but and (item := getattr(value, name)) is not default and item != default
    }


def load(kind: type[T], plain: Any, where: str = "") -> T:
    """The value of type `kind` that `plain` stands for; WireError names the place where it does not fit.

    The place begins with `where`, or with the name of the type.
    """
    return cast("T", _decoder(kind)(plain, where or kind.__name__))


def load_fields(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The decoded values of those fields of dataclass `kind` that `plain` names."""
    hints = _hints(kind)
    unknown = plain.keys() - hints.keys()
    if unknown:
        raise WireError(f"{kind.__name__}.{min(unknown)}: unknown field")
    return {name: _decoder(hints[name])(value, f"{kind.__name__}.{name}") for name, value in plain.items()}


def canonical(plain: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no blanks."""
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def digest(plain: Any) -> str:
    """SHA-256 of the canonical form, the first 128 bits in hexadecimal."""
    return hashlib.sha256(canonical(plain)).hexdigest()[:32]


_NEVER = object()


def _default(field: "Field[Any]") -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else _NEVER


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, _default(field)) for field in fields(kind))


Decoder = Callable[[Any, str], Any]


@cache
def _decoder(kind: Any) -> Decoder:
    origin = get_origin(kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin in (Union, types.UnionType):
        return _optional(kind)
    if origin is tuple:
        return _tuple(get_args(kind))
    if origin is frozenset:
        sequence = _tuple((get_args(kind)[0], ...))
        return lambda plain, where: frozenset(sequence(plain, where))
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
        return lambda plain, where: plain
    raise TypeError(f"no wire form for {kind!r}")


def _scalar(kind: type[Any]) -> Decoder:
    def decode(plain: Any, where: str) -> Any:
        fits = isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool))
        if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
            return float(plain)
        if not fits:
            raise WireError(f"{where}: expected {kind.__name__}, got {plain!r}")
        return plain

    return decode


def _time(plain: Any, where: str) -> datetime:
    try:
        return parse_time(plain)
    except WireError as error:
        raise WireError(f"{where}: {error}") from error


def _text(kind: type[Text]) -> Decoder:
    def decode(plain: Any, where: str) -> Any:
        if not isinstance(plain, str):
            raise WireError(f"{where}: expected text, got {plain!r}")
        try:
            return kind.parse(plain)
        except ValueError as error:
            raise WireError(f"{where}: {error}") from error

    return decode


def _date(plain: Any, where: str) -> date:
    try:
        return date.fromisoformat(plain)
    except (TypeError, ValueError) as error:
        raise WireError(f"{where}: not a date: {plain!r}") from error


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decode(plain: Any, where: str) -> Any:
        if plain not in allowed:
            raise WireError(f"{where}: {plain!r} is not one of {', '.join(map(str, allowed))}")
        return plain

    return decode


def _optional(kind: Any) -> Decoder:
    inner = [_decoder(each) for each in get_args(kind) if each is not type(None)]
    nullable = type(None) in get_args(kind)

    def decode(plain: Any, where: str) -> Any:
        if plain is None and nullable:
            return None
        error: WireError | None = None
        for each in inner:
            try:
                return each(plain, where)
            except WireError as tried:
                error = error or tried
        raise error or WireError(f"{where}: null is not allowed")

    return decode


def _tuple(args: tuple[Any, ...]) -> Decoder:
    if len(args) == 2 and args[1] is Ellipsis:
        item = _decoder(args[0])

        def decode(plain: Any, where: str) -> Any:
            if not isinstance(plain, (list, tuple)):
                raise WireError(f"{where}: expected a list, got {plain!r}")
            return tuple(item(each, f"{where}[{index}]") for index, each in enumerate(cast("list[Any]", plain)))

        return decode
    parts = [_decoder(arg) for arg in args]

    def decode_fixed(plain: Any, where: str) -> Any:
        if not isinstance(plain, (list, tuple)) or len(cast("list[Any]", plain)) != len(parts):
            raise WireError(f"{where}: expected a list of {len(parts)}, got {plain!r}")
        values = cast("list[Any]", plain)
        return tuple(part(each, f"{where}[{n}]") for n, (part, each) in enumerate(zip(parts, values, strict=True)))

    return decode_fixed


def _mapping(args: tuple[Any, ...]) -> Decoder:
    key, item = _decoder(args[0]), _decoder(args[1])

    def decode(plain: Any, where: str) -> Any:
        if not isinstance(plain, Mapping):
            raise WireError(f"{where}: expected an object, got {plain!r}")
        entries = cast("Mapping[str, Any]", plain)
        return {key(name, where): item(value, f"{where}.{name}") for name, value in entries.items()}

    return decode


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _dataclass(kind: type[Any]) -> Decoder:
    hints = _hints(kind)
    parts: dict[str, Decoder] = {}
    required: list[str] = []
    for field in fields(kind):
        parts[field.name] = _later(hints[field.name])
        if _default(field) is _NEVER:
            required.append(field.name)

    def decode(plain: Any, where: str) -> Any:
        if not isinstance(plain, Mapping):
            raise WireError(f"{where}: expected an object, got {plain!r}")
        entries = cast("Mapping[str, Any]", plain)
        values: dict[str, Any] = {}
        for name, value in entries.items():
            part = parts.get(name)
            if part is None:
                raise WireError(f"{where}.{name}: unknown field")
            values[name] = part(value, f"{where}.{name}")
        for name in required:
            if name not in values:
                raise WireError(f"{where}.{name}: missing")
        return kind(**values)

    return decode


def _later(kind: Any) -> Decoder:
    """A decoder looked up at its first use, so that types may refer to each other."""
    found: Decoder | None = None

    def decode(plain: Any, where: str) -> Any:
        nonlocal found
        found = found or _decoder(kind)
        return found(plain, where)

    return decode
