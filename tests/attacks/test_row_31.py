"""Neighbours never see a phone number; each whole number shown to staff is logged, and they are limited by the hour."""

from typing import Any

from sqlalchemy import select

from support.system import System

PHONE = "13812345678"


async def reported(system: System, headers: dict[str, str] | None = None) -> Any:
    taken = await system.report(headers, contact={"name": "住户", "phone": PHONE})
    await system.until(f"/v1/issues/{taken['id']}/timeline", system.street, lambda body: body["events"])
    return taken


async def shown(system: System, issue: str, headers: dict[str, str], client: Any = None) -> Any:
    return await (client or system.client).get(f"/v1/issues/{issue}/timeline", headers=headers)


async def test_row_31_a_neighbour_sees_no_phone_number(system: System) -> None:
    taken = await reported(system, system.token("row-31-reporter", "resident"))
    neighbour = system.token("row-31-neighbour", "resident")
    other = await system.report(neighbour)
    for headers in (neighbour, {"X-Tracking-Code": other["tracking_code"]}):
        for path in ("", "/next", "/timeline"):
            answer = await system.client.get(f"/v1/issues/{taken['id']}{path}", headers=headers)
            assert (answer.status_code, PHONE in answer.text) == (404, False)
    assert PHONE not in (await system.client.get("/v1/issues", headers=neighbour)).text
    own = await shown(system, taken["id"], {"X-Tracking-Code": taken["tracking_code"]})
    assert PHONE in own.text


async def test_row_31_street_and_administrator_see_a_masked_phone_number(system: System) -> None:
    taken = await reported(system)
    for headers in (system.street, system.token("row-31", "admin", "demo-street")):
        assert PHONE not in (await shown(system, taken["id"], headers)).text


async def test_row_31_what_staff_see_is_on_record_and_limited(system: System) -> None:
    issues = [(await reported(system))["id"] for _ in range(3)]
    caller = system.token("row-31-caller", "property", "demo-property")
    async with system.api_on(system.temporal, rates={"reveal": "2/hour"}) as client:
        answers = [await shown(system, issue, caller, client) for issue in (issues[0], *issues)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [PHONE in answer.text for answer in answers] == [True, True, True, False]
    assert [answer.headers.get("jiesu-masked") for answer in answers] == [None, None, None, "limit"]
    auditor = system.token("row-31-auditor", "auditor", "demo-street")
    lines = (await system.get("/v1/access", auditor, person="row-31-caller"))["items"]
    found = {line["issue"]: (line["what"], line["result"]) for line in lines}
    # Looking again at the same one a moment later is the same reveal.
    assert len(lines) == 3
    assert found == {issues[0]: ("phone", "shown"), issues[1]: ("phone", "shown"), issues[2]: ("phone", "masked")}


async def test_row_31_a_phone_number_is_masked_when_it_cannot_be_logged(system: System) -> None:
    taken = await reported(system)
    caller = system.token("row-31-unlogged", "property", "demo-property")
    async with system.database.write() as session:  # as long as this goes on it can be read, and no line can be added
        await session.execute(select(1))
        answer = await shown(system, taken["id"], caller)
    assert answer.status_code == 200
    assert PHONE not in answer.text
    assert answer.headers["jiesu-masked"] == "unlogged"
