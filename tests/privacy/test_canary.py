"""Personal text is only in sealed form and in the allowed rows; once erased, nowhere.

Every command has been accepted, with a canary in each of its personal fields.
"""

import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import pytest
from sqlalchemy import select

import domain.commands as c
from audit.log_keys import TrustedKeys
from audit.verify_all import AuditReport as Audited
from audit.verify_all import Source, lines, verify_all, verify_log
from db.tables import AttachmentRow, IssueRow, SearchTerm
from domain.commands import SIGNALS
from domain.wire import Text
from security.vault import ERASED
from support.canary import Canaries, forms
from support.planted import Planted, parts, planted
from support.postgres import fresh_database, shared_server

ROWS = {"issues.words"}
"""The only column that may hold what was reported, so that it can be looked for."""
FILES = {"jiesu.db", "jiesu.db-wal"}
WORDS = re.compile(r"report [0-9]+\.(description|location): UTF-8: .*", re.DOTALL)
"""All that may stand there."""
LEFT = ("kind", "at", "clause", "due", "was_due", "held", "level")
"""Of an event, for statistics."""


@dataclass
class Phases:
    """The same installation before and after everything was erased."""

    stage: Planted
    before: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    after: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    told: list[Any] = field(default_factory=list[Any])
    told_after: list[Any] = field(default_factory=list[Any])
    overheard: list[str] = field(default_factory=list[str])
    pictures: list[int] = field(default_factory=list[int])
    audited: Audited | None = None
    found: int = 0
    found_after: int = 0


def personal(kind: type[Any], inside: bool = False) -> Iterator[str]:
    """The paths of all texts in such a value that may be personal, items of tuples under the name of their field."""
    hints = get_type_hints(kind)
    for each in fields(kind):
        marked = inside or bool(each.metadata.get("personal"))
        parts_of = [hint for hint in (hints[each.name], *get_args(hints[each.name])) if is_dataclass(hint)]
        below = [part for part in parts_of if isinstance(part, type) and not issubclass(part, Text)]
        for part in below:
            yield from (f"{each.name}.{path}" for path in personal(part, marked))
        if marked and not below:
            yield each.name


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def phases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Phases]:
    with contextlib.ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(fresh_database(shared_server(request.config)))
        async with planted(tmp_path_factory.mktemp("planted"), url) as stage:
            yield await play(stage)


async def play(stage: Planted) -> Phases:
    """Everything that tests look at, in the order in which it happens."""
    found = Phases(stage)
    for life in parts():
        await stage.live(life)
    await stage.part_again()
    await stage.turned_away()
    await stage.phone()
    await stage.appoint()
    await stage.sealed()
    looked_for = next(text for text, where in stage.canaries.planted.items() if where == "report 1.description")
    found.found = await stage.find(looked_for)
    found.told = await stage.timelines()
    overheard = await stage.overheard()
    assert [each["id"] for each in overheard[0][-1]["before"]] == [stage.issues[0]]
    found.overheard = [json.dumps(each, ensure_ascii=False) for each in overheard]
    found.before = await stage.leaks()
    privacy = stage.privacy()
    everything = [*stage.issues, *stage.merged]
    await privacy.ask(everything, "request")
    assert sorted((await privacy.carry_out()).erased) == sorted(everything)
    found.told_after = await stage.timelines()
    found.found_after = await stage.find(looked_for)
    found.pictures = await stage.pictures()
    found.after = await stage.leaks()
    found.audited = Audited("all", datetime.now(UTC))
    source = Source(stage.system.url, stage.system.archive.url)
    await verify_all(source, found.audited, workers=1)
    await verify_log(source, stage.system.heads, TrustedKeys.beside(stage.system.heads), found.audited)
    return found


def test_a_canary_is_found_in_every_form() -> None:
    canaries = Canaries()
    text, phone = canaries.plant("here"), canaries.phone("there")
    for planted_text in (text, phone):
        for _, data in forms(planted_text):
            for before in (b"", b"x", b"xy"):
                assert canaries.found(before + data)
    for before in ("", "x", "xy"):
        assert canaries.found(base64.b64encode(f"{before}{text}z".encode()))
        assert canaries.found(base64.urlsafe_b64encode(f"{before}{phone}z".encode()))
    assert canaries.found(json.dumps({"a": f"b{text}"}).encode())
    assert canaries.found(f"before {text} after".encode())[0].startswith("here: UTF-8")
    assert canaries.found(b"nothing of it") == []


def test_every_personal_field_is_planted(phases: Phases) -> None:
    kinds: dict[str, type[Any]] = {**SIGNALS, "report": c.Report}
    wanted = {(name, path) for name, kind in kinds.items() for path in personal(kind)}
    places = phases.stage.canaries.planted.values()
    found = [re.fullmatch(r"(?:issue \d+, (\w+)|(report) \d+)\.([\w.]+)", where) for where in places]
    given = {(each[1] or each[2], re.sub(r"\.\d+", "", each[3])) for each in found if each}
    assert given == wanted
    assert {"subject", "picture, comment", "picture, EXIF", "phone", "appointment"} <= set(places)


def test_every_planted_canary_is_shown_to_allowed_readers(phases: Phases) -> None:
    told = json.dumps(phases.told, ensure_ascii=False) + "".join(phases.overheard)
    taken = rf"(report|issue) [1-{len(parts())}]"  # the one after these had no effect, as it should
    hidden = [
        where for text, where in phases.stage.canaries.planted.items() if re.match(taken, where) and text not in told
    ]
    assert hidden == []
    assert phases.found == 1


def test_no_resident_reads_what_another_wrote(phases: Phases) -> None:
    neighbour, reporter = phases.overheard
    own, planted = phases.stage.of_neighbour, phases.stage.canaries.planted
    to_all = re.compile(r"issue 1, (answer\.text|ask\.question|plan\.steps\.\d\.\w+|complete\.answer|deny\.reason)")
    shown = {text for text in planted if text in neighbour}
    assert own
    assert own <= shown
    assert [planted[text] for text in shown - own if not to_all.fullmatch(planted[text])] == []
    assert any(planted[text] == "issue 1, complete.answer" for text in shown), "what staff tell everybody he reads"
    assert [planted[text] for text in own if text in reporter] == []


def test_canaries_are_only_in_allowed_rows_and_files(phases: Phases) -> None:
    assert phases.before.keys() <= ROWS | FILES
    assert phases.before.keys() >= ROWS, "or nothing was looked at"
    for where, hits in phases.before.items():
        # Of what lies across two pages of a file only a part is known.
        assert [hit for hit in hits if not (WORDS.match(hit) or (where in FILES and hit.startswith("?")))] == []


def test_no_canary_remains_after_erasure(phases: Phases) -> None:
    assert phases.after == {}


async def test_no_search_term_or_picture_remains_after_erasure(phases: Phases) -> None:
    assert phases.found_after == 0
    assert phases.pictures == [0] * len(phases.stage.issues)
    async with phases.stage.system.database.read() as session:
        for table in (SearchTerm, AttachmentRow):
            held = set(await session.scalars(select(table.issue)))
            assert not held & set(phases.stage.issues)
        assert set(await session.scalars(select(IssueRow.words).where(IssueRow.id.in_(phases.stage.issues)))) == {""}
    shelf = phases.stage.system.home / "attachments"
    assert not [path for path in shelf.rglob("*") if path.is_file()]


def test_event_times_and_minutes_remain_after_erasure(phases: Phases) -> None:
    for before, after in zip(phases.told, phases.told_after, strict=True):
        assert before["minutes"] == after["minutes"]
        assert [[each[name] for name in LEFT] for each in before["events"]] == [
            [each[name] for name in LEFT] for each in after["events"]
        ]
        first, last = after["events"][0]["data"], after["events"][-1]
        assert first["description"] == first["location"] == first["contact"]["phone"] == ERASED
        assert last["kind"] == "closed"


def test_an_auditor_finds_everything_in_order_and_says_what_was_erased(phases: Phases) -> None:
    audited = phases.audited
    assert audited is not None
    assert audited.findings == []
    assert audited.erased == audited.issues == len(phases.stage.issues) + len(phases.stage.merged)
    assert audited.commands > audited.issues
    assert "verified, content erased" in "\n".join(lines(audited))
