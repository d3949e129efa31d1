"""The request headers of the command protocol: the idempotency key, and the issue's version that the caller saw."""

import re
from typing import Annotated, Final

from fastapi import Header

from api.http.problems import KeyMissing
from protocol.caller import Caller
from protocol.errors import Invalid, Stale
from texts.catalogue import Wrong

KEY: Final = "Idempotency-Key"
KeyHeader = Annotated[
    str | None,
    Header(
        alias=KEY, description="A UUID of your own; the same again means the same request.",
        json_schema_extra={"pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    ),
]  # fmt: skip
CommandKeyHeader = Annotated[
    str | None,
    Header(
        alias=KEY, json_schema_extra={"pattern": "^[!-~]{1,128}$"},
        description="A UUID of your own, or with a token any word; the same again means the same request.",
    ),
]  # fmt: skip
MatchHeader = Annotated[
    str | None,
    Header(
        alias="If-Match", description='The ETag that was read, e.g. `"3"`: 412 if it is another by now.',
        json_schema_extra={"pattern": r'^("[0-9]{1,9}"|\*)$'},
    ),
]  # fmt: skip
NoneMatchHeader = Annotated[str | None, Header(alias="If-None-Match", description="304 while this is the ETag.")]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEY: Final = re.compile(r"[!-~]{1,128}")
_VERSION: Final = re.compile(r'"([0-9]{1,9})"')


def uuid_key(sent: str | None) -> str:
    """The idempotency key of a report. Raises KeyMissing without a key, Invalid for a key that is no UUID.

    The issue's id and its tracking code derive from the key, so a key must not be guessable.
    """
    if not sent or not sent.strip():
        raise KeyMissing("key-missing")
    key = sent.strip().lower()
    if not _UUID.fullmatch(key):
        raise Invalid(("Idempotency-Key", Wrong("no-uuid")))
    return key


def command_key(sent: str | None, caller: Caller) -> str:
    """The idempotency key of a command: a UUID; from a caller with a token, any word.

    Raises KeyMissing without a key, Invalid for a key of another form.
    """
    if caller.actor is None:
        return uuid_key(sent)
    if not sent or not sent.strip():
        raise KeyMissing("key-missing")
    if not _KEY.fullmatch(sent.strip()):
        raise Invalid(("Idempotency-Key", Wrong("no-key")))
    return sent.strip()


def expected_version(sent: str | None) -> int | None:
    """The version that the issue must still have, from `If-Match`; None without the header, and for `*`.

    Raises Stale for a header that does not have the form of the API's ETags.
    """
    if sent is None or sent.strip() == "*":
        return None
    found = _VERSION.fullmatch(sent.strip())
    if found is None:
        raise Stale("no-version")
    return int(found[1])
