"""An auditor takes no part in issues: commands are refused, and reads are logged."""

from api.http.requests import COMMANDS
from support.system import System


def auditor(system: System) -> dict[str, str]:
    return system.token("row-06", "auditor", "demo-street")


async def test_row_06_an_auditor_gives_no_command(system: System) -> None:
    taken = await system.report()
    for command in COMMANDS:
        answer = await system.send(taken["id"], command, auditor(system))
        assert (answer.status, answer["type"]) == (403, "/problems/forbidden"), command
    assert (await system.report(auditor(system))).status == 403
    events = (await system.until(f"/v1/issues/{taken['id']}/timeline", system.staff, lambda body: body["events"])).body
    assert {event["actor"]["role"] for event in events["events"] if event["actor"]} == {"resident"}


async def test_row_06_an_auditor_gets_the_same_answer_for_a_missing_issue(system: System) -> None:
    assert (await system.send("no-such-issue", "accept", auditor(system))).status == 403


async def test_row_06_what_an_auditor_reads_is_on_record(system: System) -> None:
    taken = await system.report(contact={"name": "住户", "phone": "13800000000"})
    timeline = f"/v1/issues/{taken['id']}/timeline"
    shown = await system.until(timeline, auditor(system), lambda body: body["events"])
    assert "住户" not in str(shown.body)
    assert "13800000000" not in str(shown.body)
    found = (await system.get("/v1/access", auditor(system), issue=taken["id"], person="row-06"))["items"]
    assert {(line["what"], line["result"]) for line in found} == {("timeline", "shown")}


async def test_row_06_a_file_that_an_auditor_takes_is_on_record_and_counted(system: System) -> None:
    await system.report()
    who = system.token("row-06-files", "auditor", "demo-street")
    async with system.api_on(system.temporal, rates={"export": "2/hour"}) as client:
        for of, status in (("issues", 200), ("timelines", 200), ("issues", 429)):
            assert (await client.get("/v1/issues.csv", headers=who, params={"of": of})).status_code == status
    found = (await system.get("/v1/access", auditor(system), person="row-06-files"))["items"]
    assert {(line["what"], line["result"]) for line in found} == {("issues.csv", "shown"), ("timelines.csv", "shown")}
