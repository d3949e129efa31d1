"""Errors of an invalid policy pack: every problem with file, line and reason."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.policy import Policy
from domain.wire import dump, load
from domain.worktime import Limit
from policies.loader import SHIPPED, PolicyError, Problem, load_file, load_pack, load_text, shipped

HEAD = """\
id = "x"
version = 1
title = "X"
source = "somebody"
ladder = ["property", "community", "street"]
service_hours = "08:00-20:00"
silence = { within = "5wd" }
reopen = { times = 3, climbs_from = 3 }
transfers = { climbs_from = 3 }
extend = { times = 1, max = "2nd" }
ask = { times = 2, max = "5wd" }
plan = { update = "7nd", community_over = "15nd", street_over = "60nd" }
top = { remind = "1wd", doubling_to = "8wd", times = 30 }
"""
CLAUSE = """
[[clause]]
id = "arrive"
level = "property"
milestone = "arrive"
starts = "accepted"
limit = "5sm"
source = "somebody"
"""
FIRST = HEAD.count("\n") + 2  # the line of the first clause's header


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(PolicyError) as caught:
        load_text(text, "x.toml")
    assert all(str(problem).startswith(f"x.toml:{problem.line}: ") for problem in caught.value.problems)
    return [(problem.line, problem.reason) for problem in caught.value.problems]


def clause(**changes: str) -> str:
    """The clause with lines replaced or added; an empty value leaves the line out."""
    lines = {key: value for key, _, value in (line.partition(" = ") for line in CLAUSE.strip().splitlines()[1:])}
    lines |= changes
    return "\n[[clause]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


# What is accepted


def test_the_least_pack() -> None:
    policy = load_text(HEAD + CLAUSE, "x.toml")
    assert (policy.warn_at, policy.grace, policy.climb_lands) == (0.8, Limit(1, "s"), "at once")
    assert policy.clause[0].climb == ()


def test_a_climb_is_one_limit_or_a_list() -> None:
    one = load_text(HEAD + clause(climb='"30sm"'), "x.toml")
    assert one.clause[0].climb == (Limit(30, "sm"),)
    assert one.digest == load_text(HEAD + clause(climb='["30sm"]'), "x.toml").digest
    two = load_text(HEAD + clause(climb='["30sm", "1sh"]'), "x.toml")
    assert two.clause[0].climb == (Limit(30, "sm"), Limit(1, "sh"))


def test_the_digest_does_not_depend_on_how_the_file_is_written() -> None:
    rewritten = (
        "# a comment\n"
        + "\n".join(reversed(HEAD.replace('silence = { within = "5wd" }\n', "").splitlines()))
        + "\nwarn_at = 0.80 # the default\ngrace = '1s'\n"
        + "\n".join(("[[clause]]", *reversed(CLAUSE.strip().splitlines()[1:]), "when = []"))
        + '\n[silence]\nwithin = """5wd"""\n'
    )
    assert load_text(rewritten, "y.toml") == load_text(HEAD + CLAUSE, "x.toml")
    assert load_text(rewritten, "y.toml").digest == load_text(HEAD + CLAUSE, "x.toml").digest


def test_the_digest_depends_on_every_number() -> None:
    digests = {
        load_text(text, "x.toml").digest
        for text in (
            HEAD + CLAUSE,
            HEAD + clause(limit='"6sm"'),
            HEAD + clause(climb='"6sm"'),
            HEAD.replace("version = 1", "version = 2") + CLAUSE,
            HEAD.replace('"60nd"', '"61nd"') + CLAUSE,
        )
    }
    assert len(digests) == 5


@pytest.mark.parametrize("policy", shipped(), ids=lambda policy: policy.id)
def test_every_shipped_pack_survives_the_wire(policy: Policy) -> None:
    assert load(Policy, dump(policy)) == policy
    assert load(Policy, dump(policy)).digest == policy.digest


def test_every_shipped_pack_has_its_file() -> None:
    assert [policy.id for policy in shipped()] == sorted(path.stem for path in SHIPPED.glob("*.toml"))


# What is refused in the header


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('id = "x"', 'id = "a b"', "id: 'a b' is not an id"),
        ('id = "x"', 'id = "../x"', "id: '../x' is not an id"),
        ("version = 1", "version = 0", "version: 0 is not between 1"),
        ("version = 1", "version = true", "version: expected int"),
        ("version = 1", 'version = "1"', "version: expected int"),
        ('title = "X"', 'title = " "', "title: is empty"),
        ('title = "X"', 'title = "X\u202e"', "title: 'X\\u202e' holds a control character"),
        ('source = "somebody"', 'source = "some\\u001bbody"', "source: 'some\\x1bbody' holds a control character"),
        ('"property", "community", "street"', "", "ladder: is empty"),
        ('"property", "community", "street"', '"community", "property"', "ladder: goes upwards"),
        ('"property", "community", "street"', '"street", "street"', "ladder: goes upwards"),
        ('"property", "community", "street"', '"property", "city"', "ladder[1]: 'city' is not one of"),
        ('"08:00-20:00"', '"8-20"', "service_hours: not service hours: '8-20'"),
        ('"08:00-20:00"', '"20:00-08:00"', "service_hours: service hours open before they close"),
        ('{ within = "5wd" }', '{ within = "5d" }', "silence.within: not a limit: '5d'"),
        ('{ within = "5wd" }', '"5wd"', "silence: expected a table"),
        ("times = 3, climbs_from = 3", "times = -1, climbs_from = 3", "reopen.times: -1 is not between"),
        ("transfers = { climbs_from = 3 }", "transfers = { climbs_from = 0 }", "transfers.climbs_from: 0 is not"),
        ("extend = { times = 1", "extend = { times = 1000", "extend.times: 1000 is not between 0 and 100"),
        ('"60nd"', '"10nd"', "plan.street_over: 10nd is shorter than 15nd"),
        ('"60nd"', '"60wd"', "plan.street_over: 60wd runs on another clock than 15nd"),
        ('"8wd", times = 30', '"8nd", times = 30', "top.doubling_to: 8nd runs on another clock than 1wd"),
        ('"8wd", times = 30', '"8wd", times = -1', "top.times: -1 is not between"),
        ("times = 30 }", 'times = 30, then = "30h" }', "top.then: 30h is not a number of days"),
    ],
)
def test_a_wrong_header_is_named_with_its_line(old: str, new: str, reason: str) -> None:
    assert HEAD.count(old) == 1
    line = HEAD[: HEAD.index(old)].count("\n") + 1
    found = problems(HEAD.replace(old, new) + CLAUSE)
    assert found[0][0] == line
    assert found[0][1].startswith(reason)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("warn_at = 0", "warn_at: 0.0 is not above 0 and at most 1"),
        ("warn_at = 1.01", "warn_at: 1.01 is not above 0"),
        ("warn_at = nan", "warn_at: nan is not above 0"),
        ('warn_at = "0.8"', "warn_at: expected float"),
        ('grace = "1sm"', "grace: 1sm is not wall time"),
        ('grace = "1nd"', "grace: 1nd is not wall time"),
        ('grace = "61s"', "grace: 61s is not wall time (s, m) of at most a minute"),
        ('climb_lands = "noon"', "climb_lands: 'noon' is not one of opening, at once"),
        ('climb_land = "opening"', "climb_land: unknown key; did you mean climb_lands?"),
        ("[silents]", "silents: unknown key"),
        ('progress = { within = "7d", climb = "7nd", urgent = "24h" }', "progress.within: not a limit: '7d'"),
        ('progress = { within = "7nd", climb = "7nd" }', "progress.urgent: is missing"),
        ('progress = { within = "7nd", climb = "7nd", urgent = "24h", climbs = "1h" }', "progress.climbs: unknown key"),
        ('progress = "7nd"', "progress: expected a table"),
    ],
)
def test_a_wrong_further_line_is_named(line: str, reason: str) -> None:
    ((number, found),) = problems(HEAD + line + "\n" + CLAUSE)
    assert number == FIRST - 1
    assert found.startswith(reason)


def test_every_missing_key_is_named() -> None:
    missing = {reason for _, reason in problems("")}
    required = "id version title source ladder service_hours silence reopen transfers extend ask plan top clause"
    assert missing == {f"{key}: is missing" for key in required.split()}
    assert problems("clause = []\n" + HEAD) == [(1, "clause: expected at least one [[clause]]")]
    assert problems(HEAD.replace(", climbs_from = 3 }", " }") + CLAUSE)[0][1] == "reopen.climbs_from: is missing"


# What is refused in a clause


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("id", '"plan-step"', "clause plan-step: id: 'plan-step' is kept for the rules themselves"),
        ("id", '"Arrive"', "clause Arrive: id: 'Arrive' is not an id"),
        ("id", "7", "clause 1: id: expected str"),
        ("level", '"city"', "clause arrive: level: 'city' is not one of property, community, street, issue"),
        ("milestone", '"come"', "clause arrive: milestone: 'come' is not one of accept, contact"),
        ("starts", '"accept"', "clause arrive: starts: 'accept' is not one of led, reported"),
        ("starts", '"closed"', "clause arrive: starts: 'closed' is not one of"),
        ("starts", '"arrived"', "clause arrive: starts: arrived is what reaches arrive"),
        ("limit", '"5x"', "clause arrive: limit: not a limit: '5x'"),
        ("limit", "5", "clause arrive: limit: expected text, got 5"),
        ("limit", '"0s"', "clause arrive: limit: not a limit: '0s'"),
        ("climb", '["1h", "60m"]', "clause arrive: climb: 60m does not come after 1h"),
        ("climb", '["1h", "1nd"]', "clause arrive: climb: 1h and 1nd run on different clocks"),
        ("climb", '["1h", "2h", "3h"]', "clause arrive: climb: 3 climbs, but 2 levels above"),
        ("climb", "[]", "clause arrive: climb: is empty; leave it out where nothing climbs"),
        ("climb", '["1h", "x"]', "clause arrive: climb[1]: not a limit: 'x'"),
        ("when", '"minor"', "clause arrive: when: expected a list"),
        ("when", '["leaks"]', "clause arrive: when: 'leaks' is not urgent, an assessment"),
        ("when", '["leak", "leak"]', "clause arrive: when: 'leak' is there twice"),
        ("ends", '"noon"', "clause arrive: ends: 'noon' is not one of day, service"),
        ("ends", '"service"', "clause arrive: ends: only a limit in days"),
        ("ask", '"why"', "clause arrive: ask: 'why' is not one of reassess"),
        ("source", '""', "clause arrive: source: is empty"),
        ("source", '"\u200bhe"', "clause arrive: source: '\\u200bhe' holds a control character"),
        ("limits", '"5m"', "clause arrive: limits: unknown key; did you mean limit?"),
    ],
)
def test_a_wrong_clause_is_named_with_the_line_of_the_key(key: str, value: str, reason: str) -> None:
    text = HEAD + clause(**{key: value})
    ((line, found),) = problems(text)
    assert text.splitlines()[line - 1] == f"{key} = {value}"
    assert found.startswith(reason)


@pytest.mark.parametrize("key", ["id", "level", "milestone", "starts", "limit", "source"])
def test_a_missing_key_is_named_at_the_clause(key: str) -> None:
    ((line, reason),) = problems(HEAD + clause(**{key: ""}))
    assert line == FIRST
    assert reason == f"clause {'1' if key == 'id' else 'arrive'}: {key}: is missing"


def test_an_issue_clause_cannot_start_whenever_a_level_gets_the_lead() -> None:
    ((_, reason),) = problems(HEAD + clause(level='"issue"', starts='"led"'))
    assert reason.startswith("clause arrive: starts: a clause of the whole issue runs once")


def test_clauses_must_fit_the_ladder() -> None:
    head = HEAD.replace('"property", "community", "street"', '"community", "street"')
    assert problems(head + CLAUSE)[0][1] == "clause arrive: level: property is not on the ladder (community, street)"
    assert problems(head + clause(level='"street"', climb='"1h"'))[0][1] == (
        "clause arrive: climb: 1 climbs, but no level above"
    )
    assert problems(head + clause(level='"issue"', climb='["1h", "2h"]'))[0][1] == (
        "clause arrive: climb: 2 climbs, but one level above"
    )
    assert load_text(head + clause(level='"issue"', climb='"1h"'), "x.toml").clause


def test_a_clause_that_can_never_apply_is_named() -> None:
    assert problems(HEAD + CLAUSE + clause(id='"b"', when='["minor"]')) == [
        (FIRST + 8, "clause b: never applies: arrive before it matches first")
    ]
    sizes = clause(id='"a"', when='["minor", "big"]') + clause(id='"b"', when='["big"]') + CLAUSE
    assert [reason for _, reason in problems(HEAD + sizes)] == ["clause b: never applies: a before it matches first"]
    assert load_text(HEAD + clause(id='"a"', when='["minor"]') + CLAUSE, "x.toml").clause
    assert load_text(HEAD + CLAUSE + clause(id='"b"', level='"community"'), "x.toml").clause


def test_ids_are_unique() -> None:
    assert problems(HEAD + CLAUSE + clause(milestone='"contact"')) == [
        (FIRST + 9, "clause arrive: id: 'arrive' is there already")
    ]


def test_all_problems_are_named_at_once_in_the_order_of_the_file() -> None:
    text = (
        HEAD.replace("version = 1", "version = 0").replace('"5wd" }\nreopen', '"5x" }\nreopen')
        + clause(limit='"5x"', starts='"never"')
        + clause(level='"city"', milestone='"contact"', foo="1")
    )
    found = problems(text)
    assert [reason.rpartition(": ")[0] for _, reason in found][:2] == ["version", "silence.within: not a limit"]
    assert [reason.split(": ")[1] for _, reason in found[2:]] == ["starts", "limit", "id", "level", "foo"]
    assert [line for line, _ in found] == sorted(line for line, _ in found)


# Files


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = ", 1), ('id = "x"\nid = "y"\n', 2), ('id = "x"\n\n[[clause]\n', 3), ("a = [1,\n2,\n", 2)],
)
def test_what_is_not_toml_is_named_with_its_line(text: str, line: int) -> None:
    ((found, reason),) = problems(text)
    assert found == line
    assert reason.startswith("not TOML: ")


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 100_000, "a = 2026-13-01", "\0"])
def test_what_no_person_writes_is_refused_all_the_same(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "9" * 400, "-9223372036854775809", "[[0b" + "1" * 64 + "]]"])
@pytest.mark.parametrize("key", ["title", "version", "warn_at", "ladder"])
def test_a_number_beyond_64_bits_is_refused_with_its_line(key: str, number: str) -> None:
    text = f'id = "x"\n{key} = {number}\n'
    assert problems(text) == [(2, "a whole number beyond 64 bits")]


@settings(deadline=None)
@given(name=st.sampled_from([policy.id for policy in shipped()]), data=st.data())
def test_a_pack_with_a_slip_of_the_pen_is_read_or_refused_with_reasons(name: str, data: st.DataObject) -> None:
    text = (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(begin + 40, len(text))))
    slipped = text[:begin] + data.draw(st.text('"[]{}=.#\n1x, ', max_size=3)) + text[end:]
    found: Sequence[Problem] = ()
    try:
        policy = load_text(slipped, "x.toml")
    except PolicyError as error:
        found = error.problems
    else:
        assert load(Policy, dump(policy)) == policy
        return
    assert found
    assert all(1 <= problem.line <= slipped.count("\n") + 1 for problem in found)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(HEAD + CLAUSE, encoding="utf-8-sig")
    assert load_file(tmp_path / "x.toml") == load_text(HEAD + CLAUSE, "x.toml")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.toml:1: cannot be read: No such file"):
        load_file(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match=r"x\.toml:1: is not text in UTF-8"):
        load_file(tmp_path / "x.toml")


@pytest.mark.parametrize("policy_id", ["nope", "", "../policies/demo", "demo.toml", "/etc/passwd"])
def test_an_unknown_pack_is_refused_and_the_known_ones_are_named(policy_id: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_pack(policy_id)
    assert str(caught.value) == f"no policy {policy_id!r}; there are 12345, 3+3+5, 52022, demo, dispute"
