"""The payload codec: encrypts all payloads that this installation gives to Temporal, and decrypts what comes back.

Payloads are compressed and encrypted with AES-256-GCM under the primary namespace key. A payload that this installation
did not encrypt is returned unchanged; Whether a payload is
decrypted or returned unchanged may never change; docs/adr/0018-payloads-are-encrypted.md says why.
"""

import json
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.converter import PayloadCodec as TemporalCodec

from security.namespace import NamespaceKeys, NamespaceKeySource, UnknownKey

ENCODING: Final = b"binary/encrypted"
KEY_ID: Final = "encryption-key-id"
"""The metadata field that holds the id of the key. The id is authenticated as associated data of the cipher."""
MOST_INFLATED: Final = 4 * 1024 * 1024
"""The most bytes of a payload before compression. It may never change, or old payloads could decode differently."""
_PURPOSE: Final = b"jiesu/1/payload"
_NONCE: Final = 12
_TAG: Final = 16
_SMALL: Final = 256
"""Payloads of fewer bytes are not compressed."""
_PLAIN: Final = b"\x00"
_DEFLATED: Final = b"\x01"
_LEVEL: Final = 1
_SHORT: Final = 8192
"""Up to so many bytes a payload is compressed with a small window (_WINDOW).

That takes a sixth of the time and compresses as well, since zlib clears the window for each payload.
"""
_WINDOW, _MEMORY = -12, 5
_WIDEST: Final = -15
"""The largest window. It is negative for data without header and checksum: the cipher's tag authenticates them."""
_NEVER: Final = frozenset({SearchAttributes.DESCRIPTOR.full_name, Header.DESCRIPTOR.full_name})
_NOTHING: Final = frozenset[str]()


class TooLargePayload(ValueError):
    """A payload is too large to be encoded: it has more than MOST_INFLATED bytes."""


class ForgedPayload(ValueError):
    """An encrypted payload is under a foreign key, altered, or larger than MOST_INFLATED when decompressed."""


class PayloadCodec(TemporalCodec):
    """The codec as Temporal's SDK wants it.

    `encode` raises TooLargePayload, `decode` raises UnknownKey, and both raise NamespaceError.
    """

    def __init__(self, keys: NamespaceKeySource) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        keys = self._keys.current
        return [encrypted(keys, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        keys = self._keys.current
        return [_decoded(keys, payload) for payload in payloads]


def converter(keys: NamespaceKeySource) -> DataConverter:
    """The data converter of clients and workers, which encrypts all payloads and the messages of failures."""
    return DataConverter(
        payload_codec=PayloadCodec(keys), failure_converter_class=DefaultFailureConverterWithEncodedAttributes
    )


def encrypted(keys: NamespaceKeys, payload: Payload) -> Payload:
    """Encrypts a payload under the primary key. Its random nonce is safe for 2**32 payloads. Raises TooLargePayload."""
    plain = payload.SerializeToString()
    if len(plain) > MOST_INFLATED:
        raise TooLargePayload(f"a payload of {len(plain)} bytes: {MOST_INFLATED} is the most")
    body = _PLAIN + plain
    if len(plain) >= _SMALL:
        deflated = _deflated(plain)
        if len(deflated) < len(plain):
            body = _DEFLATED + deflated
    name, nonce = keys.primary.encode(), secrets.token_bytes(_NONCE)
    data = nonce + keys.ciphers[keys.primary].encrypt(nonce, body, _PURPOSE + name)
    return Payload(metadata={"encoding": ENCODING, KEY_ID: name}, data=data)


def decrypted(keys: NamespaceKeys, payload: Payload) -> Payload:
    """Decrypts a payload. Raises ForgedPayload, or UnknownKey if only this process does not have its key yet."""
    raw = payload.metadata.get(KEY_ID, b"")
    name = raw.decode("ascii", "replace")
    cipher = keys.ciphers.get(name)
    if cipher is None:
        if keys.is_ours(name):
            raise UnknownKey(f"this process does not hold namespace key {name}")
        raise ForgedPayload("it was not encrypted by this installation")
    if len(payload.data) < _NONCE + _TAG:
        raise ForgedPayload("it is cut short")
    try:
        body = cipher.decrypt(payload.data[:_NONCE], payload.data[_NONCE:], _PURPOSE + raw)
    except InvalidTag:
        raise ForgedPayload("its key does not open it") from None
    try:
        return Payload.FromString(_inflated(body))
    except DecodeError:
        raise ForgedPayload("what is in it is no payload") from None


def _decoded(keys: NamespaceKeys, payload: Payload) -> Payload:
    if payload.metadata.get("encoding") != ENCODING:
        return payload
    try:
        return decrypted(keys, payload)
    except ForgedPayload:
        return payload


def _deflated(plain: bytes) -> bytes:
    window, memory = (_WINDOW, _MEMORY) if len(plain) <= _SHORT else (_WIDEST, zlib.DEF_MEM_LEVEL)
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, window, memory)
    return stream.compress(plain) + stream.flush()


def _inflated(body: bytes) -> bytes:
    """Decompresses a decrypted body. Raises ForgedPayload if that gives more than MOST_INFLATED bytes or fails."""
    kind, rest = body[:1], body[1:]
    if kind == _PLAIN:
        return rest
    if kind != _DEFLATED:
        raise ForgedPayload("its form is unknown")
    stream = zlib.decompressobj(_WIDEST)
    try:
        plain = stream.decompress(rest, MOST_INFLATED + 1)
    except zlib.error:
        raise ForgedPayload("it does not inflate") from None
    if len(plain) > MOST_INFLATED:
        raise ForgedPayload(f"it inflates to more than {MOST_INFLATED} bytes")
    if not stream.eof:
        raise ForgedPayload("it is cut short")
    return plain


class Decoder(Protocol):
    """Decodes payloads: returns one payload for each, in the same order."""

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]: ...


async def decode_events(events: Iterable[HistoryEvent], codec: Decoder | None) -> list[HistoryEvent]:
    """Decrypts the events of a history in place, and returns them. Without a codec they stay as they are.

    Afterwards the history is as it would be without encryption. Search attributes and headers are
    never encrypted. Raises UnknownKey, NamespaceError.
    """
    found = list(events)
    if codec is None:
        return found
    payloads: list[Payload] = []
    failures: list[Failure] = []
    for event in found:
        _collect(event, payloads, failures)
    for payload, decoded in zip(payloads, await codec.decode(payloads), strict=True):
        if decoded is not payload:
            payload.CopyFrom(decoded)
    for failure in failures:
        _restore(failure)
    return found


def _collect(message: Message, payloads: list[Payload], failures: list[Failure]) -> None:
    """Appends to the two lists every payload in the message and every failure with encoded attributes."""
    if isinstance(message, Payload):
        payloads.append(message)
        return
    if isinstance(message, Failure) and message.HasField("encoded_attributes"):
        failures.append(message)
    fields = _fields(message.DESCRIPTOR)
    for descriptor, value in message.ListFields():
        if descriptor.name in fields:
            for part in _parts(descriptor, value):
                _collect(part, payloads, failures)


def _parts(field: FieldDescriptor, value: Any) -> Iterator[Message]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from value.values()
    elif field.is_repeated:
        yield from value
    else:
        yield value


@cache
def _fields(descriptor: Descriptor) -> frozenset[str]:
    """The names of those fields of a message type in which a payload may occur, at any depth."""
    return frozenset(field.name for field in descriptor.fields if _leads(field.message_type))


@cache
def _leads(descriptor: Descriptor | None, above: frozenset[str] = _NOTHING) -> bool:
    if descriptor is None or descriptor.full_name in _NEVER | above:
        return False
    if descriptor.full_name == Payload.DESCRIPTOR.full_name:
        return True
    return any(_leads(field.message_type, above | {descriptor.full_name}) for field in descriptor.fields)


def _restore(failure: Failure) -> None:
    """Puts message and stack trace of a failure back in their fields, from its decrypted attributes."""
    encoded = failure.encoded_attributes
    if encoded.metadata.get("encoding") != b"json/plain":
        return
    try:
        plain: Any = json.loads(encoded.data)
        decoded = Failure(message=plain["message"], stack_trace=plain["stack_trace"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    failure.message, failure.stack_trace = decoded.message, decoded.stack_trace
    failure.ClearField("encoded_attributes")
