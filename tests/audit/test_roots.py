"""Roots of command signatures are published outside; an issue started around the API names none of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.case import Verdict
from audit.log_keys import LogKeys, TrustedKeys
from audit.roots import FOLDER, check_root, publish_roots, read_roots

NAME = "city.example/jiesu"
NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
ROOT = "A" * 43


def told(folder: Path, *roots: str) -> tuple[LogKeys, TrustedKeys]:
    ring = LogKeys.create(folder / "keys", NAME)
    publish_roots(ring, folder, roots, NOW)
    return ring, ring


def test_published_roots_are_read_back_with_their_first_date(tmp_path: Path) -> None:
    ring, trust = told(tmp_path, ROOT)
    publish_roots(ring, tmp_path, [ROOT, "B" * 43], NOW + timedelta(days=1))
    roots, found = read_roots(tmp_path, trust)
    assert (roots, found) == ({ROOT: NOW, "B" * 43: NOW + timedelta(days=1)}, [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace(ROOT, "C" * 43), "not signed by"),
        (lambda text: text.replace("2026-11-27", "2025-11-27"), "not signed by"),
        (lambda text: text.replace("root ", "bark "), "not three lines"),
        (lambda text: text.partition("\n\n")[0], "no signatures"),
    ],
)
def test_a_statement_that_was_altered_is_found_and_not_believed(tmp_path: Path, change, why: str) -> None:
    _, trust = told(tmp_path, ROOT)
    path = tmp_path / FOLDER / f"{ROOT}.txt"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    roots, (finding,) = read_roots(tmp_path, trust)
    assert roots == {}
    assert why in finding.what


def test_a_statement_under_another_name_or_without_a_key_is_not_believed(tmp_path: Path) -> None:
    _, trust = told(tmp_path, ROOT)
    (tmp_path / FOLDER / f"{ROOT}.txt").rename(tmp_path / FOLDER / f"{'D' * 43}.txt")
    roots, (finding,) = read_roots(tmp_path, trust)
    assert (roots, "another root" in finding.what) == ({}, True)
    roots, (finding,) = read_roots(tmp_path, None)
    assert (roots, "no key" in finding.what) == ({}, True)


def test_an_issue_is_check_root_by_the_root_that_it_names() -> None:
    verdict = Verdict("one", root=ROOT)
    assert check_root(verdict, {ROOT: NOW}).findings == ()
    assert check_root(verdict, None).findings == (), "where nothing is known of roots, nothing is asked"
    assert check_root(verdict, {}).findings, "statements that are gone are missed"
    (finding,) = check_root(Verdict("one", root="E" * 43), {ROOT: NOW}).findings
    assert (finding.step, finding.issue, "which nobody has told of" in finding.what) == ("head", "one", True)


def test_an_unfoldable_issue_has_no_root_finding() -> None:
    assert check_root(Verdict("one"), {ROOT: NOW}).findings == ()
