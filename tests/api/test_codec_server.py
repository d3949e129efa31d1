"""The codec server decrypts payloads for Temporal's user interface, for auditors and administrators only.

The whole system runs encrypted here; archive, audit and read model must hold the same as without encryption.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from sqlalchemy import select
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest

from api.http.problems import PREFIX
from api.identity.tokens import Claims
from audit.archive import parse_history
from db.directory import load_directory, store_directory
from db.tables import AccessRow, ArchiveRow
from domain.directory import Appointment
from protocol.clock import now
from protocol.gateway import NoWorker, TemporalDown, TemporalGateway
from runtime.temporal import encrypting
from security.codec import ENCODING, KEY_ID, converter, encrypted
from security.namespace import NamespaceKeys
from support.again import something_is_away
from support.derived import derive, runs_of
from support.keys import ephemeral_keys
from support.system import System
from support.temporal import dev_server
from workflows.contract import PREFIX as PREFIX_OF_IDS

KEYS = NamespaceKeys.new()
UI = "http://127.0.0.1:8233"
PATH = "/codec/decode"
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'"canary"')
ROLES = {
    "resident": None, "property": "demo-property", "community": "demo-community", "street": "demo-street",
    "department": "demo-enforcement", "volunteer": "demo-volunteers", "auditor": "demo-street", "admin": "demo-street",
}  # fmt: skip


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    home = tmp_path_factory.mktemp("encrypted")
    async with dev_server(home) as client:
        keys = replace(ephemeral_keys(), converter=converter(KEYS))
        async with (
            System(home, client, keys=keys) as running,
            running.api_on(running.temporal, codec_origins=(UI,)) as it,
        ):
            running.client = it
            yield running


def body(*payloads: Payload) -> dict[str, Any]:
    """As the user interface sends it: protobuf's own JSON."""
    return MessageToDict(Payloads(payloads=payloads))


async def ask(system: System, headers: dict[str, str], *payloads: Payload, **more: Any) -> Any:
    return await system.client.post(PATH, json={**body(*payloads), **more}, headers=headers)


@pytest.fixture
def auditor(system: System) -> dict[str, str]:
    return system.token("a1", "auditor", "demo-street")


async def test_the_codec_server_decrypts_payloads_for_an_auditor(system: System, auditor: dict[str, str]) -> None:
    answer = await ask(system, auditor, encrypted(KEYS, CLEAR), CLEAR)
    assert answer.status_code == 200
    assert answer.json() == body(CLEAR, CLEAR)


async def test_what_cannot_be_decrypted_comes_back_as_it_is(system: System, auditor: dict[str, str]) -> None:
    name, more = KEYS.added()
    strange = (
        encrypted(NamespaceKeys.new(), CLEAR), encrypted(more.promoted(name), CLEAR),
        Payload(metadata={"encoding": ENCODING}), Payload(metadata={"encoding": ENCODING, KEY_ID: b"\xff"}, data=b"x"),
    )  # fmt: skip
    answer = await ask(system, auditor, *strange, encrypted(KEYS, CLEAR))
    assert list(ParseDict(answer.json(), Payloads()).payloads) == [*strange, CLEAR]


@pytest.mark.parametrize("role", ROLES)
async def test_the_codec_server_decrypts_for_auditors_and_administrators_only(system: System, role: Any) -> None:
    headers = system.token("x1", role, ROLES[role])
    answer = await ask(system, headers, encrypted(KEYS, CLEAR))
    if role in ("auditor", "admin"):
        assert answer.status_code == 200, answer.text
        assert answer.json() == body(CLEAR)
    else:
        assert (answer.status_code, answer.json()["type"]) in [
            (403, f"{PREFIX}forbidden"),
            (401, f"{PREFIX}unauthenticated"),
        ]
        assert "canary" not in answer.text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-Tracking-Code": "ABCD-EFGH"}])
async def test_the_codec_server_refuses_unauthenticated_callers(system: System, headers: dict[str, str]) -> None:
    assert (await ask(system, headers, encrypted(KEYS, CLEAR))).status_code == 401


@pytest.mark.parametrize(
    "sent",
    [{}, {"payloads": 1}, {"payloads": [1]}, {"payloads": [{"data": "?"}]}, {"payloads": [{"metadata": {"a": 1}}]}],
)
async def test_what_is_no_list_of_payloads_is_refused(
    system: System, auditor: dict[str, str], sent: dict[str, Any]
) -> None:
    answer = await system.client.post(PATH, json=sent, headers=auditor)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{PREFIX}invalid")
    assert answer.json()["errors"][0]["field"].startswith("payloads")


async def test_only_the_user_interface_may_ask_from_another_origin(system: System, auditor: dict[str, str]) -> None:
    payload = encrypted(KEYS, CLEAR)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin in (UI, "http://127.0.0.1:8234", "https://127.0.0.1:8233", "null", "http://evil.example", ""):
        preflight = await system.client.options(PATH, headers={"Origin": origin, **asked})
        answer = await ask(system, {**auditor, "Origin": origin}, payload)
        refused = await ask(system, {**system.staff, "Origin": origin}, payload)
        assert refused.status_code == 403
        expected = UI if origin == UI else None
        for each in (preflight, answer, refused):
            assert each.headers.get("access-control-allow-origin") == expected
            assert "Origin" in each.headers["vary"]
        assert ("access-control-allow-headers" in preflight.headers) == (origin == UI)


async def test_decryption_is_refused_when_it_cannot_be_logged(system: System) -> None:
    reader = system.token("reader", "auditor", "demo-street")
    async with system.database.write() as session:  # nobody else can write meanwhile
        await session.execute(select(1))
        with something_is_away():
            answer = await ask(system, reader, encrypted(KEYS, CLEAR))
    assert (answer.status_code, answer.json()["type"]) == (503, f"{PREFIX}unavailable")
    assert "canary" not in answer.text
    assert (await ask(system, reader, encrypted(KEYS, CLEAR))).status_code == 200
    async with system.database.read() as session:
        rows = (await session.scalars(select(AccessRow).where(AccessRow.person == "reader"))).all()
    assert ("auditor", "payloads", None, "demo-street", "shown") in [
        (row.role, row.what, row.issue, row.street, row.result) for row in rows
    ]


async def test_every_answer_may_be_read_by_the_user_interface_and_by_no_other_page(
    system: System, auditor: dict[str, str]
) -> None:
    sent, broken = body(encrypted(KEYS, CLEAR)), {"Content-Type": "application/json"}
    async with system.api_on(system.temporal, codec_origins=(UI,), rates={"decode": "2/hour"}) as client:
        for origin in (UI, "http://evil.example"):
            who = {**auditor, "Origin": origin}
            answers = [
                await client.post(PATH, json=sent, headers={"Origin": origin}),
                await client.post(PATH, json=sent, headers={**who, "Authorization": "Bearer x"}),
                await client.post(PATH, json=sent, headers={**system.staff, "Origin": origin}),
                await client.post(PATH, json=sent, headers={**who, "X-Acting-Role": "property"}),
                await client.post(PATH, json={"payloads": 1}, headers=who),
                await client.post(PATH, content=b"{", headers={**who, **broken}),
                await client.post(PATH, content=b" " * 70_000, headers={**who, **broken}),
                await client.get(PATH, headers=who),
            ]
            assert [each.status_code for each in answers] == [401, 401, 403, 403, 422, 422, 413, 405]
            answers += [await client.post(PATH, json=sent, headers=who) for _ in range(3)]
            assert answers[-1].status_code == 429
            expected = UI if origin == UI else None
            for each in answers:
                assert each.headers.get("access-control-allow-origin") == expected, each.text
                assert each.headers.get("access-control-allow-credentials") == (expected and "true")
                assert "Origin" in each.headers["vary"]
        elsewhere = await client.get("/v1/issues", headers={**auditor, "Origin": UI})
        assert "access-control-allow-origin" not in elsewhere.headers


class Vouched:
    """A provider: it says who somebody is, and the directory as what."""

    async def claims(self, token: str) -> Claims:
        return Claims(token, None, None, own_grant=False)


async def test_a_caller_with_several_appointments_decrypts_under_an_allowed_one(system: System) -> None:
    async with system.database.read() as session:
        known = await load_directory(session)
    more = [
        Appointment("many", role, org)
        for role, org in (("property", "demo-property"), ("admin", "demo-street"), ("auditor", "demo-street"))
    ]
    async with system.database.write() as session:
        await store_directory(session, replace(known, appointments=(*known.appointments, *more)), now())
    payload = encrypted(KEYS, CLEAR)
    async with system.api_on(system.temporal, codec_origins=(UI,), verifier=Vouched()) as client:

        async def asked(person: str, **acting: str) -> Any:
            headers = {"Authorization": f"Bearer {person}", "Origin": UI, **acting}
            return await client.post(PATH, json=body(payload), headers=headers)

        assert (await asked("many")).json() == body(CLEAR)
        assert (await asked("many", **{"X-Acting-Role": "admin"})).status_code == 200
        refused = [await asked("x1"), await asked("p1"), await asked("many", **{"X-Acting-Role": "property"})]
        assert [each.json()["type"].removeprefix(PREFIX) for each in refused] == [
            "choose-role",
            "forbidden",
            "forbidden",
        ]
        assert {each.headers.get("access-control-allow-origin") for each in refused} == {UI}
        # Elsewhere they never add up.
        answer = await client.get("/v1/issues", headers={"Authorization": "Bearer many"})
        assert answer.json()["type"] == f"{PREFIX}choose-role"
    async with system.database.read() as session:
        roles = await session.scalars(select(AccessRow.role).where(AccessRow.person == "many"))
        assert list(roles) == ["auditor", "admin"]
    allowed = await system.client.options(PATH, headers={"Origin": UI, "Access-Control-Request-Method": "POST"})
    assert {"X-Acting-Role", "X-Acting-Org"} <= set(allowed.headers["access-control-allow-headers"].split(", "))


# The whole system


async def test_a_process_lacking_the_namespace_key_reports_temporal_down(system: System) -> None:
    issue = (await system.report())["id"]
    name, more = KEYS.added()
    late = encrypting(system.temporal, converter(more.promoted(name).without(KEYS.primary)))
    gateway = TemporalGateway(late, system.keys.signer)
    with pytest.raises(NoWorker):
        await gateway.snapshot(issue, 5)
    with pytest.raises(TemporalDown):
        await gateway.beginning(issue, 5)
    assert await gateway.beginning("nothing", 5) is None
    assert await TemporalGateway(system.temporal, system.keys.signer).beginning(issue, 5) is not None
    async with system.api_on(late) as client:
        # It knows no more of it than the row, so it does not know whether it is somebody's who may see it.
        answer = await client.get(f"/v1/issues/{issue}", headers=system.token("op1", "property", "other-property"))
        assert (answer.status_code, answer.json()["type"]) == (503, f"{PREFIX}unavailable")


@pytest.mark.parametrize(
    ("number", "given"), [*enumerate([[], [None], ["x"], [[]], [{}], [{"issue": 1}], [b"\x00"], [{"issue": {}}, 2]])]
)
async def test_a_workflow_that_somebody_began_with_whatever_he_liked_is_no_issue(
    system: System, number: int, given: list[Any]
) -> None:
    issue = f"garbage{number}"
    handle = await system.temporal.start_workflow("Issue", args=given, id=PREFIX_OF_IDS + issue, task_queue="nobody's")
    try:
        with pytest.raises(TemporalDown):
            await TemporalGateway(system.temporal, system.keys.signer).beginning(issue, 5)
        with something_is_away():
            answer = await system.get(f"/v1/issues/{issue}", system.staff)
        assert (answer.status, answer["type"]) == (503, f"{PREFIX}unavailable")
    finally:
        await handle.terminate()


async def test_an_issue_lives_encrypted_and_its_history_is_derived_as_without(system: System) -> None:
    reported = await system.report()
    assert reported.status in (201, 202), reported.body
    issue = reported["id"]
    answer = await system.give(issue, "accept", system.staff, note="canary-note")
    assert answer.status == 200, answer.body
    raw = (await system.temporal.get_workflow_handle(f"issue-{issue}").fetch_history()).events
    text = b"".join(event.SerializeToString() for event in raw)
    for word in (b'"actor"', b"demo-property", b'"reported"', b"canary-note"):
        assert word not in text
    derived = await derive(issue, await runs_of(system.temporal, issue))
    assert [event["kind"] for event in derived.events][:1] == ["reported"]
    assert "accepted" in [event["kind"] for event in derived.events]


async def test_the_archive_holds_it_without_the_encryption(system: System, auditor: dict[str, str]) -> None:
    reported = await system.report()
    issue = reported["id"]
    await system.give(issue, "withdraw", {"X-Tracking-Code": reported["tracking_code"]})
    verdict = await system.until(f"/v1/audit/issues/{issue}/verdict", auditor, lambda _: True)
    assert verdict["findings"] == [], verdict.body["findings"]
    async with system.database.read() as session:
        (key,) = await session.scalars(select(ArchiveRow.key).where(ArchiveRow.issue == issue))
    (events,) = [parse_history(key, await system.archive.get_run(key))]
    text = b"".join(event.SerializeToString() for event in events)
    assert b"binary/encrypted" not in text
    assert b'"withdraw' in text or b"withdrawn" in text


async def test_what_others_send_is_on_the_record_and_the_issue_lives(system: System) -> None:
    """A plain signal, one that only says it is encrypted, one cut short, and one that is encrypted but not signed."""
    reported = await system.report()
    issue, code = reported["id"], {"X-Tracking-Code": reported["tracking_code"]}
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"id": "x", "body": {}}')
    ours = encrypted(KEYS, plain)
    invented = Payload(metadata={**ours.metadata, KEY_ID: b"0" * 32 + b"." + b"0" * 32}, data=ours.data)
    forged = (plain, invented, Payload(metadata=ours.metadata, data=ours.data[:-1]), ours)
    for payload in forged:
        await system.temporal.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=system.temporal.namespace, workflow_execution=WorkflowExecution(workflow_id=f"issue-{issue}"),
                signal_name="accept", input=Payloads(payloads=[payload]),
            )
        )  # fmt: skip
    answer = await system.give(issue, "comment", code, text="canary")
    assert answer.status == 200, answer.body
    derived = await derive(issue, await runs_of(system.temporal, issue))
    kinds = [event["kind"] for event in derived.events]
    assert (kinds.count("rejected_signal"), kinds.count("accepted"), kinds.count("commented")) == (len(forged), 0, 1)
