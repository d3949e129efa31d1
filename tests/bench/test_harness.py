"""The benchmark harness without timing: statistics, goals, counting, and the report."""

from pathlib import Path

import pytest
from sqlalchemy import select
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory

from bench import marks, search
from bench.cost import Bounds, Cost, committed, compressed, cost_of, table, write
from bench.figures import Figure, Goal, Result, number, quantile, ratios, times
from bench.report import render, terminal
from db.search import terms as terms_of
from db.tables import IssueRow, SearchTerm
from db.upgrade import make_sync_engine, upgrade
from support.databases import database_url

__all__ = ["database_url"]
GOLDEN = Path(__file__).resolve().parents[1] / "workflows" / "histories" / "standard.0.pb"
COST = Cost((("workflow task completed", 6), ("timer started", 26)), (("start", 1), ("signals", 10)), 9000, 3000, 2000)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_a_quantile_is_a_sample_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert quantile([float(each) for each in reversed(range(1, 101))], share) == expected


def test_a_quantile_of_few_samples() -> None:
    assert quantile([3.0], 0.99) == 3.0
    assert quantile([1.0, 2.0], 0.5) == 1.0
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="no share"):
        quantile([1.0], 1.5)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([1.0, 9.0], [2.0, 3.0]) == (0.5, 3.0)
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal("<=", 3), 3.0, "met"),
        (Goal("<=", 3), 3.01, "missed"),
        (Goal(">=", 0.8), 0.8, "met"),
        (Goal(">=", 0.8), 0.79, "missed"),
        (Goal("==", 0), 0.0, "met"),
        (Goal("==", 0), 1.0, "missed"),
        (None, 1.0, ""),
    ],
)
def test_a_goal_is_met_or_missed_by_the_median(goal: Goal | None, value: float, verdict: str) -> None:
    assert Figure("it", (value, 0.0, 1e9), goal=goal).verdict == verdict


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (32.0, "32"), (12345.0, "12,345"), (0.84217, "0.842"), (1.2345, "1.23"), (12.345, "12.3"),
     (1234.5, "1,234"), (0.0009, "0.001")],
)  # fmt: skip
def test_numbers_show_the_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown


def test_times_are_shown_in_milliseconds() -> None:
    assert [(each.name, each.shown()) for each in times("row", [0.001, 0.012, 0.5])] == [
        ("row, p50", "12 ms"),
        ("row, p99", "500 ms"),
    ]


def test_a_report_says_goal_and_figure_side_by_side() -> None:
    result = Result("row", "How it was measured.")
    result.figures = [
        Figure("signal to row", (2.5, 2.0, 9.0), goal=Goal("<=", 3)),
        Figure("lost", (1,), goal=Goal("==", 0)),
    ]
    result.details = [Figure("signal", (4.25,), "ms")]
    result.remarks = ["It was so."]
    text = render([result], {"commit": "abc", "date": "2026-11-22"})
    assert "| commit | abc |" in text
    assert "| signal to row | ≤ 3 | 2.50 | 2 - 9 | met |" in text
    assert "| lost | 0 | 1 |  | missed |" in text
    assert "## row\n\nHow it was measured.\n" in text
    assert "| signal | 4.25 ms |  |" in text
    assert "It was so." in text
    assert "signal to row: 2.50  [2 - 9]  goal ≤ 3: met" in terminal(result)


def test_a_history_is_counted_and_what_was_resolved_is_left_out() -> None:
    history = History()
    history.ParseFromString(GOLDEN.read_bytes())
    found = cost_of(WorkflowHistory("issue-golden-standard", history.events))
    assert (found.events, found.tasks, found.action_count) == (32, 6, 11)
    assert found.events == len(history.events)
    assert found.size == history.ByteSize()
    assert 0 < found.content < found.own < found.size
    started = history.events[0].workflow_execution_started_event_attributes.input.payloads[0].data
    assert 0 < found.resolved < len(started)


def test_the_cost_table_is_put_where_the_old_one_stood(tmp_path: Path) -> None:
    document = tmp_path / "docs" / "architecture.md"
    assert committed(document) is None
    write(COST, document)
    assert committed(document) == table(COST, Bounds.over(COST))
    document.write_text(f"before\n{document.read_text()}after\n")
    other = Cost(COST.kinds, COST.actions, 20_000, 3000, 2000)
    write(other, document)
    text = document.read_text()
    assert committed(document) == table(other, Bounds.over(other))
    assert (text.startswith("before\n"), text.endswith("after\n"), text.count("cost: begin")) == (True, True, 1)


def test_sizes_in_the_table_are_bounds_that_hold_and_say_something() -> None:
    bounds = Bounds.over(COST)
    assert Bounds.in_table(table(COST, bounds)) == bounds
    assert bounds.hold(COST)
    assert not Bounds(bounds.own - 3, bounds.content).hold(COST)
    assert not Bounds(bounds.own * 2, bounds.content).hold(COST)
    with pytest.raises(ValueError, match="unpack"):
        Bounds.in_table("nothing")


def test_a_shared_dictionary_shrinks_compressed_histories() -> None:
    history = bytes(range(256)) * 4
    assert compressed([history], history) < 60 < compressed([history], b"")


def test_marks_keep_the_first_moment_of_each(tmp_path: Path) -> None:
    file = tmp_path / "marks"
    assert marks.read(file) == {}
    marks.put("nowhere")
    with marks.into(file):
        marks.put("a")
        marks.put("b")
    first = marks.read(file)
    with marks.into(file):
        marks.put("a")
    assert marks.read(file) == first
    assert first.keys() == {"a", "b"}


def test_copies_of_reports_are_found_as_the_reports_are(database_url: str) -> None:
    upgrade(database_url)
    engine = make_sync_engine(database_url)
    search._put_real(engine, 10)
    search._copy(engine, 1, 2)
    search._copy(engine, 3, 3)
    with engine.connect() as connection:
        issues = connection.execute(select(IssueRow.id, IssueRow.words, IssueRow.opened_at)).all()
        rows = connection.execute(select(SearchTerm.term, SearchTerm.issue, SearchTerm.opened_at)).all()
    engine.dispose()
    assert len(issues) == 10 * 4 + 3
    assert {tuple(row) for row in rows} == {
        (term, issue, at) for issue, words, at in issues for term in terms_of(words)
    }
