"""The city of the bench: what its copies say in SQL is what the bench asks for in Python."""

from pathlib import Path

from sqlalchemy import func, select

from bench import city
from db.tables import IssueRow
from db.upgrade import make_sync_engine


def test_companies_work_where_their_issues_are_and_few_issues_are_open_late_or_with_the_street(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'city.db'}"
    city.fill(url, 3 * 125, 125)
    engine = make_sync_engine(url)
    copied = IssueRow.id.like("%-%")
    with engine.connect() as connection:
        rows = connection.execute(select(IssueRow.operator, IssueRow.compound, IssueRow.street).where(copied)).all()
        number = connection.scalar(select(func.count()).where(copied))
        is_open = connection.scalar(select(func.count()).where(copied, IssueRow.closed_at.is_(None)))
        late = connection.scalar(select(func.count()).where(copied, IssueRow.overdue))
        climbed = connection.scalar(select(func.count()).where(copied, IssueRow.level == "street"))
        theirs = connection.scalar(select(func.count()).where(copied, IssueRow.lead_org == IssueRow.street))
    engine.dispose()
    assert number == len(rows) == 2 * 125
    assert (is_open, late, climbed, theirs) == (8, 2, 2, 2)
    for company in {row.operator for row in rows}:
        works = city.works_of(company)
        assert {row.compound for row in rows if row.operator == company} <= works.compounds
        assert {row.street for row in rows if row.operator == company} <= works.streets
