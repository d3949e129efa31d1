"""How long personal texts of a closed issue are kept, by category, before they are erased."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from domain.vocabulary import CATEGORIES, Category
from domain.wire import WireError

SHORTEST: Final = 183
"""The fewest days allowed: an audit, a complaint about the handling or a court may need the texts so long."""
LONGEST: Final = 36_500


@dataclass(frozen=True)
class Retention:
    """How many days after the close texts are kept; `days` is for categories without an entry in `categories`."""

    days: int
    categories: Mapping[Category, int] = field(default_factory=dict[Category, int])

    def days_of(self, category: Category) -> int:
        return self.categories.get(category, self.days)

    def closed_before(self, category: Category, now: datetime) -> datetime:
        """The time before which an issue of the category must have been closed for its texts to be erased now."""
        return now - timedelta(days=self.days_of(category))


DEFAULT: Final = Retention(1095, {"illegal_building": 1825, "common_income": 1825, "falling_objects": 1825})
"""The default: three years, the limitation period of claims, and five for categories that reach a court late."""


def read_retention(plain: Mapping[str, Any]) -> Retention:
    """Decodes ``{days, categories: {leak: 1095}}``. Raises WireError, which names the wrong setting."""
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
