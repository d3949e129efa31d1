"""A form is built on the API alone: what may be chosen, each in the caller's scope, compounds and words for everybody."""

import inspect
from typing import Any, Literal, get_args, get_origin

import pytest

from domain import vocabulary
from policies.loader import shipped
from protocol.catalogue import SETS
from support.system import REPORT, System

EVERYBODY = frozenset({"Level", "Scope", "Satisfaction", "Drop", "OperatorKind", "Matter", "Uncounted"})
"""Sets whose values are in others, or that nobody chooses from."""


async def every(system: System, path: str, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await system.get(path, headers, **query, **cursor)
        assert page.status == 200, page.body
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def test_everybody_chooses_from_all_compounds_page_by_page(system: System) -> None:
    found = await every(system, "/v1/places", limit=5)
    assert [each["code"] for each in found] == sorted(each["code"] for each in found)
    assert len({each["code"] for each in found}) == len(found) == 17
    demo = next(each for each in found if each["code"] == "demo")
    assert demo == {
        "code": "demo", "name": "体验小区", "community": {"code": "demo-community", "name": "体验社区"},
        "street": {"code": "demo-street", "name": "体验街道"}, "buildings": 12, "grid": None, "operator": None,
    }  # fmt: skip
    assert found == await every(system, "/v1/places", system.token("r1", "resident"))


@pytest.mark.parametrize(
    ("role", "org", "here"),
    [
        ("property", "demo-property", {"demo"}),
        ("community", "demo-community", {"demo", "demo-society"}),
        ("street", "demo-street", {"demo", "demo-society"}),
        ("department", "demo-enforcement", {"demo", "demo-society"}),
        ("volunteer", "demo-volunteers", set()),
    ],
)
async def test_who_runs_a_compound_is_told_to_those_who_work_there(
    system: System, role: Any, org: str, here: set[str]
) -> None:
    found = await every(system, "/v1/places", system.token("x", role, org))
    assert {each["code"] for each in found if each["operator"]} == here
    told = {each["code"]: (each["grid"], each["operator"]) for each in found if each["operator"]}
    if "demo" in here:
        assert told["demo"] == ("g1", {"code": "demo-property", "name": "体验物业"})


async def test_staff_choose_from_the_organisations_of_their_streets(system: System) -> None:
    orgs = {each["code"]: each for each in await every(system, "/v1/organisations", system.street, limit=2)}
    assert set(orgs) == {
        "demo-community", "demo-enforcement", "demo-property", "demo-service-society", "demo-street", "demo-volunteers",
        "xinqiao-beicun-volunteers",
    }  # fmt: skip
    assert (orgs["demo-property"]["kind"], orgs["demo-property"]["streets"]) == ("company", ["demo-street"])
    assert orgs["demo-volunteers"]["streets"] is None
    other = await every(system, "/v1/organisations", system.token("op1", "property", "other-property"))
    assert {each["code"] for each in other} >= {"other-property", "other-community", "other-street"}
    assert not {each["code"] for each in other} & {"demo-property", "demo-enforcement", "demo-street"}
    alone = await every(system, "/v1/organisations", system.token("v1", "volunteer", "demo-volunteers"))
    assert [each["code"] for each in alone] == ["demo-volunteers"]
    assert await every(system, "/v1/organisations", system.token("r1", "resident")) == []
    assert (await system.get("/v1/organisations")).status == 401


async def test_packs_are_those_of_the_callers_places(system: System) -> None:
    async def packs(headers: dict[str, str]) -> set[str]:
        answer = await system.get("/v1/policies", headers)
        assert answer.status == 200
        return {each["id"] for each in answer.body}

    assert await packs(system.staff) == {"demo", "dispute", "12345"}
    assert await packs(system.token("x", "street", "chengdong-street")) == {"52022", "dispute", "12345"}
    assert await packs(system.token("m1", "admin", "demo-street")) == {policy.id for policy in shipped()}
    assert await packs(system.token("r1", "resident")) == set()
    assert (await system.get("/v1/policies")).status == 401


async def test_clauses_are_named_in_both_languages(system: System) -> None:
    packs = {each["id"]: each["clauses"] for each in (await system.get("/v1/policies", system.staff)).body}
    assert {"word": "community-accept", "zh": "社区签收", "en": "community: accept"} in packs["demo"]
    assert {"word": "accept-urgent", "zh": "物业签收(急件)", "en": "property: accept (urgent)"} in packs["12345"]
    taken = (await system.report()).body
    who = {"X-Tracking-Code": taken["tracking_code"]}
    assert (await system.give(taken["id"], "accept", system.staff)).status == 200
    path = f"/v1/issues/{taken['id']}/timeline"
    told = await system.until(path, who, lambda found: any(each["kind"] == "accepted" for each in found["events"]))
    assert {"word": "accept", "zh": "物业签收", "en": "property: accept"} in told["clauses"]


async def test_words_are_named_in_both_languages(system: System) -> None:
    found = (await system.get("/v1/vocabulary")).body
    assert {"word": "leak", "zh": "漏水", "en": "leak"} in found["categories"]
    assert {"word": "falling_objects", "zh": "高空抛物", "en": "falling objects"} in found["categories"]
    assert [each["word"] for each in found["outcomes"]] == list(get_args(vocabulary.Outcome))
    assert all(each["zh"] and not each["zh"].isascii() and each["en"] for words in found.values() for each in words)


def test_each_closed_set_is_offered_or_left_out_on_purpose() -> None:
    sets = {name for name, kind in inspect.getmembers(vocabulary) if get_origin(kind) is Literal}
    offered = {name for name in sets for kind in SETS.values() if getattr(vocabulary, name) is kind}
    assert sets - offered <= EVERYBODY


async def test_a_report_is_made_of_nothing_else_than_the_api_offers(system: System) -> None:
    place = (await every(system, "/v1/places"))[0]["code"]
    category = (await system.get("/v1/vocabulary"))["categories"][0]["word"]
    taken = await system.report(**{**REPORT, "compound": place, "category": category})
    assert taken.status == 201, taken.body
