"""The payload codec encrypts what Temporal stores, and leaves undecryptable payloads unchanged."""

import secrets
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio import activity, workflow
from temporalio.api.common.v1 import Header, Memo, Payload, Payloads, SearchAttributes
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from security.codec import (
    ENCODING,
    KEY_ID,
    MOST_INFLATED,
    ForgedPayload,
    PayloadCodec,
    TooLargePayload,
    converter,
    decode_events,
    decrypted,
    encrypted,
)
from security.namespace import NamespaceFile, NamespaceKeys, UnknownKey
from support.temporal import dev_server

KEYS = NamespaceKeys.new()
CANARY = "canary-7702"

payloads = st.builds(
    Payload,
    metadata=st.dictionaries(st.text(max_size=10), st.binary(max_size=40), max_size=3),
    data=st.one_of(st.binary(max_size=600), st.binary(min_size=1, max_size=40).map(lambda part: part * 700)),
)


def plain(data: bytes = b'"x"') -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


def sealed(body: bytes, keys: NamespaceKeys = KEYS) -> Payload:
    """What one who holds the key can make."""
    name, nonce = keys.primary.encode(), secrets.token_bytes(12)
    data = nonce + keys.ciphers[keys.primary].encrypt(nonce, body, b"jiesu/1/payload" + name)
    return Payload(metadata={"encoding": ENCODING, KEY_ID: name}, data=data)


async def decode(payload: Payload, keys: NamespaceKeys = KEYS) -> Payload:
    (found,) = await PayloadCodec(keys).decode([payload])
    return found


@given(st.lists(payloads, max_size=4))
async def test_what_is_encoded_is_decoded_to_the_same(given: list[Payload]) -> None:
    codec = PayloadCodec(KEYS)
    encoded = await codec.encode(given)
    assert [set(each.metadata) for each in encoded] == [{"encoding", KEY_ID}] * len(given)
    assert await codec.decode(encoded) == given


@pytest.mark.parametrize("size", [0, 255, 256, 257, 8191, 8192, 8193, 100_000, MOST_INFLATED - 40])
@pytest.mark.parametrize("random", [True, False])
async def test_every_size_comes_back(size: int, random: bool) -> None:
    payload = plain(secrets.token_bytes(size) if random else b"a" * size)
    assert await decode(encrypted(KEYS, payload)) == payload


def test_the_same_never_looks_the_same_and_shows_nothing() -> None:
    payload = plain(CANARY.encode())
    one, other = encrypted(KEYS, payload), encrypted(KEYS, payload)
    assert one.data[:12] != other.data[:12]
    assert one.data[12:] != other.data[12:]
    assert CANARY.encode() not in one.SerializeToString()
    assert b"json/plain" not in one.SerializeToString()


def test_what_is_long_and_repeats_itself_is_compressed() -> None:
    assert len(encrypted(KEYS, plain(b"abc" * 10_000)).data) < 1000


def test_nobody_encodes_what_nobody_would_decode() -> None:
    with pytest.raises(TooLargePayload, match=str(MOST_INFLATED)):
        encrypted(KEYS, plain(b"a" * MOST_INFLATED))


@given(st.data())
async def test_one_altered_byte_and_it_is_left_as_it_is(data: st.DataObject) -> None:
    payload = encrypted(KEYS, plain(data.draw(st.binary(max_size=400))))
    at = data.draw(st.integers(0, len(payload.data) - 1))
    raw = bytearray(payload.data)
    raw[at] ^= data.draw(st.integers(1, 255))
    altered = Payload(metadata=payload.metadata, data=bytes(raw))
    with pytest.raises(ForgedPayload):
        decrypted(KEYS, altered)
    assert await decode(altered) == altered


async def test_a_key_id_is_part_of_what_is_authenticated() -> None:
    name, more = KEYS.added()
    # The same bytes of a key cannot stand under two ids, so a cipher is put there by hand.
    twin = NamespaceKeys(name, {**more.keys, name: KEYS.keys[KEYS.primary]}, KEYS.mark)
    payload = encrypted(KEYS, plain())
    payload.metadata[KEY_ID] = name.encode()
    with pytest.raises(ForgedPayload, match="does not open"):
        decrypted(twin, payload)


@given(payloads)
async def test_an_unencrypted_payload_is_left_unchanged(payload: Payload) -> None:
    assert await decode(payload) == payload


@given(st.binary(max_size=200), st.one_of(st.binary(max_size=70), st.just(KEYS.primary.encode())))
async def test_garbage_marked_as_encrypted_is_left_unchanged(data: bytes, name: bytes) -> None:
    forged = Payload(metadata={"encoding": ENCODING, KEY_ID: name}, data=data)
    assert await decode(forged) == forged
    without = Payload(metadata={"encoding": ENCODING}, data=data)
    assert await decode(without) == without


async def test_another_installations_payload_is_left_as_it_is() -> None:
    foreign = encrypted(NamespaceKeys.new(), plain())
    assert await decode(foreign) == foreign


@given(st.binary(max_size=200))
async def test_any_content_sealed_with_the_key_decodes_or_is_left_unchanged(body: bytes) -> None:
    for first in (b"", b"\x00", b"\x01"):
        forged = sealed(first + body)
        try:
            expected = decrypted(KEYS, forged)
        except ForgedPayload:
            expected = forged
        assert await decode(forged) == expected


@pytest.mark.parametrize("size", [MOST_INFLATED + 1, 200_000_000])
async def test_a_bomb_is_not_inflated(size: int) -> None:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(squeezer.compress(b"\x00" * 1_000_000) for _ in range(size // 1_000_000))
    body += squeezer.compress(b"\x00" * (size % 1_000_000)) + squeezer.flush()
    bomb = sealed(b"\x01" + body)
    with pytest.raises(ForgedPayload, match="inflates to more than"):
        decrypted(KEYS, bomb)
    assert await decode(bomb) == bomb


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "form"), (b"\x02x", "form"), (b"\x01\xff\xff", "does not inflate"), (b"\x00\xff", "no payload"),
     (b"\x01" + zlib.compress(b"a" * 900, wbits=-15)[:-3], "cut short")],
)  # fmt: skip
def test_a_forged_payload_error_names_its_reason(body: bytes, said: str) -> None:
    with pytest.raises(ForgedPayload, match=said):
        decrypted(KEYS, sealed(body))


async def test_a_key_of_ours_that_is_not_here_yet_is_no_forgery(tmp_path: Path) -> None:
    """Two hosts with a copy of the file each; one is told of the new key late."""
    NamespaceFile.made(tmp_path / "a")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    (tmp_path / "b").chmod(0o600)
    first, second = NamespaceFile(tmp_path / "a"), NamespaceFile(tmp_path / "b")
    one, other = PayloadCodec(first), PayloadCodec(second)
    old = await one.encode([plain()])
    name = first.add()
    assert await other.decode(await one.encode([plain()])) == [plain()], "added, a key encrypts nothing yet"
    first.promote(name)
    new = await one.encode([plain()])
    with pytest.raises(UnknownKey, match=name) as caught:
        await other.decode(new)
    assert not any(key.hex() in str(caught.value) for key in first.current.keys.values())
    (tmp_path / "c").write_bytes((tmp_path / "a").read_bytes())
    (tmp_path / "c").chmod(0o600)
    (tmp_path / "c").replace(tmp_path / "b")
    assert await other.decode(new) == [plain()]
    assert await other.decode(old) == [plain()]
    assert (await other.encode([plain()]))[0].metadata[KEY_ID] == name.encode()


async def test_a_retired_key_is_missed_and_never_taken_for_a_forgery(tmp_path: Path) -> None:
    file = NamespaceFile.made(tmp_path / "a")
    codec, old = PayloadCodec(file), file.current.primary
    payloads = await codec.encode([plain()])
    file.promote(file.add())
    file.retire(old)
    with pytest.raises(UnknownKey, match=old):
        await codec.decode(payloads)


def _event(payload: Payload) -> HistoryEvent:
    """Payloads wherever they may be: fields, lists, maps, failures in failures, what the user interface shows."""
    event = HistoryEvent(event_id=1)
    started = event.workflow_execution_started_event_attributes
    started.input.payloads.extend([payload, payload])
    started.memo.CopyFrom(Memo(fields={"m": payload}))
    started.header.CopyFrom(Header(fields={"h": payload}))
    started.search_attributes.CopyFrom(SearchAttributes(indexed_fields={"s": payload}))
    started.continued_failure.cause.application_failure_info.details.payloads.append(payload)
    event.user_metadata.summary.CopyFrom(payload)
    return event


def _marker(payload: Payload) -> HistoryEvent:
    event = HistoryEvent(event_id=2)
    event.marker_recorded_event_attributes.details["result"].CopyFrom(Payloads(payloads=[payload]))
    return event


async def test_every_payload_of_a_history_is_decoded_but_search_attributes_and_headers() -> None:
    payload = encrypted(KEYS, plain(CANARY.encode()))
    decoded = await decode_events([_event(payload), _marker(payload)], PayloadCodec(KEYS))
    expected = [_event(plain(CANARY.encode())), _marker(plain(CANARY.encode()))]
    attributes = expected[0].workflow_execution_started_event_attributes
    attributes.header.fields["h"].CopyFrom(payload)
    attributes.search_attributes.indexed_fields["s"].CopyFrom(payload)
    assert decoded == expected


async def test_a_history_without_encryption_stays_as_it_is() -> None:
    for codec in (None, PayloadCodec(KEYS)):
        assert await decode_events([_event(plain()), _marker(plain())], codec) == [_event(plain()), _marker(plain())]


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"{",
        b'{"message": "x"}',
        b'{"message": 1, "stack_trace": ""}',
        b'{"message": "\\ud800", "stack_trace": ""}',
    ],
)
async def test_a_failure_with_malformed_encoded_attributes_stays_unchanged(said: bytes) -> None:
    event = HistoryEvent()
    event.workflow_execution_failed_event_attributes.failure.encoded_attributes.CopyFrom(plain(said))
    before = HistoryEvent.FromString(event.SerializeToString())
    assert await decode_events([event], PayloadCodec(KEYS)) == [before]


# With a real server


@activity.defn
async def echo(text: str) -> str:
    if text == "fail":
        raise ApplicationError(CANARY, CANARY, non_retryable=True)
    return text


@workflow.defn(name="Echo")
class Echo:
    def __init__(self) -> None:
        self._heard: list[str] = []

    @workflow.run
    async def run(self, text: str, fails: bool) -> str:
        workflow.set_current_details(text)
        await workflow.wait_condition(lambda: bool(self._heard))
        patience = timedelta(seconds=10)
        local = await workflow.execute_local_activity(echo, self._heard[0], start_to_close_timeout=patience)
        await workflow.sleep(timedelta(milliseconds=1), summary=text)
        found = await workflow.execute_activity(echo, local, start_to_close_timeout=patience, summary=text)
        if fails:
            await workflow.execute_activity(echo, "fail", start_to_close_timeout=patience)
        return found

    @workflow.signal
    def hear(self, text: str) -> None:
        self._heard.append(text)

    @workflow.query
    def heard(self) -> list[str]:
        return self._heard


def _client(client: Client, converter: DataConverter) -> Client:
    config = client.config()
    config["data_converter"] = converter
    return Client(**config)


def _worker(client: Client) -> Worker:
    runner = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_all_modules())
    return Worker(client, task_queue="echo", workflows=[Echo], activities=[echo], workflow_runner=runner)


async def _run(client: Client, name: str, fails: bool) -> Sequence[HistoryEvent]:
    handle = await client.start_workflow(
        Echo.run, args=[CANARY, fails], id=name, task_queue="echo", memo={"m": CANARY}, static_summary=CANARY,
        static_details=CANARY,
    )  # fmt: skip
    await handle.signal(Echo.hear, CANARY)
    assert await handle.query(Echo.heard) == [CANARY]
    if fails:
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
        assert CANARY in str(caught.value.cause.__cause__)
    else:
        assert await handle.result() == CANARY
    assert await (await handle.describe()).memo_value("m") == CANARY
    return (await handle.fetch_history()).events


def _bytes(events: Sequence[HistoryEvent]) -> bytes:
    return b"".join(event.SerializeToString(deterministic=True) for event in events)


def _kinds(events: Sequence[HistoryEvent]) -> list[Any]:
    return [event.event_type for event in events]


async def test_a_workflow_runs_and_no_history_database_or_error_holds_plain_text(tmp_path: Path) -> None:
    """The sandbox is on, and the histories replay decoded with a plain converter, as the archive keeps them."""
    async with dev_server(tmp_path) as plain_client:
        client = _client(plain_client, converter(KEYS))
        async with _worker(client):
            done = await _run(client, "done", fails=False)
            failed = await _run(client, "failed", fails=True)
        stored = [path.read_bytes() for path in sorted(tmp_path.glob("temporal.db*"))]  # noqa: ASYNC240
        assert stored
        for raw in (_bytes(done), _bytes(failed), *stored):
            assert CANARY.encode() not in raw
        for name, events in (("done", done), ("failed", failed)):
            kinds = _kinds(events)
            decoded = await decode_events(events, client.data_converter.payload_codec)
            assert _kinds(decoded) == kinds
            assert _bytes(decoded).count(CANARY.encode()) >= 6
            assert b"Encoded failure" not in _bytes(decoded)
            replayer = Replayer(workflows=[Echo], workflow_runner=UnsandboxedWorkflowRunner())
            await replayer.replay_workflow(WorkflowHistory(name, decoded))


async def test_a_worker_without_the_key_waits_for_it_and_records_nothing_else(tmp_path: Path) -> None:
    old = NamespaceKeys.new()
    name, both = old.added()
    lagging = NamespaceFile.made(tmp_path / "worker")
    (tmp_path / "worker").write_text(old.dump())
    async with dev_server(tmp_path) as plain_client:
        api = _client(plain_client, converter(both.promoted(name)))
        worker = _client(plain_client, converter(lagging))
        async with _worker(worker):
            handle = await api.start_workflow(Echo.run, args=[CANARY, False], id="late", task_queue="echo")
            await handle.signal(Echo.hear, CANARY)
            while not any(event.HasField("workflow_task_failed_event_attributes") for event in await _history(handle)):
                pass
            (tmp_path / "worker").write_text(both.dump())
            assert await handle.result() == CANARY


async def _history(handle: Any) -> Sequence[HistoryEvent]:
    return (await handle.fetch_history()).events
