"""Every text of a page is in the catalogue in both languages, and none is left over."""

import re
from importlib import resources
from pathlib import Path
from typing import get_args

from domain.light import Light
from pages.actions import OF_RESIDENTS
from pages.who import NAVIGATION
from texts.catalogue import LANGUAGES, tables

PAGES = Path(str(resources.files("pages")))
MADE: frozenset[str] = frozenset(
    {*get_args(Light), "not-found", "days", "hours", "minutes", "seconds"}
    | {f"nav-{name}" for names in NAVIGATION.values() for name in names}
    | {"fact-time", "fact-until", "fact-review", "fact-silence", "fact-upheld", "fact-not-upheld"}
    | {f"ask-{name}" for name in OF_RESIDENTS if name not in ("confirm", "unfollow")}
)
"""Keys that no file names as a whole: lights, units, pages of the header, and what is asked with a command."""


def test_templates_and_code_name_each_text_and_no_other() -> None:
    named = set(MADE)
    for template in PAGES.glob("templates/*.html"):
        named |= set(re.findall(r"""\bt\(["']([a-z-]+)["']""", template.read_text("utf-8"))) - {"ask-", "nav-"}
    for module in PAGES.glob("*.py"):
        named |= set(re.findall(r"""say\(\s*"pages", "([a-z-]+)\"""", module.read_text("utf-8")))
        if module.name == "story.py":
            named |= {"late-by", "left"}
    for language in LANGUAGES:
        assert set(tables(language)["pages"]) == named, language
