"""The catalogues say the same in both languages, say all that the code can mean, and nothing that it never means."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_core._pydantic_core import list_all_errors

import runtime.causes
from api.http.problems import NAMED, PROBLEMS
from domain.clocks import REMIND, RULE_CLOCKS
from domain.events import EVENTS
from domain.vocabulary import STATUSES
from policies.loader import shipped
from policies.titles import title_of
from protocol.errors import Refused, why
from runtime.causes import FULL, sentence
from texts.catalogue import LANGUAGES, named, preferred, say, tables

_ROOT = Path(__file__).resolve().parents[2]
_ROOMS = ("domain", "protocol", "api", "pages", "audit")
_MAKERS = {
    "no": "refusals",
    "Refused": "refusals",
    "Stale": "refusals",
    "why": "stores",
    **{each.__name__: "errors" for each in PROBLEMS if not issubclass(each, Refused)},
    **dict.fromkeys(
        ("Wrong", "PictureError", "FullError", "SelectionError", "MomentError", "NotYetError", "CannotManage"), "faults"
    ),
}
"""What makes a text from a code and what it names, with the table of its texts."""
_OTHERWISE = {"Invalid", "ChooseRole", "TooMany", "MethodNotAllowed"}
"""Errors that are made of something else than a code."""
_FURTHER = {"retry_after", "closes"}
"""What a maker is given besides what the text names."""
_SAME = {
    ("clauses", "title"),
    ("clauses", "only"),
    ("cli", "failed-step"),
    ("cli", "problem"),
    ("errors", "not-provable"),
}
"""Texts of nothing but what they name."""


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each place that makes a text for the caller, or an error of the protocol, by the name of its maker."""
    for room in _ROOMS:
        for path in (_ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                match node.func:
                    case ast.Name(id=name) if name in _MAKERS:
                        yield name, node
                    case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__") if room in (
                        "protocol",
                        "api",
                    ):
                        yield from (("ProtocolError", node) for code in node.args[:1] if codes(code))
                    case _:
                        pass


def made() -> Iterator[tuple[str, str, set[str]]]:
    """The table and code of each text that a place in the code means, and what that place names."""
    for maker, node in calls():
        if not node.args:
            continue
        given = {each.arg for each in node.keywords if each.arg} - _FURTHER
        if len(node.args) > 1 and isinstance(node.args[1], ast.Dict):
            given |= {key.value for key in node.args[1].keys if isinstance(key, ast.Constant)}  # pyright: ignore[reportUnknownMemberType]
        for code in codes(node.args[0]):
            yield _MAKERS[maker], code, {str(name) for name in given}


def codes(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return codes(node.body) + codes(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_both_languages_have_the_same_texts_which_name_the_same() -> None:
    chinese, english = (tables(language) for language in ("zh", "en"))
    assert chinese.keys() - english.keys() == {"commands", "help", "options"}  # their English stands in the code
    assert english.keys() <= chinese.keys()
    for table, texts in english.items():
        assert list(chinese[table]) == list(texts), table
        for key, text in texts.items():
            assert text
            assert fields(chinese[table][key]) == fields(text), f"{table}.{key}"


def of_pydantic() -> dict[str, set[str]]:
    """The faults that pydantic knows, as the catalogue spells them, with what we take over of what each names."""
    return {each["type"].replace("_", "-"): set(each["example_context"] or ()) & NAMED for each in list_all_errors()}


@pytest.mark.parametrize("table", ["refusals", "errors", "faults", "stores"])
def test_each_code_has_a_text_that_names_what_the_code_gives_and_none_is_left_over(table: str) -> None:
    texts = tables("en")[table]
    found = [(code, given) for each, code, given in made() if each == table]
    pydantics = of_pydantic().keys() & texts.keys() if table == "faults" else set[str]()
    assert {code for code, _ in found} | pydantics == texts.keys()
    for code, given in found:
        assert given == fields(texts[code]), code
    for code in pydantics:
        assert fields(texts[code]) <= of_pydantic()[code], code


def test_no_place_makes_an_error_with_a_sentence_of_its_own() -> None:
    """An error gets a code that stands there, or that of another text; a fault of a field gets no text at all."""
    for maker, node in calls():
        shown = ast.unparse(node)
        if maker == "Invalid":
            texts = [part for part in node.args if isinstance(part, ast.Tuple)]
            assert not [part for part in texts if isinstance(part.elts[1], ast.Constant | ast.JoinedStr)], shown
        elif node.args and maker not in _OTHERWISE:
            code = node.args[0]
            assert codes(code) or (isinstance(code, ast.Attribute) and code.attr == "code") or handed_on(code), shown


def handed_on(code: ast.expr) -> bool:
    """Whether this is a code that whoever calls the place has given."""
    return isinstance(code, ast.Name) and code.id == "code"


def test_why_a_store_does_not_answer_is_told_as_everywhere() -> None:
    causes = {value for name, value in vars(runtime.causes).items() if name.isupper() and isinstance(value, str)}
    assert tables("en")["causes"].keys() == causes
    for store in tables("en")["stores"].values():
        for cause in causes:
            assert say("causes", cause, "en", {"store": store}) == sentence(store, cause)
    assert why("database", FULL).told("zh") == "数据库的磁盘已满"


def spoken() -> Iterator[tuple[str, set[str] | None]]:
    """Each key of which the command line speaks, and what that place names; None where it cannot be seen here."""
    for path in {*(_ROOT / "cli").rglob("*.py")} - {_ROOT / "cli" / "language.py"}:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            given = {each.arg for each in node.keywords}
            if node.func.id == "says":
                assert codes(node.args[0]), ast.unparse(node)
                yield from (
                    (key, None if None in given else {str(name) for name in given}) for key in codes(node.args[0])
                )
            elif node.func.id == "headed":
                yield from ((key, set[str]()) for each in node.args for key in codes(each))


def test_the_command_line_says_what_has_a_text_and_no_text_is_left_over() -> None:
    texts = tables("en")["cli"]
    found = list(spoken())
    assert {key for key, _ in found} == texts.keys()
    for key, given in found:
        assert given is None or given == fields(texts[key]), key


def test_each_kind_of_event_has_a_text_and_none_is_left_over() -> None:
    assert tables("en")["events"].keys() == EVENTS.keys()


def test_each_clause_and_each_clock_of_the_rules_has_a_name_of_its_own() -> None:
    texts = tables("en")["clauses"]
    assert texts.keys() == {"title", "of-issue", "only", "between", *RULE_CLOCKS, REMIND}
    for policy in shipped():
        for language in LANGUAGES:
            names = [title_of(clause.id, policy, language) for clause in policy.clause]
            assert len(set(names)) == len(names), policy.id
    policy = next(each for each in shipped() if each.id == "12345")
    assert title_of("answer-complex", policy, "zh") == "整件答复(较复杂、大问题、疑难)"
    assert title_of("community-accept-urgent", policy, "en") == "community: accept (urgent)"
    assert (title_of("rule-decline", policy, "zh"), title_of("hand", policy, "zh")) == ("裁定退单", "人工上报")
    assert title_of("of-another-pack", policy, "zh") == "of-another-pack"


def test_each_problem_has_a_title_and_none_is_left_over() -> None:
    assert tables("en")["problems"].keys() == {problem.type for problem in PROBLEMS.values()}


def test_no_text_is_in_the_other_language() -> None:
    for table, texts in tables("en").items():
        for key, text in texts.items():
            assert text.isascii()
            assert (table, key) in _SAME or not tables("zh")[table][key].isascii(), key


def test_words_of_the_vocabulary_are_told_by_name() -> None:
    params = {"command": "arrive", "status": "suspended"}
    assert say("refusals", "wrong-status", "zh", params) == "诉求是“挂起”时不能到场"
    assert say("refusals", "wrong-status", "en", params) == "arrive does not apply while the issue is suspended"
    for status in STATUSES:
        assert not named(status, "zh").isascii()


def test_a_code_of_another_version_is_told_as_it_is() -> None:
    assert say("refusals", "no-longer-known", "zh") == "no-longer-known"
    assert say("refusals", "wrong-status", "en", {"command": "arrive"}).startswith("arrive does not apply")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"), ("*", "en"), ("zh", "zh"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("de, zh;q=0.5", "zh"), ("ZH-hans", "zh"), ("en;q=0.3, zh;q=0.7", "zh"), ("zh;q=0", "en"), ("zh;q=x", "en"),
        ("zh;q=2", "en"), ("zhx", "en"), (";;,,=", "en"), ("zh; q=1", "zh"), ("zh;level=1", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_that_the_caller_prefers(header: str, expected: str) -> None:
    assert preferred(header, "en") == expected


@pytest.mark.parametrize("table", sorted(tables("zh")))
def test_punctuation_beside_chinese_is_chinese(table: str) -> None:
    half = re.compile(
        r"[\u4e00-\u9fff\u201c\u201d}][,;:?!]|[\u4e00-\u9fff]\(|[,;:?!(][\u4e00-\u9fff]|\)[\u4e00-\u9fff]"
    )
    found = [text for text in tables("zh")[table].values() if half.search(text)]
    assert not found
