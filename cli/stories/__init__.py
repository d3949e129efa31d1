"""Five published cases, and one issue on which nobody acts, as data: commands with the times at which they are given.

The demo replays them in seconds, the tests in real durations. So each step has two times, counted from the first
report: `at` (``1d5h``) under the pack of the case's district, and `demo`, in seconds, under the pack `demo`. A body is
a request body of the API with placeholders for values known only at run time: ``{at, demo}`` is a time, ``{org}`` the
organisation that has this role, ``{report}`` the id of the issue that the story's n-th report opened, counted from 0.
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
    """A time in the body of a step, counted from the story's first report: `at` in minutes, `demo` in seconds."""

    at: int
    demo: float


@dataclass(frozen=True)
class Step:
    """One command. `to` names its issue, by the number of the story's report that opened it, counted from 0.

    The command ``report`` opens an issue. `at` is in minutes and `demo` in seconds after the story's first report.
    """

    at: int
    demo: float
    who: Who
    command: str
    body: Mapping[str, Any]
    to: int


@dataclass(frozen=True)
class Stage:
    """Where a story plays: the compound, and the code of the organisation that has each role there."""

    compound: str
    orgs: Mapping[Who, str]


@dataclass(frozen=True)
class Story:
    """One case. `title` and `english` say it in both languages; `starts` is the weekday (Monday is 0) and the time in Shanghai of the first report.

    `own` is the stage under the real pack, `demo` the stage of the demo.
    """

    id: int
    title: str
    english: str
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
"""The compound of the example directory in which the demo plays, with its organisations."""
_STAGES: Final = {
    "demo": DEMO,
    # The same community and street, but the operator of this compound is the community itself.
    "demo-society": Stage("demo-society", {**DEMO.orgs, "property": "demo-service-society"}),
}


def filled(
    body: Mapping[str, Any], stage: Stage, reported: Sequence[str], tell: Callable[[Moment], str]
) -> dict[str, Any]:
    """The body with its placeholders filled in. `reported`: the ids of the story's issues; `tell` formats a time."""

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
