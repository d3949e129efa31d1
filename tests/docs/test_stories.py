"""Each story of the page is a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "stories.md").read_text("utf-8")


def test_each_story_names_a_test_that_exists() -> None:
    stories = PAGE.count("\n**")
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", PAGE)
    assert stories >= 12
    assert len(named) >= stories
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file}::{name}"
