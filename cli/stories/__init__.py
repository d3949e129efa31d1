"""Five published cases as data: timed commands that the demo replays in seconds and the tests in real durations.

Each step has two times after the first report: `at` (``1d5h``) under the district's own pack, and `demo`, in seconds,
under the pack `demo`. Bodies are those of the API, with placeholders for values known only at run time: ``{at, demo}``
is a time, ``{org}`` the organisation in this role, ``{report}`` the id of the story's n-th report, from 0.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from domain.vocabulary import Category

Who = Literal["resident", "property", "community", "street", "volunteer"]

_MINUTES: Final = {"d": 24 * 60, "h": 60, "m": 1}


@dataclass(frozen=True)
class Moment:
    """A time in a body, after the first report: `at` in minutes, `demo` in seconds."""

    at: int
    demo: float


@dataclass(frozen=True)
class Step:
    """One command to the issue of the story's report number `to`; ``report`` makes that report. `at` is in minutes."""

    at: int
    demo: float
    who: Who
    command: str
    body: Mapping[str, Any]
    to: int


@dataclass(frozen=True)
class Stage:
    """The compound of a story, and the code of the organisation in each role."""

    compound: str
    orgs: Mapping[Who, str]


@dataclass(frozen=True)
class Story:
    """One case. `starts` is the weekday (Monday is 0) and the time in Shanghai of its first report."""

    id: int
    title: str
    place: str
    category: Category
    policy: str
    starts: tuple[int, str]
    own: Stage
    demo: Stage
    steps: tuple[Step, ...]


DEMO: Final = Stage(
    "demo",
    {
        "property": "demo-property",
        "community": "demo-community",
        "street": "demo-street",
        "volunteer": "demo-volunteers",
    },
)
"""The compound for trying things out."""
_STAGES: Final = {
    "demo": DEMO,
    # The same community and street, but the operator of this compound is the community itself.
    "demo-society": Stage("demo-society", {**DEMO.orgs, "property": "demo-service-society"}),
}


def filled(
    body: Mapping[str, Any], stage: Stage, reported: Sequence[str], tell: Callable[[Moment], str]
) -> dict[str, Any]:
    """The body with its placeholders filled in: `reported` holds the issues' ids, `tell` formats a time."""

    def fill(value: Any) -> Any:
        match value:
            case {"at": at, "demo": demo}:
                return tell(Moment(_minutes(at), demo))
            case {"org": who}:
                return stage.orgs[who]
            case {"report": n}:
                return reported[n]
            case dict():
                return {key: fill(each) for key, each in cast("dict[str, Any]", value).items()}
            case list():
                return [fill(each) for each in cast("list[Any]", value)]
            case _:
                return value

    return {key: fill(value) for key, value in body.items()}


def _minutes(text: str) -> int:
    return sum(int(number) * _MINUTES[unit] for number, unit in re.findall(r"(\d+)([dhm])", text))


def _story(name: str) -> Story:
    plain = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text("utf-8"))
    steps = [{"body": {}, "to": 0, **step, "at": _minutes(step["at"])} for step in plain["steps"]]
    return Story(
        **{
            **plain,
            "starts": tuple(plain["starts"]),
            "own": Stage(**plain["own"]) if "own" in plain else DEMO,
            "demo": _STAGES[plain["demo"]],
            "steps": tuple(Step(**step) for step in steps),
        }
    )


LEAK: Final = _story("leak")
DRAIN: Final = _story("drain")
ANIMALS: Final = _story("animals")
PARKING: Final = _story("parking")
BOTTLE: Final = _story("bottle")
NOBODY: Final = _story("nobody")
STORIES: Final = (LEAK, DRAIN, ANIMALS, PARKING, BOTTLE)
