"""The audit service: verdicts, past states, differences between sources, proofs, and clear errors."""

from datetime import timedelta
from pathlib import Path

import pytest

from audit.archive import Archive, ArchiveError
from audit.case import Order, Verdict
from audit.holdings import Holdings, UnknownError
from audit.log_check import LogMismatchError
from audit.merkle import commitment, leaf_hash
from audit.notes import parse
from audit.orders import check_orders
from audit.selection import Selection, SelectionError
from audit.service import AuditService, NotYetError, in_thread
from audit.timeline import MomentError
from audit.verifier import included
from db.engine import Database
from domain.commands import Adopt, Merge, Split
from domain.events import dump_event
from domain.wire import canonical
from support.installation import COVERED, LATER, OPEN, SEALED, UNCOVERED, Installation
from support.stories import START, STREET, Story, store

STANDARD, AGAIN = COVERED[1], LATER[0]


@pytest.fixture
def copy(installation: Installation, tmp_path: Path) -> Installation:
    """To be tampered with."""
    return installation.copied(tmp_path / "copy")


async def test_a_verdict_on_each_sealed_issue(installation: Installation) -> None:
    async with installation.service() as service:
        for issue in SEALED:
            verdict = await service.verdict(issue)
            assert (verdict.issue, verdict.holds) == (issue, True)
            assert verdict.commands > 0
        folded = await service.verdict(AGAIN, commands=False)
        assert (folded.runs, folded.commands, folded.holds) == (2, 0, True)


async def test_an_open_issue_has_no_verdict_and_no_proof_yet(installation: Installation) -> None:
    """Though its first run is archived already."""
    async with installation.service() as service:
        assert (await service.holdings.case(OPEN)).runs
        for ask in (service.verdict(OPEN), service.proof(OPEN)):
            with pytest.raises(NotYetError, match=f"issue {OPEN} is not sealed yet"):
                await ask
        states = await service.states(OPEN)
        assert [event.seq for event, _ in states] == list(range(1, 63))
        assert (await service.view(OPEN, "62"))["status"] == "dispatched"
        found = await service.difference(OPEN)
        assert found.same
        assert len(found.lines) == 62
        assert list(found.lines[0].sources) == ["sql"]


async def test_an_unknown_issue_is_reported_as_unknown(installation: Installation) -> None:
    async with installation.service() as service:
        for ask in (
            service.verdict("nobody"),
            service.view("nobody", "1"),
            service.difference("nobody"),
            service.proof("nobody"),
        ):
            with pytest.raises(UnknownError, match="there is no issue nobody here"):
                await ask
        database = Database(installation.url)
        bare = AuditService(Holdings(database, installation.archive, rows=False), installation.heads)
        with pytest.raises(NotYetError):  # it is known, if not by its rows
            await bare.verdict(OPEN)
        await database.close()


async def test_a_past_state_comes_with_what_stood_on_accounts_then(database: Database, tmp_path: Path) -> None:
    story = Story()
    await store(database, story, story.reported() + story.wait(12))
    climb = next(event for event in story.told if event["kind"] == "escalated")
    service = AuditService(Holdings(database, Archive(tmp_path.as_uri()), rows=False), tmp_path)
    assert (await service.view(story.id, str(climb["seq"] - 1)))["accounts"] == []
    (account,) = (await service.view(story.id, str(climb["seq"])))["accounts"]
    assert (account["org"], account["clause"], account["at"]) == ("demo-property", "accept", climb["at"])
    assert account["made_good"] is False


async def test_past_states_come_from_the_archive_and_not_from_sql(copy: Installation) -> None:
    assert copy.sql("DELETE FROM events WHERE issue = ?", STANDARD) == 8
    async with copy.service() as service:
        states = await service.states(STANDARD)
        assert [event.kind for event, _ in states][:3] == ["reported", "dispatched", "accepted"]
        for event, state in states:
            view = await service.view(STANDARD, str(event.seq))
            assert view["event"] == dump_event(event)
            assert view["status"] == state.status
            assert (await service.view(STANDARD, view["event"]["at"]))["event"]["seq"] >= event.seq
        with pytest.raises(MomentError, match="there is no event 9: the last one is 8"):
            await service.view(STANDARD, "9")
        with pytest.raises(MomentError, match="nothing was known of it yet"):
            await service.view(STANDARD, "2026-01-01")
        for at in ("soon", "9" * 5000, "１"):
            with pytest.raises(SelectionError):
                await service.view(STANDARD, at)


async def test_a_missing_archived_run_is_an_error(copy: Installation) -> None:
    """Else the runs that are left, or SQL, would be taken for the whole."""
    (file,) = copy.home.glob(f"archive/issues/*/{AGAIN}/1-*")
    file.unlink()
    async with copy.service() as service:
        for ask in (service.view(AGAIN, "1"), service.difference(AGAIN)):
            with pytest.raises(ArchiveError, match=f"issue {AGAIN}: .* is missing"):
                await ask
        verdict = await service.verdict(AGAIN)
        assert "archive: history: 1 runs, 2 were sealed" in "\n".join(map(str, verdict.findings))
        with pytest.raises(ArchiveError):
            _ = [case async for case in service.closed(Selection.parse(""))]


async def test_witnesses_agree_on_what_nobody_touched(installation: Installation) -> None:
    async with installation.service() as service:
        for issue in SEALED:
            found = await service.difference(issue)
            assert found.same, found.plain()
            assert {tuple(line.sources) for line in found.lines} == {("archive", "sql")}


async def test_a_witness_that_was_changed_stands_out(copy: Installation) -> None:
    edited = "UPDATE events SET body = replace(body, '换了阀门', '换了水管') WHERE issue = ? AND kind = 'completed'"
    assert copy.sql(edited, STANDARD) == 1
    assert copy.sql("UPDATE issues SET status = 'accepted' WHERE id = ?", STANDARD) == 1
    assert copy.sql("DELETE FROM events WHERE issue = ? AND seq = 8", STANDARD) == 1
    async with copy.service() as service:
        found = await service.difference(STANDARD)
    assert not found.same
    plain = found.plain()
    assert [line["seq"] for line in plain["events"] if not line["same"]] == [6, 8]
    changed, missing = plain["events"][5], plain["events"][7]
    assert changed["archive"].startswith("completed ")
    assert changed["sql"].startswith("completed ")
    assert changed["sql"] != changed["archive"]
    assert (missing["sql"], missing["archive"].split()[0]) == (None, "closed")
    assert plain["rows"] == [f"{STANDARD}: rows: column status: it is 'accepted', not 'closed'"]


async def test_a_proof_can_be_checked_by_anybody(installation: Installation) -> None:
    async with installation.service() as service:
        newest = await service.head()
        for issue in COVERED:
            proof = await service.proof(issue)
            leaf = leaf_hash(commitment(bytes.fromhex(proof["salt"]), canonical(proof["record"])))
            assert leaf.hex() == proof["leaf"]
            siblings = [bytes.fromhex(each) for each in proof["proof"]]
            root = parse(proof["head"])[0].root
            assert included(proof["position"], proof["size"], leaf, siblings, root)
            assert (proof["record"]["issue"], proof["head"], proof["size"]) == (issue, newest["note"], 4)
        assert newest["root"] == root.hex()
        with pytest.raises(NotYetError, match=f"no published head covers issue {UNCOVERED} yet"):
            await service.proof(UNCOVERED)


async def test_without_a_published_head_there_is_no_proof(copy: Installation) -> None:
    for file in copy.head_files:
        file.unlink()
    async with copy.service() as service:
        with pytest.raises(NotYetError, match="no head was published yet"):
            await service.head()
        with pytest.raises(NotYetError, match="no published head covers"):
            await service.proof(STANDARD)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM seals WHERE position IN (2, 3, 4)", "the log has 2 issues, and a head of 4 was published"),
        (
            "UPDATE seals SET leaf = lower(hex(zeroblob(32))) WHERE position = 2",
            "the log is not the one whose head of 4",
        ),
        ("UPDATE seals SET leaf = 'zz' WHERE position = 2", "the log is not the one whose head of 4"),
    ],
)
async def test_no_proof_is_made_from_another_log(copy: Installation, statement: str, said: str) -> None:
    assert copy.sql(statement) >= 1
    async with copy.service() as service:
        with pytest.raises(LogMismatchError, match=said):
            await service.proof(STANDARD)


async def test_a_removed_record_still_has_a_proof_of_its_leaf(copy: Installation) -> None:
    copy.take_away(STANDARD)
    async with copy.service() as service:
        assert not (await service.verdict(STANDARD)).holds
        proof = await service.proof(STANDARD)
        assert (proof["record"], proof["salt"]) == (None, None)
        leaf, siblings = bytes.fromhex(proof["leaf"]), [bytes.fromhex(each) for each in proof["proof"]]
        assert included(proof["position"], 4, leaf, siblings, bytes.fromhex(proof["root"]))
        assert STANDARD not in [case.issue async for case in service.closed(Selection.parse(""))]


async def test_issues_are_given_one_by_one(installation: Installation) -> None:
    async with installation.service() as service:
        closed = {case.issue: case.state.is_closed async for case in service.closed(Selection.parse(""))}
        assert closed == dict.fromkeys(SEALED, True)
        told = {told.issue: len(list(told.steps)) async for told in service.traces(Selection.parse("compound=demo"))}
        assert set(told) == {*SEALED, OPEN}
        assert told[OPEN] == 62
        issues = Selection.parse("").issues(service.holdings.database)
        assert await in_thread(sorted, issues) == sorted(told)
        with pytest.raises(ZeroDivisionError):
            await in_thread(
                lambda items: 1 // (len(list(items)) - len(told)), Selection.parse("").issues(service.holdings.database)
            )


@pytest.mark.parametrize("kind", ["merged", "split"])
async def test_what_is_done_by_order_needs_the_order(database: Database, tmp_path: Path, kind: str) -> None:
    """Nobody but the worker vouches for the grant of such a command."""
    older, younger = Story(), Story(now=START + timedelta(hours=1))
    taken = older.reported()
    await store(database, older, taken + older.give(Adopt(younger.id), STREET))
    reported = younger.reported()
    merged = younger.give(Merge(older.id), STREET)
    await store(database, younger, reported + merged + younger.give(Split("不是一件事"), STREET))
    holdings = Holdings(database, Archive(tmp_path.as_uri()))
    told, teller = (younger, older) if kind == "merged" else (older, younger)
    persons = () if kind == "merged" else ("resident-1",)
    verdict = Verdict(told.id, orders=(Order(kind, teller.id, persons),))  # pyright: ignore[reportArgumentType]
    assert (await check_orders(holdings, verdict)).holds
    if kind == "split":
        verdict = Verdict(told.id, orders=(Order("split", teller.id, (*persons, "somebody")),))
        assert not (await check_orders(holdings, verdict)).holds, "nobody else was to leave"
    for forged in (told.id, "nobody"):
        verdict = Verdict(told.id, orders=(Order(kind, forged),))  # pyright: ignore[reportArgumentType]
        (finding,) = (await check_orders(holdings, verdict)).findings
        assert finding.where == kind
        assert forged in finding.what
