"""Dates in contracts and appointments take effect at midnight in open issues, once, whoever sends it how often."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from activities.directory_changes import SETTLED, DirectoryChanges
from db.directory import load_directory, store_directory
from domain.directory import Appointment, Contract, Directory, Operator, Period
from domain.wire import truncate
from domain.worktime import SHANGHAI
from support.system import System, running_system

TODAY = datetime.now(SHANGHAI).date()
TOMORROW = TODAY + timedelta(days=1)
MIDNIGHT = datetime.combine(TOMORROW, time(), SHANGHAI)


@pytest.fixture
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("system")) as running:
        yield running


async def imported(system: System, directory: Directory) -> None:
    async with system.database.write() as session:
        await store_directory(session, directory, truncate(datetime.now(UTC)))


async def example(system: System) -> Directory:
    async with system.database.read() as session:
        return await load_directory(session)


def sender(system: System) -> DirectoryChanges:
    """A worker that has just started."""
    return DirectoryChanges(system.temporal, system.database, system.keys.signer)


def passes(directory: Directory, day: date) -> Directory:
    """On that day another company has the contract for the compound `demo`."""
    kept = tuple(each for each in directory.contracts if each.compound != "demo")
    mine = Contract("demo-property", "demo", Period(None, day)), Contract("next-property", "demo", Period(day))
    operators = (*directory.operators, Operator("next-property", "新来物业", "company"))
    return replace(directory, operators=operators, contracts=(*kept, *mine))


async def test_a_contract_that_begins_tomorrow_changes_hands_at_midnight_and_only_once(system: System) -> None:
    issue = (await system.report())["id"]
    await system.until(f"/v1/issues/{issue}", system.community, lambda body: body["version"] == 2)
    await imported(system, passes(await example(system), TOMORROW))
    long = sender(system)
    assert (await long.look(MIDNIGHT - timedelta(seconds=1))).told == 0
    assert (await system.get(f"/v1/issues/{issue}", system.staff)).status == 200
    assert (await long.look(MIDNIGHT)).told == 1
    await sender(system).look(MIDNIGHT)  # another worker, whether or not it sees yet what came of it
    found = await system.until(
        f"/v1/issues/{issue}/timeline", system.community, lambda body: body["events"][-1]["kind"] == "directory_changed"
    )
    assert (found["events"][-1]["data"]["lost"], found["events"][-1]["data"]["got"]) == (
        ["demo-property"],
        ["next-property"],
    )
    assert (await long.look(MIDNIGHT + SETTLED)).told == 0
    assert (await sender(system).look(MIDNIGHT + SETTLED)).told == 0
    found = await system.get(f"/v1/issues/{issue}/timeline", system.community)
    assert [event["kind"] for event in found["events"]].count("directory_changed") == 1


async def test_somebody_who_was_to_go_and_leaves_is_cleared(system: System) -> None:
    issue = (await system.report())["id"]
    assert (await system.give(issue, "accept", system.staff)).status == 200
    assert (await system.give(issue, "assign", system.staff, person="张工")).status == 200
    assert (await system.give(issue, "assign", system.staff, person="p2")).status == 200
    directory = await example(system)
    left = tuple(
        Appointment(each.person, each.role, each.org, Period(None, TOMORROW)) if each.person == "p2" else each
        for each in directory.appointments
    )
    await imported(system, replace(directory, appointments=left))
    admin = system.token("m1", "admin", "demo-street")
    assert (await system.give(issue, "directory_changed", admin)).status == 409
    assert (await sender(system).look(MIDNIGHT)).told == 1
    found = await system.until(
        f"/v1/issues/{issue}/timeline", system.staff, lambda body: body["events"][-1]["kind"] == "directory_changed"
    )
    data = found["events"][-1]["data"]
    assert (data["left"], data["handler"], data["lost"]) == ("p2", None, [])


async def test_an_administrator_can_have_an_issue_asked_for_its_people(system: System) -> None:
    """Nobody sends what the directory says: it is looked up."""
    issue = (await system.report())["id"]
    admin = system.token("m1", "admin", "demo-street")
    assert (await system.give(issue, "directory_changed", admin))["code"] == "directory-unchanged"
    assert (await system.send(issue, "directory_changed", admin, place={"compound": "demo"})).status == 422
    await imported(system, passes(await example(system), TODAY))
    async with asyncio.timeout(system.patience):  # until the API reads the new directory
        while (answer := await system.give(issue, "directory_changed", admin)).status != 200:
            await asyncio.sleep(0.2)
    assert answer["issue"]["handler"] == "next-property"
