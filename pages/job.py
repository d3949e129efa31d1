"""What the page of one job shows: where, what, whose turn it is, what can be done now, and what has happened."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.container import Services
from domain.access import Sight
from domain.commands import Complete
from domain.completion import needs_picture
from domain.events import Event
from pages import story
from pages.actions import may_attach, of_staff
from pages.command_forms import Form, form_of
from pages.offers import offer_of, people, photos
from pages.record import record_of
from pages.who import Member
from protocol.clock import today
from protocol.context import LANGUAGE
from protocol.masking import MASK, masked_event
from protocol.reader import VisibleIssue
from protocol.telling import told
from texts.catalogue import named

_QUICK: Final = 4
"""How many further commands are offered at once; the rest is one tap away."""
_DESK: Final = ("community", "street")
"""Roles that are shown the whole record of an issue, and not its story alone."""


@dataclass(frozen=True)
class Report:
    """What was reported, as far as the viewer may read it. `dialled` is the number for the telephone, once it is shown."""

    where: str
    what: str
    name: str
    phone: str
    dialled: str


async def job_of(seen: VisibleIssue, use: Services, who: Member, *, reveals: bool = False) -> dict[str, Any]:
    """The values of the templates; with `reveals` the phone is shown whole, which is logged and limited as by the API."""
    language, now, issue = LANGUAGE.get(), use.now(), seen.issue
    directory = await use.directory.get()
    found = await told(seen, use.reader, use.access, reveals=reveals)
    first, others = of_staff(seen, now)
    names = [*filter(None, [first]), *others]
    team = people(directory, seen, today(now)) if issue.assigned is None and "assign" in names else []
    others = [name for name in others if name != "assign" or not team]
    return {
        "issue": issue, "id": issue.id, "now_ms": int(now.timestamp() * 1000),
        "token": who.token, "key": lambda: str(uuid.uuid4()), "version": issue.version,
        "turn": story.turn(issue, directory, now, language, resident=named("resident", language)),
        "closed": issue.closed and named(issue.closed.kind, language),
        "report": _report(found.timeline.events, found.sight), "masked": found.masked,
        "may_reveal": seen.sight.phone and not reveals,
        "photos": await photos(seen, use), "may_attach": use.attachments is not None and may_attach(seen, now),
        "main": first and form_of(first, await offer_of(first, seen, use), language),
        "quick": others[:_QUICK], "more": others[_QUICK:], "people": team,
        "is_mine": issue.assigned is not None and issue.assigned == seen.actor.person,
        "record": await record_of(seen, use, found, reveals=reveals) if who.role in _DESK else None,
        "lines": story.lines(found.timeline.events, found.sight, directory, language),
        "photo_path": f"/work/{issue.id}/photo", "needs_photo": needs_picture(issue, Complete("solved")),
    }  # fmt: skip


async def opened_form(
    command: str, seen: VisibleIssue, use: Services, sent: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> Form:  # fmt: skip
    """The form of a command for this issue, with what was sent in it and what is wrong with that."""
    return form_of(command, await offer_of(command, seen, use), LANGUAGE.get(), sent, faults)


def _report(events: Sequence[Event], sight: Sight) -> Report:
    body = masked_event(events[0], sight)
    contact: Mapping[str, str] = body.get("contact") or {}
    phone = contact.get("phone", "")
    is_whole = bool(phone) and "*" not in phone
    dialled = "".join(sign for sign in phone.partition(" 转")[0] if sign in "+0123456789") if is_whole else ""
    return Report(
        _shown(body.get("location", "")), _shown(body.get("description", "")), _shown(contact.get("name", "")),
        "" if phone == MASK else phone, dialled,
    )  # fmt: skip


def _shown(text: str) -> str:
    """A text that the viewer may read; empty where it is masked."""
    return "" if text == MASK else text
