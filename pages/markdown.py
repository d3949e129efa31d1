"""Turns Markdown of ours into HTML that a phone can show: each cell of a table bears the heading of its column."""

from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")


def html_of(text: str) -> Markup:
    """The text as HTML. Links to other documents, which are no pages, become plain words."""
    tokens = _PARSER.parse(text)
    _label(tokens)
    for token in tokens:
        if token.children:
            token.children = list(_unlinked(token.children))
    return Markup(_PARSER.renderer.render(tokens, _PARSER.options, {}))  # noqa: S704  # the parser escapes HTML in it


def _label(tokens: Sequence[Token]) -> None:
    """Gives each cell the heading of its column, which a phone shows before the cell."""
    heads: list[str] = []
    column = 0
    for at, token in enumerate(tokens):
        match token.type:
            case "table_open":
                heads = []
            case "tr_open":
                column = 0
            case "th_open":
                heads.append(tokens[at + 1].content)
            case "td_open":
                token.attrSet("data-label", heads[column])
                column += 1
            case _:
                pass


def _unlinked(children: Sequence[Token]) -> Iterator[Token]:
    is_out = True
    for child in children:
        if child.type == "link_open":
            is_out = "/" in str(child.attrGet("href"))
        if is_out or child.type not in ("link_open", "link_close"):
            yield child
        if child.type == "link_close":
            is_out = True
