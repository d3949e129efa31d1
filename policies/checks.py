"""Checks of a policy pack beyond the types of its fields. Each finding is a sentence for the author of the pack."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Final, get_args

from domain.clocks import REMIND, RULE_CLOCKS
from domain.policy import Ask, Clause, Extend, PlanRule, Policy, Progress, Reopen, Top, Transfers
from domain.vocabulary import ASSESSMENTS, CATEGORIES, LEVELS, Category, ClimbReason, Level
from domain.worktime import Limit

Check = Callable[[Any], Iterator[str]]
Found = tuple[tuple[str | int, ...], str]
"""The path of the fault within the table that was checked, and the reason."""

STARTS: Final = (
    "led", "reported", "dispatched", "accepted", "contacted", "arrived", "assessed", "mitigated", "planned",
    "answered", "completed", "sat",
)  # fmt: skip
"""What may start a clause's clock: ``led``, when a level gets the lead, or an event of one of these kinds."""
REACHED_BY: Final[Mapping[str, str]] = {
    "accept": "accepted", "contact": "contacted", "arrive": "arrived", "assess": "assessed", "sit": "sat",
    "plan": "planned", "answer": "answered", "handle": "completed", "complete": "completed",
}  # fmt: skip
RESERVED: Final = (*RULE_CLOCKS, REMIND, *get_args(ClimbReason))
"""Clause ids that the rules themselves use in events."""
WORDS: Final = ("urgent", *ASSESSMENTS, *CATEGORIES)
REQUIRED: Final = ((Clause, "source"),)
"""Fields with a default in the domain that a pack must give nevertheless."""

_POLICY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}", re.ASCII)
_CLAUSE_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_ONE_MINUTE: Final = 60


def is_policy_id(text: str) -> bool:
    return _POLICY_ID.fullmatch(text) is not None


def _policy_id(value: str) -> Iterator[str]:
    if not is_policy_id(value):
        yield f"{value!r} is not an id: letters, digits and any of + - _ . (at most 40)"


def _clause_id(value: str) -> Iterator[str]:
    if _CLAUSE_ID.fullmatch(value) is None:
        yield f"{value!r} is not an id: small letters, digits and single hyphens"
    if value in RESERVED:
        yield f"{value!r} is kept for the rules themselves"


def _text(value: str) -> Iterator[str]:
    if not value.strip():
        yield "is empty"
    # Controls, surrogates, bidirectional overrides and invisible characters.
    if any(unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in value):
        yield f"{value!r} holds a control character"


def _source(value: str) -> Iterator[str]:
    if not value.strip():
        yield 'is empty; say who promised it, or "assumed"'
    else:
        yield from _text(value)


def _between(least: int, most: int) -> Check:
    def check(value: int) -> Iterator[str]:
        if not least <= value <= most:
            yield f"{value} is not between {least} and {most}"

    return check


def _one_of(*words: str) -> Check:
    def check(value: str) -> Iterator[str]:
        if value not in words:
            yield f"{value!r} is not one of {', '.join(words)}"

    return check


def _ladder(value: tuple[Level, ...]) -> Iterator[str]:
    if not value:
        yield "is empty"
    if list(value) != [level for level in LEVELS if level in value]:
        yield f"goes upwards, each level once, in the order {', '.join(LEVELS)}"


def _share(value: float) -> Iterator[str]:
    if not 0 < value <= 1:
        yield f"{value} is not above 0 and at most 1"


def _grace(value: Limit) -> Iterator[str]:
    if value.timescale != "wall" or value.span.total_seconds() > _ONE_MINUTE:
        yield f"{value} is not wall time (s, m) of at most a minute"


def _days(value: Limit) -> Iterator[str]:
    if value.timescale != "nd":
        yield f"{value} is not a number of natural days (nd)"


def _in_days(value: Limit) -> Iterator[str]:
    if not value.in_days:
        yield f"{value} is not a number of days (nd, wd): these reminders never end"


def _categories(value: tuple[Category, ...]) -> Iterator[str]:
    for index, category in enumerate(value):
        if category in value[:index]:
            yield f"{category!r} is there twice"


def _when(value: tuple[str, ...]) -> Iterator[str]:
    for index, word in enumerate(value):
        if word not in WORDS:
            yield f"{word!r} is not urgent, an assessment ({', '.join(ASSESSMENTS)}) or a category"
        if word in value[:index]:
            yield f"{word!r} is there twice"


def _climb(value: tuple[Limit, ...]) -> Iterator[str]:
    if not value:
        yield "is empty; leave it out where nothing climbs"
    for first, second in pairwise(value):
        if first.timescale != second.timescale:
            yield f"{first} and {second} run on different clocks"
        elif first.span >= second.span:
            yield f"{second} does not come after {first}"


FIELDS: Final[Mapping[tuple[type, str], Check]] = {
    (Policy, "id"): _policy_id,
    (Policy, "version"): _between(1, 1_000_000),
    (Policy, "title"): _text,
    (Policy, "source"): _text,
    (Policy, "ladder"): _ladder,
    (Policy, "climb_lands"): _one_of("opening", "at once"),
    (Policy, "warn_at"): _share,
    (Policy, "grace"): _grace,
    (Policy, "evidence"): _categories,
    (Policy, "day_off"): _one_of("keep", "next_working_day"),
    (Policy, "provisional"): _days,
    (Reopen, "times"): _between(0, 100),
    (Reopen, "climbs_from"): _between(1, 100),
    (Reopen, "refusal"): _one_of("reopens", "closes"),
    (Transfers, "climbs_from"): _between(1, 100),
    (Extend, "times"): _between(0, 100),
    (Ask, "times"): _between(0, 100),
    (Top, "times"): _between(0, 1000),
    (Top, "then"): _in_days,
    (Clause, "id"): _clause_id,
    (Clause, "starts"): _one_of(*STARTS),
    (Clause, "when"): _when,
    (Clause, "climb"): _climb,
    (Clause, "ends"): _one_of("day", "service"),
    (Clause, "ask"): _one_of("reassess"),
    (Clause, "source"): _source,
}
"""The checks of single values, by dataclass and field."""


def of_clause(clause: Clause) -> Iterator[Found]:
    """Contradictions between the fields of one clause."""
    if clause.ends == "service" and clause.limit.timescale not in ("nd", "wd"):
        yield ("ends",), f"only a limit in days (nd, wd) ends with the service hours, not {clause.limit}"
    if clause.level == "issue" and clause.starts == "led":
        yield ("starts",), "a clause of the whole issue runs once, so it cannot start whenever a level gets the lead"
    if REACHED_BY.get(clause.milestone) == clause.starts:
        yield ("starts",), f"{clause.starts} is what reaches {clause.milestone}, so it cannot start its clock"


def of_plan(plan: PlanRule) -> Iterator[Found]:
    """Contradictions between the fields of ``plan``."""
    yield from _ordered("street_over", plan.community_over, plan.street_over)


def of_top(top: Top) -> Iterator[Found]:
    """Contradictions between the fields of ``top``."""
    yield from _ordered("doubling_to", top.remind, top.doubling_to)


def of_progress(progress: Progress) -> Iterator[Found]:
    """Contradictions between the fields of ``progress``."""
    yield from _ordered("climb", progress.within, progress.climb)


def _ordered(key: str, low: Limit, high: Limit) -> Iterator[Found]:
    if low.timescale != high.timescale:
        yield (key,), f"{high} runs on another clock than {low}"
    elif high.span < low.span:
        yield (key,), f"{high} is shorter than {low}"


def of_ladder(clauses: Sequence[tuple[int, Clause]], ladder: tuple[Level, ...]) -> Iterator[Found]:
    """Clauses that do not fit the ladder; each clause comes with its index in the pack."""
    for index, clause in clauses:
        if clause.level != "issue" and clause.level not in ladder:
            yield ("clause", index, "level"), f"{clause.level} is not on the ladder ({', '.join(ladder)})"
            continue
        above = len(ladder) - 1 - (0 if clause.level == "issue" else ladder.index(clause.level))
        if len(clause.climb) > above:
            rungs = "no level" if above == 0 else "one level" if above == 1 else f"{above} levels"
            yield ("clause", index, "climb"), f"{len(clause.climb)} climbs, but {rungs} above"


def of_reach(clauses: Sequence[tuple[int, Clause]]) -> Iterator[Found]:
    """Clauses that can never apply, because earlier ones of the same level and milestone always match first."""
    for place, (index, clause) in enumerate(clauses):
        rivals = [
            other for _, other in clauses[:place] if (other.level, other.milestone) == (clause.level, clause.milestone)
        ]
        if not any(
            clause.applies(*issue) and not any(rival.applies(*issue) for rival in rivals)
            for issue in product((None, *ASSESSMENTS), (False, True), CATEGORIES)
        ):
            before = ", ".join(rival.id for rival in rivals)
            yield ("clause", index), f"never applies: {before} before it matches first" if before else "never applies"
