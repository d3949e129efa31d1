"""SQL and visibility-query injection: text of callers is passed as parameters, on both databases."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, event, select, text

from audit.selection import Selection, SelectionError
from db import queries
from db.engine import Database
from db.queries import CursorError, Filters
from db.tables import IssueRow
from domain.commands import Actor
from support.bare import bare_api
from support.stories import Story, store

MARK = "qz7"
HOSTILE = (
    f"{MARK}' OR '1'='1", f"{MARK}' OR 1=1 --", f'{MARK}" OR ""="', f"{MARK}'; DROP TABLE issues; --", f"{MARK}%", f"{MARK}_",
    f"{MARK}\\' OR 1=1 --", f"{MARK}') UNION SELECT 1,2,3 --", f"{MARK}' AND ExecutionStatus='Running", f"{MARK}:x",
    f"{MARK}${{x}}", f"{MARK}%s%(x)s", f"{MARK}?", f"{MARK}/**/", f"{MARK}\\x00",
)  # fmt: skip
STREET = Actor("s1", "street", "demo-street")


class Statements:
    """The statements that databases were sent while this listened, without their parameters."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def __enter__(self) -> Self:
        event.listen(Engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._note)

    def _note(self, _: object, __: object, statement: str, *___: object) -> None:
        self.sent.append(statement)


async def rows(database: Database) -> int:
    async with database.read() as session:
        return len((await session.scalars(select(IssueRow.id))).all())


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_row_20_lists_and_searches_pass_hostile_text_as_a_parameter(database: Database, hostile: str) -> None:
    story = Story()
    await store(database, story, story.reported())
    with Statements() as statements:
        async with database.read() as session:
            for filters in (
                Filters(q=hostile), Filters(org=hostile), Filters(compound=hostile), Filters(category=hostile),  # type: ignore[arg-type]
                Filters(status=hostile), Filters(level=hostile),  # type: ignore[arg-type]
            ):  # fmt: skip
                page = await queries.list_issues(session, filters, viewer=STREET)
                assert page.items == ()
            for where in ((hostile, "leak", "3"), ("demo", hostile, "3"), ("demo", "leak", hostile)):
                assert await queries.candidates(session, *where, datetime(2020, 1, 1, tzinfo=UTC)) == []
            assert await queries.by_number(session, hostile) == await queries.by_code(session, hostile) == []
            assert (await queries.worklist(session, hostile, viewer=STREET)).items == ()
            assert await queries.issue(session, hostile) is None
            assert await queries.timeline(session, hostile) == ()
            for viewer in (Actor(hostile, "resident"), Actor("x", "street", hostile), Actor("x", "property", hostile)):
                assert (await queries.list_issues(session, viewer=viewer)).items == ()
            with pytest.raises(CursorError):
                await queries.list_issues(session, viewer=STREET, cursor=hostile)
    assert statements.sent
    assert not [statement for statement in statements.sent if MARK in statement]
    assert await rows(database) == 1


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_row_20_an_audit_selection_passes_hostile_text_as_a_parameter(database: Database, hostile: str) -> None:
    story = Story()
    await store(database, story, story.reported())
    words = hostile.replace(" ", "")
    with Statements() as statements:
        for name in ("compound", "number", "issue", "category", "policy", "handler"):
            found = [each async for each in Selection.parse(f"{name}={words}").within("demo-street").issues(database)]
            assert found == []
    assert statements.sent
    assert not [statement for statement in statements.sent if MARK in statement]
    for meaningless in (hostile, f"since={words}", f"{words}=1", f"id;{words}=1"):
        with pytest.raises(SelectionError):
            Selection.parse(meaningless)
    assert await rows(database) == 1


async def test_row_20_over_http_it_is_refused_or_finds_nothing(tmp_path: Path, database_url: str) -> None:
    async with bare_api(tmp_path, database_url) as bare:
        for hostile in HOSTILE:
            for name in ("q", "org", "compound"):
                answer = await bare.get("/v1/issues", bare.street, **{name: hostile})
                assert (answer.status, answer["items"]) == (200, []), (name, hostile)
                sheet = await bare.client.get("/v1/issues.csv", headers=bare.street, params={name: hostile})
                assert (sheet.status_code, sheet.text.count("\n")) == (200, 1), (name, hostile)
            found = await bare.get("/v1/candidates", compound=hostile, category="leak", building=hostile)
            assert (found.status, found.body) == (200, [])
            for path, name in (
                ("candidates", "category"), ("issues.csv", "of"), ("issues.csv", "from"), ("policies", "id"),
                ("vocabulary", "set"), ("places", "cursor"), ("organisations", "cursor"),
            ):  # fmt: skip
                if name == "cursor" and hostile == f"{MARK}_":
                    continue  # it may be the code of a place
                query = {"compound": "demo"} if path == "candidates" else {}
                assert (await bare.get(f"/v1/{path}", bare.street, **query, **{name: hostile})).status == 422
            for name in ("level", "status", "category", "cursor", "limit", "sort", "order"):
                assert (await bare.get("/v1/issues", bare.street, **{name: hostile})).status == 422
            assert (await bare.get("/v1/worklist", bare.street, org=hostile)).status == 404
            assert (
                await bare.get("/v1/audit/verdicts", bare.token("a1", "auditor", "demo-street"), query=hostile)
            ).status == 422
            assert (
                await bare.client.get(f"/v1/issues/{quote(hostile, safe='')}", headers=bare.street)
            ).status_code == 404
        async with bare.database.read() as session:
            assert (await session.execute(text("SELECT count(*) FROM issues"))).scalar() is not None


def test_row_20_no_id_that_reaches_a_visibility_query_can_end_its_quotes() -> None:
    """Queries of Temporal have no parameters: what is put into one is a time of ours, or an id of this form."""
    from protocol.naming import _ID

    assert not [hostile for hostile in HOSTILE if _ID.fullmatch(hostile)]
    assert not [sign for sign in "'\"\\`%;()= \n" if _ID.fullmatch(f"a{sign}b")]
