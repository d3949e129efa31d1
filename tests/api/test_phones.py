"""A phone number is proved by a code: few tries, few codes, and the same answer for every number."""

import asyncio
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from activities.sms import KEPT, SmsError, SmsLog, SmsWebhook, open_sms
from api.identity.phones import normalised
from db.phones import TRIES
from db.tables import PhoneCodeRow
from protocol.errors import Invalid
from runtime.egress import EgressError, EgressGuard
from runtime.settings import SettingsError, load_settings
from support.receiver import receiver
from support.system import Answer, System

NUMBERS = (f"139{number:08}" for number in range(1, 10_000))


@pytest.fixture
def phone() -> str:
    return next(NUMBERS)


async def ask(system: System, phone: str, client: Any = None) -> Answer:
    answer = await (client or system.client).post("/v1/phones", json={"phone": phone})
    return Answer(answer.status_code, answer.json(), answer.headers)


async def give(system: System, phone: str, code: str, client: Any = None) -> Answer:
    answer = await (client or system.client).post("/v1/phones/verify", json={"phone": phone, "code": code})
    return Answer(answer.status_code, answer.json(), answer.headers)


def texts(system: System, phone: str) -> list[str]:
    if not system.texts.exists():
        return []
    lines = [json.loads(line) for line in system.texts.read_text("utf-8").splitlines()]
    return [
        "".join(sign for sign in line["text"] if sign.isdigit()) for line in lines if line["phone"] == f"+86{phone}"
    ]


async def code_for(system: System, phone: str) -> str:
    """Asks for one, and waits until it is there: it is sent after the answer."""
    before = len(texts(system, phone))
    assert (await ask(system, phone)).status == 202
    async with asyncio.timeout(90):
        while len(found := texts(system, phone)) == before:
            await asyncio.sleep(0.01)
    return found[-1]


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_all_that_is_reported_with_a_phone_is_seen_under_it(system: System, phone: str):
    issues: list[str] = []
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    spaced = f"{phone[:3]} {phone[3:7]} {phone[7:]}"
    for written in (phone, f"+86 {spaced}", f"\u202d0086—{spaced}\u202c", phone.translate(wide)):
        proven = await give(system, written, (await code_for(system, phone)).translate(wide))
        assert (proven.status, proven["expires_in"]) == (200, 12 * 3600)
        who = {"Authorization": f"Bearer {proven['token']}"}
        issues.append((await system.report(headers=who))["id"])
        for issue in issues:
            assert (await system.get(f"/v1/issues/{issue}", who)).status == 200
    stranger = next(NUMBERS)
    proven = await give(system, stranger, await code_for(system, stranger))
    who = {"Authorization": f"Bearer {proven['token']}"}
    assert (await system.get(f"/v1/issues/{issues[0]}", who)).status == 404


async def test_neither_number_nor_code_is_kept(system: System, phone: str, capfd: pytest.CaptureFixture[str]):
    code = await code_for(system, phone)
    async with system.database.read() as session:
        rows = [vars(row) for row in await session.scalars(select(PhoneCodeRow))]
    assert rows
    assert phone not in str(rows)
    assert all(len(row["phone"]) == len(row["code"]) == 64 for row in rows)
    proven = await give(system, phone, code)
    said = capfd.readouterr()
    assert phone not in said.out + said.err
    assert phone not in json.dumps(proven.body)
    assert stat.S_IMODE(system.texts.stat().st_mode) == 0o600


async def test_a_code_is_good_once(system: System, phone: str):
    code = await code_for(system, phone)
    answers = await asyncio.gather(*(give(system, phone, code) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 422, 422]


async def test_a_code_is_good_for_few_tries(system: System, phone: str):
    code = await code_for(system, phone)
    for _ in range(TRIES - 1):
        assert (await give(system, phone, other(code))).status == 422
    again = await code_for(system, phone)
    for _ in range(TRIES):
        assert (await give(system, phone, other(again))).status == 422
    assert (await give(system, phone, again)).status == 422


async def test_the_last_allowed_try_of_a_phone_code_works(system: System, phone: str):
    code = await code_for(system, phone)
    for _ in range(TRIES - 1):
        assert (await give(system, phone, other(code))).status == 422
    assert (await give(system, phone, code)).status == 200


async def test_a_code_is_good_for_five_minutes(system: System, phone: str):
    code = await code_for(system, phone)
    async with system.database.write() as session:
        for row in await session.scalars(select(PhoneCodeRow)):
            await session.execute(
                update(PhoneCodeRow)
                .where(PhoneCodeRow.phone == row.phone)
                .values(until=row.until - timedelta(minutes=5))
            )
    assert (await give(system, phone, code)).status == 422


async def test_a_newer_code_replaces_the_older_one(system: System, phone: str):
    old = await code_for(system, phone)
    new = await code_for(system, phone)
    if old != new:
        assert (await give(system, phone, old)).status == 422
    assert (await give(system, phone, new)).status == 200


async def test_a_code_is_for_one_phone(system: System, phone: str):
    code = await code_for(system, phone)
    another = next(NUMBERS)
    await code_for(system, another)
    wrong = await give(system, another, code if code not in texts(system, another) else other(code))
    assert wrong.status == 422
    assert wrong["errors"] == [
        {"field": "code", "code": "code-wrong", "params": {}, "reason": "it is wrong, was used, or is too old"}
    ]
    assert (await give(system, next(NUMBERS), code)).body == wrong.body


async def test_too_many_codes_are_withheld_without_a_word(system: System, phone: str):
    async with system.api_on(system.temporal, rates={"phone": "2/hour"}) as client:
        answers = [await ask(system, phone, client) for _ in range(4)]
    assert [answer.status for answer in answers] == [202] * 4
    assert len({json.dumps(answer.body) for answer in answers}) == 1
    assert len(texts(system, phone)) == 2


async def test_tries_at_a_number_are_limited_whatever_codes_are_sent(system: System, phone: str):
    code = await code_for(system, phone)
    async with system.api_on(system.temporal, rates={"phone": "2/hour"}) as client:
        statuses = [(await give(system, phone, other(code), client)).status for _ in range(3)]
        assert statuses == [422, 422, 429]
        assert (await give(system, next(NUMBERS), code, client)).status == 422


async def test_an_address_may_not_ask_for_any_number_of_codes(system: System):
    async with system.api_on(system.temporal, rates={"code": "3/hour"}) as client:
        answers = [await ask(system, next(NUMBERS), client) for _ in range(4)]
    assert [answer.status for answer in answers] == [202, 202, 202, 429]


async def test_codes_to_all_phones_together_are_limited(system: System):
    phones = [next(NUMBERS) for _ in range(3)]
    async with system.api_on(system.temporal, rates={"sms": "2/hour"}) as client:
        assert [(await ask(system, phone, client)).status for phone in phones] == [202] * 3
    assert sum(len(texts(system, phone)) for phone in phones) == 2


async def test_phone_routes_without_an_sms_gateway_answer_503(system: System, phone: str):
    async with system.api_on(system.temporal, sms=None) as client:
        assert (await ask(system, phone, client)).status == 503
        assert (await give(system, phone, "123456", client)).status == 503


class Broken:
    async def send(self, phone: str, text: str, message: str = "") -> None:
        raise SmsError("status 500")


async def test_a_gateway_that_fails_is_the_operators_affair(
    system: System, phone: str, capfd: pytest.CaptureFixture[str]
):
    async with system.api_on(system.temporal, sms=Broken()) as client:
        assert (await ask(system, phone, client)).status == 202
    said = capfd.readouterr().out
    assert "phone.code_not_sent" in said
    assert phone not in said


@pytest.mark.parametrize(
    "body",
    [
        {}, {"phone": 13800000000}, {"phone": "1380000000"}, {"phone": "138000000000"}, {"phone": "+4913800000000"},
        {"phone": "12800000000"}, {"phone": "一三八00000000"}, {"phone": "13800000000", "x": 1}, {"phone": "1" * 80},
    ],
)  # fmt: skip
async def test_what_is_no_number_is_invalid(system: System, body: dict[str, Any]):
    answer = await system.client.post("/v1/phones", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in ("phone", "x")


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "一二三四五六", "", 123456])
async def test_what_is_no_code_is_invalid(system: System, phone: str, code: Any):
    answer = await give(system, phone, code)
    assert (answer.status, answer["errors"][0]["field"]) == (422, "code")


def test_a_number_has_one_form():
    for written in ("13800000000", "+8613800000000", "8613800000000", "138-0000-0000", "+86 138 0000 0000"):
        assert normalised(written) == "+8613800000000"
    with pytest.raises(Invalid):
        normalised("+86+13800000000")


async def test_the_file_keeps_the_last_texts(tmp_path: Path):
    sms = SmsLog(tmp_path / "keys" / "sms.jsonl")
    await asyncio.gather(*(sms.send("+8613800000000", str(number)) for number in range(KEPT + 3)))
    lines = (tmp_path / "keys" / "sms.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [str(number) for number in range(3, KEPT + 3)]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["sms.jsonl"]


async def test_a_gateway_gets_a_signed_text(phone: str):
    async with receiver() as found:
        local = EgressGuard([f"127.0.0.1:{found.port}"], local=True)
        await SmsWebhook(f"http://127.0.0.1:{found.port}/", b"secret", local).send(f"+86{phone}", "041592")
        head, _, body = found.got[0].partition(b"\r\n\r\n")
        assert b"X-Jiesu-Signature: t=" in head
        assert {name: value for name, value in json.loads(body).items() if name != "id"} == {
            "phone": f"+86{phone}", "text": "041592",
        }  # fmt: skip
        found.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(SmsError, match="status 500"):
            await SmsWebhook(f"http://127.0.0.1:{found.port}/", b"secret", local).send(f"+86{phone}", "041592")
    with pytest.raises(EgressError):
        SmsWebhook("https://elsewhere.example/", b"secret", local)


def test_settings_choose_the_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    assert isinstance(open_sms(load_settings()), SmsLog)
    monkeypatch.setenv("JIESU_SMS_URL", "https://sms.example/send?key=hidden")
    with pytest.raises(SettingsError, match="JIESU_SMS_SECRET must be set"):
        open_sms(load_settings())
    monkeypatch.setenv("JIESU_SMS_SECRET", "secret")
    with pytest.raises(SettingsError, match="JIESU_OUTGOING_HOSTS") as caught:
        open_sms(load_settings())
    assert "hidden" not in str(caught.value)
    monkeypatch.setenv("JIESU_OUTGOING_HOSTS", "sms.example")
    assert isinstance(open_sms(load_settings()), SmsWebhook)
    monkeypatch.delenv("JIESU_SMS_URL")
    monkeypatch.setenv("JIESU_TEMPORAL_ADDRESS", "temporal.example:7233")
    assert open_sms(load_settings()) is None
