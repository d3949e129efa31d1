"""docker-compose.yml as Compose reads it: variables substituted, services with their commands and environments."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "docker-compose.yml"
EXAMPLE: Final = ROOT / "deploy" / "example.env"
SECRETS: Final = (
    "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_JIESU", "POSTGRES_PASSWORD_TEMPORAL", "POSTGRES_PASSWORD_KEYS",
    "JIESU_SECRET",
)  # fmt: skip
_VARIABLE: Final = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\})")


class MissingError(Exception):
    """A variable that must be set is not; the message is the one that Compose would show."""


@dataclass
class Variables:
    """The variables that a Compose file may use; what it asked for is remembered."""

    given: Mapping[str, str]
    asked: set[str] = field(default_factory=set[str])
    required: set[str] = field(default_factory=set[str])

    def fill(self, value: Any) -> Any:
        """The value with every variable in it replaced, at any depth, as Compose does."""
        match value:
            case str():
                return _VARIABLE.sub(self._one, value)
            case list():
                return [self.fill(each) for each in value]
            case dict():
                return {key: self.fill(each) for key, each in value.items()}
            case _:
                return value

    def _one(self, found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        self.asked.add(found["name"])
        if found["how"] == ":?":
            self.required.add(found["name"])
        if value := self.given.get(found["name"]):
            return value
        if found["how"] == ":?":
            raise MissingError(found["rest"])
        if found["how"] is None:
            raise MissingError(f"{found['name']} is neither required nor has it a default")
        return found["rest"]


def raw() -> dict[str, Any]:
    """The file, its anchors resolved and its variables still in it."""
    return yaml.safe_load(FILE.read_text("utf-8"))


def example_names(commented: bool = True) -> set[str]:
    """The variables of deploy/example.env."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    pattern = re.compile(r"#?(\w+)=" if commented else r"(\w+)=")
    return {found[1] for line in lines if (found := pattern.match(line))}


def example() -> dict[str, str]:
    """deploy/example.env, filled in as it says."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    plain = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return plain | {name: f"{name.lower().replace('_', '')}{'0123456789abcdef' * 4}" for name in SECRETS}


def services(given: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Every service, its variables put in; those of deploy/example.env unless others are given."""
    return Variables(example() if given is None else given).fill(raw()["services"])


def bind_mounts(service: Mapping[str, Any]) -> list[tuple[Path, str, bool]]:
    """(path on the host, path in the container, whether it is read-only) of each mounted file or folder."""
    found: list[tuple[Path, str, bool]] = []
    for volume in service.get("volumes", []):
        source, target, *options = volume.split(":")
        if source.startswith((".", "/")):
            found.append(((ROOT / source).resolve(), target, options == ["ro"]))
    return found


def is_ours(service: Mapping[str, Any]) -> bool:
    return service["image"].startswith("jiesu:")


def runs_once(service: Mapping[str, Any]) -> bool:
    return service["restart"].startswith("on-failure")


def plain_environment() -> dict[str, str]:
    """What this process runs in, without any variable that means something to Jiesu, Temporal or PostgreSQL."""
    meant = ("JIESU_", "TEMPORAL_", "SQL_", "POSTGRES", "PG", "RETENTION")
    return {name: value for name, value in os.environ.items() if not name.startswith(meant)}
