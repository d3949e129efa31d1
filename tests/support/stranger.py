"""Tampers that somebody invented who had not written the checks: as an administrator would try them, who reaches
database, archive, heads and keys.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from temporalio.api.history.v1 import History

from audit.archive import pack
from audit.content import attached, cited
from audit.log_check import name_of
from audit.log_keys import LogKeys
from audit.merkle import Tree, commitment, leaf_hash
from audit.notes import TreeHead, parse
from db.places import AppointmentRow
from db.tables import (
    AttachmentRow,
    CalendarsRow,
    CodeRow,
    EventRow,
    HeadRow,
    HitRow,
    IssueRow,
    NoticeRow,
    PolicyRow,
    PublishedCalendarRow,
    SealRow,
    SearchTerm,
)  # fmt: skip
from domain.wire import canonical, format_time
from support.tampering import Forgery, Names, Scene, Subject, Tamper, put, some

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TO_COME = datetime(2099, 1, 1, tzinfo=UTC)
DAYS = timedelta(days=2)


def _any(_: Subject) -> bool:
    return True


def _sql(scene: Scene, statement: str, *values: object) -> None:
    assert scene.session.connection().exec_driver_sql(statement, values).rowcount


def _of_victim(statement: str) -> Callable[[Scene], None]:
    return lambda scene: _sql(scene, statement, scene.victim.issue)


# Rows that read as before


def key_twice_in_seal(scene: Scene) -> None:
    row = scene.seal()
    seal = {"position": row.position, "leaf": row.leaf, "salt": row.salt, "record": row.record}
    put(scene.seal_file(), pack(b'{"leaf":"00",' + canonical(seal)[1:]))


# Rows that belong to nothing


def pairs_planted(scene: Scene) -> None:
    row = scene.session.get(IssueRow, scene.victim.issue)
    assert row is not None
    scene.session.add(SearchTerm(term="贪污", opened_at=row.opened_at, issue=row.id))


def event_of_none(scene: Scene) -> None:
    row = some(scene.session.scalars(select(EventRow).where(EventRow.issue == scene.victim.issue)))
    copied = {each.name: getattr(row, each.name) for each in EventRow.__table__.columns}
    scene.session.add(EventRow(**{**copied, "issue": "ghost"}))


def closing_in_time_to_come(scene: Scene) -> None:
    row = scene.session.get(IssueRow, scene.victim.issue)
    assert row is not None
    copied = {each.name: getattr(row, each.name) for each in IssueRow.__table__.columns}
    scene.session.add(IssueRow(**{**copied, "id": "ghost", "closed_at": TO_COME}))


def file_with_a_row(scene: Scene) -> None:
    """So that no file lies there to which nothing leads."""
    row = scene.index()[0]
    copied = {each.name: getattr(row, each.name) for each in type(row).__table__.columns}
    (scene.crowd.folder / "archive" / "notes.bin").write_bytes(pack(b"no history"))
    scene.session.add(type(row)(**{**copied, "issue": "ghost", "run": "another", "key": "notes.bin"}))


def file_as_unfinished(scene: Scene) -> None:
    (scene.crowd.folder / "archive" / "notes#1").write_text("x")


def policy_gone(scene: Scene) -> Names:
    digest = scene.victim.folded.policy.digest
    scene.session.execute(delete(PolicyRow).where(PolicyRow.digest == digest))
    return {"policy": digest}


def calendars_altered(scene: Scene) -> None:
    row = some(scene.session.scalars(select(CalendarsRow)))
    row.body = row.body[1:]


# Log and heads


def _newest(scene: Scene) -> HeadRow:
    return some(scene.session.scalars(select(HeadRow).order_by(HeadRow.at.desc())))


def _outside(scene: Scene, row: HeadRow) -> Path:
    return scene.crowd.heads / f"{name_of(parse(row.note)[0])}.txt"


def head_gone_on_both_sides(scene: Scene) -> Names:
    row = _newest(scene)
    _outside(scene, row).unlink()
    scene.session.delete(row)
    scene.session.flush()
    return {"leaf": _newest(scene).size}


def never_late(scene: Scene) -> Names:
    """Nothing holds the leaves beyond the head, so that they may say when they like that they were sealed."""
    first = head_gone_on_both_sides(scene)
    for row in scene.session.scalars(select(SealRow).where(SealRow.position >= first["leaf"])):
        row.sealed_at = TO_COME
        assert row.record is not None
        scene.put_leaf(row, {**row.record, "archived_at": format_time(TO_COME)})
    return first


def head_under_another_time(scene: Scene) -> Names:
    file = _outside(scene, _newest(scene))
    copy = file.with_name(f"{file.name.partition('-')[0]}-20200101T000000Z.txt")
    copy.write_text(file.read_text("utf-8"), "utf-8")
    return {"name": copy.name}


def key_beside_heads(scene: Scene) -> None:
    forger = LogKeys.create(scene.crowd.folder / "forged", "crowd.example/jiesu")
    (scene.crowd.heads / "key.txt").write_text(f"{forger.first_vkey}\n", "utf-8")


def log_anew_with_its_key(scene: Scene) -> None:
    """By whoever holds the key that signs heads, as the host of the worker does."""
    ring = LogKeys.open(scene.keys_of_log)
    for row in scene.session.scalars(select(SealRow).order_by(SealRow.position)):
        assert row.record is not None
        row.salt = "22" * 32
        row.leaf = leaf_hash(commitment(bytes.fromhex(row.salt), canonical(row.record))).hex()
        scene.session.flush()
        scene.put_leaf(row, row.record)
    leaves = [bytes.fromhex(leaf) for leaf in scene.session.scalars(select(SealRow.leaf).order_by(SealRow.position))]
    tree = Tree(leaves)
    for row in scene.session.scalars(select(HeadRow)):
        file = _outside(scene, row)
        row.root = tree.root(row.size).hex()
        row.note = ring.sign(TreeHead(ring.name, row.size, tree.root(row.size), row.at))
        file.write_text(row.note, "utf-8")


def page_altered(scene: Scene) -> None:
    page = _outside(scene, _newest(scene)).with_suffix(".html")
    page.write_text(page.read_text("utf-8").replace("<dd>", "<dd>1"), "utf-8")


def root_untold(scene: Scene) -> None:
    for file in (scene.crowd.heads / "roots").glob("*.txt"):
        file.unlink()


def root_by_nobody(scene: Scene) -> Names:
    name = "A" * 43
    some((scene.crowd.heads / "roots").glob("*.txt")).with_name(f"{name}.txt").write_text(
        f"crowd.example/jiesu\nroot {name}\ntime 2026-11-01T00:00:00.000Z\n\n— crowd.example/jiesu AAAAAAAA\n", "utf-8"
    )
    return {"root": name}


# Pictures


def _told(subject: Subject) -> list[str]:
    """Pictures that an event tells of and no completion."""
    return [digest for digest in attached(subject.folded.events) if cited(subject.folded)[digest] is None]


def has_told(subject: Subject) -> bool:
    return not subject.erased and bool(_told(subject))


def _row_of(scene: Scene, digest: str) -> AttachmentRow:
    row = scene.session.get(AttachmentRow, (scene.victim.issue, digest))
    assert row is not None
    return row


def told_column(name: str, value: object) -> Callable[[Scene], Names]:
    def alter(scene: Scene) -> Names:
        digest = _told(scene.victim)[0]
        setattr(_row_of(scene, digest), name, value)
        return {"picture": digest[:12]}

    return alter


def told_gone(scene: Scene) -> Names:
    digest = _told(scene.victim)[0]
    scene.session.delete(_row_of(scene, digest))
    (scene.crowd.folder / "attachments" / digest[:2] / digest).unlink()
    return {"picture": digest[:12]}


def picture_of_another(scene: Scene) -> Names:
    """Bytes that were sealed for another issue, listed here under the name of somebody who did upload a picture."""
    other = some(each for each in scene.others if has_told(each))
    foreign, mine = _told(other)[0], _row_of(scene, _told(scene.victim)[0])
    copied = {each.name: getattr(mine, each.name) for each in AttachmentRow.__table__.columns}
    scene.session.add(AttachmentRow(**{**copied, "digest": foreign}))
    return {"picture": foreign[:12]}


# What nothing of an issue's history tells of


def code_to_another(scene: Scene) -> None:
    scene.session.add(CodeRow(hash=hashlib.sha256(b"x").hexdigest(), issue=scene.victim.issue))


def appointment_made(scene: Scene) -> None:
    scene.session.add(AppointmentRow(position=9999, person="a-friend", role="street", org="demo-street", phone=""))


def calendar_published(scene: Scene) -> None:
    scene.session.add(
        PublishedCalendarRow(year=2027, version=1, body={}, source="nobody", published_at=LONG_AGO, published_by="x")
    )


def notice_altered(scene: Scene) -> None:
    some(scene.session.scalars(select(NoticeRow))).payload = {"said": "nothing"}


def kept_out(scene: Scene) -> None:
    scene.session.add(HitRow(key="somebody", at=LONG_AGO, until=TO_COME))


def column_added(scene: Scene) -> None:
    scene.session.connection().exec_driver_sql("ALTER TABLE events ADD COLUMN spy TEXT DEFAULT 'x'")


def erasure_planted(scene: Scene) -> None:
    with contextlib.closing(sqlite3.connect(scene.crowd.vault / "issues.db")) as connection, connection:
        values = scene.victim.issue, "request", format_time(LONG_AGO)
        connection.execute("INSERT INTO doomed_keys VALUES (?, ?, ?)", values)


# Histories


def run_limited(subject: Subject, runs: list[History]) -> None:
    started = runs[0].events[0].workflow_execution_started_event_attributes
    started.workflow_execution_timeout.seconds = 60


FORGERIES = (
    Forgery("a time limit that Temporal is said to have set on a run", run_limited, "head", r"head \S+"),
)  # fmt: skip
TAMPERS = (
    Tamper("a truth of the issue's row, stored as 2, so that no filter finds it",
           _of_victim("UPDATE issues SET urgent = 2 WHERE id = ? AND urgent = 1"), "rows", "issues, urgent",
           lambda subject: subject.folded.state.urgent),
    Tamper("a time of the issue's row, the same in other digits, so that no filter finds it",
           _of_victim("UPDATE issues SET opened_at = replace(opened_at, 'Z', '+00:00') WHERE id = ?"), "rows",
           "issues, opened_at"),
    Tamper("an event's body with a key given twice, the first for other tools",
           _of_victim("""UPDATE events SET body = '{"at":"2020",' || substr(body, 2) WHERE issue = ? AND seq = 1"""),
           "rows", "events, body"),
    Tamper("the seal in the archive with a key given twice", key_twice_in_seal, "archive", "history"),
    Tamper("a pair of characters put into the index, by which it is found", pairs_planted, "rows", "search"),
    Tamper("a pair of characters of an issue that was erased, left in the index", pairs_planted, "rows", "search",
           lambda subject: subject.erased),
    Tamper("an event of an issue that never was", event_of_none, "rows", "table events"),
    Tamper("a closed issue that never was, closed in time to come", closing_in_time_to_come, "archive", "log"),
    Tamper("a file put into the archive, with a row in its index", file_with_a_row, "rows", "table archive"),
    Tamper("id and version beside the text of a policy", _of_victim("UPDATE policies SET version = 99 WHERE ? <> ''"),
           "rows", r"policy \w+"),
    Tamper("a policy that an issue has pinned, gone", policy_gone, "rows", "policy {policy}"),
    Tamper("calendars that an issue has pinned, in their own table", calendars_altered, "rows", r"calendars \w+"),
    Tamper("the newest head deleted inside and outside, as of two days later", head_gone_on_both_sides, "head", "heads",
           after=DAYS),
    Tamper("the same, and the leaves after it sealed in time to come", never_late, "seal", "leaf {leaf}", after=DAYS),
    Tamper("a head outside once more, under the name of another time", head_under_another_time, "head", "head {name}"),
    Tamper("the first key beside the heads, where the auditor brought it", key_beside_heads, "head", "key.txt"),
    Tamper("the statements of signing roots gone", root_untold, "head", "report", spares=False),
    Tamper("a statement of a signing root that the log's key did not sign", root_by_nobody, "head", "root {root}"),
    Tamper("in which role a picture was uploaded, of which an event tells", told_column("role", "admin"), "rows",
           "picture {picture}", has_told),
    Tamper("when a picture was uploaded, later than its event", told_column("added_at", TO_COME), "rows",
           "picture {picture}", has_told),
    Tamper("a picture that an event tells of gone, and from the list", told_gone, "rows", "picture {picture}", has_told),
    Tamper("a picture of another issue put into the list", picture_of_another, "rows", "picture {picture}", has_told),
)  # fmt: skip
UNSEEN: tuple[tuple[str, str, Callable[[Scene], object], Callable[[Subject], bool]], ...] = (
    ("the whole log made anew with its own key, heads outside too", "only a head that somebody kept elsewhere tells",
     log_anew_with_its_key, _any),
    ("the printed page of a head", "the text of the head beside it is what is compared, and so is its code when scanned",
     page_altered, _any),
    ("a tracking code put in, or led to another issue", "codes are made with the server's secret; what one opens the rules say",
     code_to_another, _any),
    ("an appointment, or anything in the directory", "people import it; what it let somebody do is in signed commands",
     appointment_made, _any),
    ("a calendar as it was published", "each issue holds those that it pinned, and these are compared", calendar_published,
     _any),
    ("what a delivered notice said", "notices are outside of any history", notice_altered, _any),
    ("who is kept out by a limit", "uses that count are outside of any history", kept_out, _any),
    ("a column that somebody added to a table", "nothing here reads it", column_added, _any),
    ("a request to erase put into the key store", "nothing signs it; it is carried out, and then it is on record",
     erasure_planted, lambda subject: not subject.erased),
    ("a file in the archive under the name of an unfinished upload (`x#1`)", "one that broke off leaves such, and it is not listed",
     file_as_unfinished, _any),
)  # fmt: skip
