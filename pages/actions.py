"""What a visitor may do now: each command is tried on the issue as it is, so that pages hold no second table of rules."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from api.http.examples import COMMANDS as EXAMPLES
from api.http.requests import COMMANDS
from domain.advance import advance
from domain.commands import Command
from domain.refusals import against
from protocol.reader import VisibleIssue

OF_RESIDENTS: Final = ("confirm", "supply", "urge", "object", "reopen", "withdraw", "unfollow")
_TRIED: Final = "tried"


def possible(seen: VisibleIssue, names: Iterable[str], now: datetime) -> list[str]:
    """Those of the commands that would take effect now, with the texts of an example."""
    return [name for name in names if _takes_effect(seen, name, now)]


def may_attach(seen: VisibleIssue, now: datetime) -> bool:
    """Whether the visitor may add a photo now."""
    return against(seen.issue, seen.actor, "attach", seen.grants, now) is None


def _takes_effect(seen: VisibleIssue, name: str, now: datetime) -> bool:
    shape = COMMANDS[name]
    body = shape.read(shape.model.model_validate_json(json.dumps(EXAMPLES[name])))
    command = Command(_TRIED, now, seen.actor, body, grants=seen.grants)
    after, _ = advance(seen.issue, [command], now)
    receipt = after.receipts.get(_TRIED)
    return receipt is not None and receipt.outcome == "applied"
