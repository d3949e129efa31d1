"""Making a frozen value from another one, quickly."""

from typing import Any, TypeVar

T = TypeVar("T")


def replace(value: T, **changes: Any) -> T:
    """As `dataclasses.replace`, some thirty times faster on a value of forty fields.

    It copies the fields instead of running ``__init__``, so it is for values that compute nothing from them (a
    `Policy`, a `Clause` or a `Limit`, which keep what they have computed, is not one). TypeError for a field that the value does not have.
    """
    fields = value.__dict__
    made_of = {**fields, **changes}
    if len(made_of) != len(fields):
        raise TypeError(f"{type(value).__name__} has no field {', '.join(sorted(changes.keys() - fields.keys()))}")
    made = object.__new__(type(value))
    object.__setattr__(made, "__dict__", made_of)
    return made
