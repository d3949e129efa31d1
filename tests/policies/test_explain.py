"""The dates that a policy promises from one moment, for every level and the whole issue."""

from datetime import UTC, date, datetime

import pytest

import calendars
from domain.vocabulary import Assessment, Category
from domain.wire import dump
from domain.worktime import YearCalendar
from policies.explain import Line, explain, read_moment
from policies.loader import load_pack

SHIPPED = calendars.load_all()


def lines(
    policy: str,
    start: str,
    category: Category = "leak",
    *,
    urgent: bool = False,
    assessment: Assessment | None = None,
    known: tuple[YearCalendar, ...] = SHIPPED,
) -> tuple[Line, ...]:
    return explain(load_pack(policy), known, category, read_moment(start), urgent=urgent, assessment=assessment)


def ids(found: tuple[Line, ...]) -> list[str]:
    return [line.clause for line in found]


def test_every_clause_of_every_level_and_of_the_issue_in_dates() -> None:
    assert [dump(line) for line in lines("3+3+5", "2026-09-30T16:00")] == [
        {"level": level, "milestone": milestone, "clause": clause, "when": [], "due": due, "climb": climb,
         "provisional": False}
        for level, milestone, clause, due, climb in (
            ("property", "arrive", "arrive", "2026-09-30T11:00:00.000Z", ["2026-09-30T11:00:00.000Z"]),
            ("property", "handle", "handle", "2026-09-30T11:00:00.000Z", ["2026-09-30T11:00:00.000Z"]),
            ("issue", "answer", "answer", "2026-10-13T15:59:59.000Z", ["2026-10-14T00:00:00.000Z"]),
            ("community", "accept", "community-accept", "2026-09-30T11:00:00.000Z", ["2026-09-30T11:00:00.000Z"]),
            ("community", "act", "community-act", "2026-10-08T15:59:59.000Z", ["2026-10-09T00:00:00.000Z"]),
            ("street", "accept", "street-accept", "2026-09-30T11:00:00.000Z", []),
            ("street", "act", "street-act", "2026-10-08T15:59:59.000Z", []),
        )
    ]  # fmt: skip


def test_the_two_holidays_that_must_come_out_right() -> None:
    (settle,) = (line for line in lines("dispute", "2026-09-30T16:00", "dispute") if line.clause == "settle")
    assert settle.due == read_moment("2026-10-10T23:59:59")
    (sit,) = (line for line in lines("dispute", "2026-02-13T12:00", "dispute") if line.clause == "sit")
    assert sit.due == read_moment("2026-02-24T23:59:59")


def test_a_clause_for_other_categories_is_left_out() -> None:
    everything = [clause.id for clause in load_pack("12345").clause]
    assert ids(lines("12345", "2026-09-28T10:00", "utilities")) == everything
    assert ids(lines("12345", "2026-09-28T10:00", "leak")) == [i for i in everything if i != "answer-utilities"]


def test_urgency_and_size_select_the_explained_clauses() -> None:
    above = ["community-accept", "street-accept"]
    urgent = ["accept-urgent", "contact-urgent", "answer-urgent", *(f"{clause}-urgent" for clause in above)]
    assert ids(lines("12345", "2026-09-28T10:00", urgent=True)) == urgent
    assert ids(lines("12345", "2026-09-28T10:00", assessment="big")) == ["accept", "contact", "answer-complex", *above]
    assert ids(lines("12345", "2026-09-28T10:00", assessment="minor")) == ["accept", "contact", "answer", *above]
    assert ids(lines("12345", "2026-09-28T10:00", "utilities", assessment="big"))[2:] == ["answer-utilities", *above]
    assert "plan" not in ids(lines("52022", "2026-09-28T10:00", assessment="minor"))
    assert "plan" in ids(lines("52022", "2026-09-28T10:00", urgent=True))


def test_a_clause_for_urgent_issues_runs_as_one() -> None:
    answer = next(line for line in lines("12345", "2026-09-28T22:00") if line.clause == "answer-urgent")
    assert answer.due == read_moment("2026-09-29T00:00")
    assert answer.climb == (read_moment("2026-09-28T22:30"), read_moment("2026-09-28T23:00"))


def test_an_urgent_issue_runs_day_and_night() -> None:
    ordinary = next(line for line in lines("52022", "2026-09-28T22:00") if line.clause == "arrive")
    assert (ordinary.due, *ordinary.climb) == (read_moment("2026-09-29T08:05"), read_moment("2026-09-29T08:30"))
    urgent = next(line for line in lines("52022", "2026-09-28T22:00", urgent=True) if line.clause == "arrive")
    assert (urgent.due, *urgent.climb) == (read_moment("2026-09-28T22:05"), read_moment("2026-09-28T22:30"))


def test_what_waits_for_an_unpublished_year_is_provisional() -> None:
    found = {line.clause: line for line in lines("52022", "2026-12-30T10:00")}
    assert {clause for clause, line in found.items() if line.provisional} == {"street-answer"}
    published = (*SHIPPED, YearCalendar(2027, 1, off=(date(2027, 1, 1),), on=()))
    settled = {line.clause: line for line in lines("52022", "2026-12-30T10:00", known=published)}
    assert not settled["street-answer"].provisional
    assert settled["street-answer"].due > found["street-answer"].due


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-30T16:00", "2026-09-30 16:00", "2026-09-30T16:00:00.000", "2026-09-30T08:00:00Z", " 2026-09-30T16:00 ",
        "2026-09-30T16:00:00+08:00", "2026-09-30T08:00:00.0009Z",
    ],
)  # fmt: skip
def test_a_time_without_a_zone_is_shanghai_time(text: str) -> None:
    assert read_moment(text) == datetime(2026, 9, 30, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "now", "16:00", "2026-13-01", "0001-01-01T00:00"])
def test_what_is_not_a_time_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        read_moment(text)
