"""How long what people wrote about an issue is kept after its end, by category; then it is erased."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from domain.vocabulary import CATEGORIES, Category
from domain.wire import WireError

SHORTEST: Final = 183
"""Days: an audit, a complaint about the handling or a court may still ask."""
LONGEST: Final = 36_500


@dataclass(frozen=True)
class Retention:
    """Days after the close; a category without a number of its own has that of all."""

    days: int
    categories: Mapping[Category, int] = field(default_factory=dict[Category, int])

    def days_of(self, category: Category) -> int:
        return self.categories.get(category, self.days)

    def closed_before(self, category: Category, now: datetime) -> datetime:
        """Issues of the category that were closed before this moment are to be erased now."""
        return now - timedelta(days=self.days_of(category))


DEFAULT: Final = Retention(1095, {"illegal_building": 1825, "common_income": 1825, "falling_objects": 1825})
"""Three years, the time for which claims can be brought; five for what ends in court late."""


def read_retention(plain: Mapping[str, Any]) -> Retention:
    """The rules in ``{days, categories: {leak: 1095}}``. Raises WireError, which names the place."""
    unknown = sorted(plain.keys() - {"days", "categories"})
    if unknown:
        raise WireError(f"{unknown[0]}: there is no such setting")
    named = plain.get("categories", {})
    if not isinstance(named, Mapping):
        raise WireError("categories: a table of categories with days is expected")
    days = cast("Mapping[str, Any]", named)
    for name in sorted(days.keys() - set(CATEGORIES)):
        raise WireError(f"categories.{name}: there is no such category")
    found: dict[Category, int] = {each: _days(f"categories.{each}", days[each]) for each in CATEGORIES if each in days}
    return Retention(_days("days", plain.get("days")), found)


def _days(place: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not SHORTEST <= value <= LONGEST:
        raise WireError(f"{place}: a whole number of days from {SHORTEST} to {LONGEST} is expected")
    return value
