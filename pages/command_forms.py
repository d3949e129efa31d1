"""Forms of commands: their fields follow from the models of request bodies, their choices from the vocabulary and the issue."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal

from api.http.requests import COMMANDS
from domain.worktime import SHANGHAI
from texts.catalogue import Language, named, say, tables

Kind = Literal["line", "text", "choice", "pick", "moment", "lines", "photos", "people", "fixed"]
"""A line of text, or several; one choice of few, or of many; a time; a list with one item a line; photos of the issue to
tick; people to tap on, which sends the form; the only choice that there is."""

STEPS: Final = 5
"""How many steps of a plan a form takes."""
ONE_TAP: Final = frozenset({"accept", "contact", "arrive", "resume", "mitigate", "attempt", "supervise"})
"""Commands that may be given by one tap: what else they say can be left out, and nothing ends by them."""
_NEEDED: Final = frozenset({("complete", "answer")})
"""What the rules ask for, though a request may lack it."""
_FEW: Final = 6
_LONG: Final = 1000
_NUMBERED: Final = re.compile(r"evidence\.[0-9]{1,3}")
Choice = tuple[str, str]
"""What is sent, and what people read."""


@dataclass(frozen=True)
class Offer:
    """What an issue has to choose from, by the name of the field; and the choices that would take effect now, where tried."""

    choices: Mapping[str, Sequence[Choice]] = field(default_factory=dict[str, Sequence[Choice]])
    working: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])


@dataclass(frozen=True)
class Field:
    """One field of a form: `value` is what it holds, `fault` what is wrong with that."""

    name: str
    kind: Kind
    label: str
    is_required: bool = False
    most: int = 0
    choices: Sequence[Choice] = ()
    value: str = ""
    ticked: Sequence[str] = ()
    fault: str = ""


@dataclass(frozen=True)
class Form:
    """The form of a command. `may_be_tapped`: nothing need be filled in, so one button is enough."""

    command: str
    fields: Sequence[Field]
    may_be_tapped: bool
    faults: Sequence[Choice] = ()
    """The name of each faulty field, and what is wrong with it."""


def form_of(
    command: str, offer: Offer, language: Language, sent: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> Form:  # fmt: skip
    """The form of a command; with what was `sent` in it, and what is wrong with that by the name of the field."""
    make = _Maker(command, offer, language, sent or {}, faults or {})
    found = [each for name, schema in _properties(command).items() for each in make.fields(name, schema)]
    known = {each.name for each in found}
    others = [(found[0].name if found else "", why) for name, why in make.faults.items() if name not in known]
    told = [(each.name, each.fault) for each in found if each.fault]
    return Form(command, found, command in ONE_TAP, [*told, *others])


def plain_of(command: str, sent: Mapping[str, str]) -> dict[str, Any]:
    """What was sent in a form, as the plain body of a request, without what was left empty."""
    found = {name: _plain(name, schema, sent) for name, schema in _properties(command).items()}
    return {name: value for name, value in found.items() if value not in ("", [], None)}


def _plain(name: str, schema: Mapping[str, Any], sent: Mapping[str, str]) -> Any:
    text = sent.get(name, "").strip()
    if name == "steps":
        return [step for n in range(STEPS) if (step := _step(n, sent))]
    if name == "evidence":
        return _digests(sent)
    match schema:
        case {"type": "array"}:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case {"type": "boolean"}:
            return {"yes": True, "no": False}.get(text)
        case {"type": "integer"}:
            return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else text
        case {"format": "date-time"}:
            return instant(text)
        case _:
            return text


def _digests(sent: Mapping[str, str]) -> list[str]:
    """The photos that were ticked, and those that the outbox has sent before the form, with spaces between."""
    ticked = [value for key, value in sent.items() if _NUMBERED.fullmatch(key) and value]
    return list(dict.fromkeys([*ticked, *sent.get("evidence", "").split()]))


def _step(n: int, sent: Mapping[str, str]) -> dict[str, str]:
    found = {part: sent.get(f"steps.{n}.{part}", "").strip() for part in ("title", "due", "owner")}
    found["due"] = instant(found["due"])
    return {part: value for part, value in found.items() if value}


def instant(text: str) -> str:
    """A time as a browser sends it, in China, as the API takes it; any other text unchanged, which the API refuses."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        return text
    if local.tzinfo is None:
        local = local.replace(tzinfo=SHANGHAI)
    return local.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def label_key(command: str, name: str) -> str:
    """The key of a field's label: its own in this command if it has one, else that of all fields of this name."""
    own = f"{command}.{name}"
    return own if own in tables("zh")["fields"] else name


@cache
def _schema(command: str) -> Mapping[str, Any]:
    return COMMANDS[command].model.model_json_schema()


def _properties(command: str) -> Mapping[str, Mapping[str, Any]]:
    """The schema of each field; of one that may be left out, that of what it holds otherwise."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, schema in _schema(command).get("properties", {}).items():
        either = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        found[name] = either[0] if either else schema
    return found


def _required(command: str) -> frozenset[str]:
    needed = {name for of, name in _NEEDED if of == command}
    return frozenset({*_schema(command).get("required", ()), *needed})


@dataclass(frozen=True)
class _Maker:
    """Makes the fields of one form."""

    command: str
    offer: Offer
    language: Language
    sent: Mapping[str, str]
    faults: Mapping[str, str]

    def fields(self, name: str, schema: Mapping[str, Any]) -> list[Field]:
        if name == "steps":
            return [each for n in range(STEPS) for each in self._step(n)]
        choices = self._choices(name, schema)
        if name == "evidence":
            return [self._field(name, "photos", choices=choices, ticked=_digests(self.sent))]
        if name == "person":
            return [self._field(name, "people", choices=choices)]
        if choices or "enum" in schema:
            return [self._choice(name, choices, str(schema.get("default") or ""))]
        match schema:
            case {"format": "date-time"}:
                kind: Kind = "moment"
            case {"type": "array"}:
                kind = "lines"
            case _:
                kind = "text" if schema.get("maxLength", 0) > _LONG else "line"
        return [self._field(name, kind, most=schema.get("maxLength", 0))]

    def _field(self, name: str, kind: Kind, label: str = "", **more: Any) -> Field:
        label = label or say("fields", label_key(self.command, name), self.language)
        return Field(
            name, kind, label, more.pop("is_required", name in _required(self.command)),
            value=more.pop("value", self.sent.get(name, "")), fault=self.faults.get(name, ""), **more,
        )  # fmt: skip

    def _choice(self, name: str, choices: Sequence[Choice], default: str) -> Field:
        value = self.sent.get(name, default)
        if len(choices) == 1 and name in _required(self.command) | self.offer.working.keys():
            return self._field(name, "fixed", choices=choices, value=choices[0][0])
        is_required = name in _required(self.command)
        if value not in {sent for sent, _ in choices}:
            value, is_required = "", is_required or bool(default)
        if name not in _required(self.command) and not default:
            none = f"{name}.none" if f"{name}.none" in tables("zh")["fields"] else "none"
            choices = [("", say("fields", none, self.language)), *choices]
        kind: Kind = "choice" if len(choices) <= _FEW else "pick"
        return self._field(name, kind, is_required=is_required, choices=choices, value=value)

    def _choices(self, name: str, schema: Mapping[str, Any]) -> Sequence[Choice]:
        """What can be chosen: of what the issue offers, else of the vocabulary, only what would take effect where tried."""
        if (offered := self.offer.choices.get(name)) is not None:
            return offered
        if schema.get("type") == "boolean":
            both = [("yes", True), ("no", False)]
            return [
                (sent, say("fields", f"{name}.{sent}", self.language))
                for sent, value in both
                if self._works(name, value)
            ]
        return [(word, named(word, self.language)) for word in schema.get("enum", ()) if self._works(name, word)]

    def _works(self, name: str, value: Any) -> bool:
        return name not in self.offer.working or value in self.offer.working[name]

    def _step(self, n: int) -> list[Field]:
        owners = [("", say("fields", "none", self.language)), *self.offer.choices.get("owner", ())]
        name, needed = f"steps.{n}", n == 0
        return [
            self._field(f"{name}.title", "line", self._part("title", n), is_required=needed),
            self._field(f"{name}.due", "moment", self._part("due", n), is_required=needed),
            self._field(f"{name}.owner", "pick", self._part("owner", n), is_required=False, choices=owners),
        ]  # fmt: skip

    def _part(self, part: str, n: int) -> str:
        return say("fields", f"steps.{part}", self.language, {"n": n + 1})
