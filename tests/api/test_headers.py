"""The protocol's headers: idempotency keys and expected versions."""

import pytest

from api.http.headers import command_key, expected_version, uuid_key
from api.http.problems import KeyMissing
from domain.commands import Actor
from protocol.caller import Caller
from protocol.errors import Invalid, Stale

ANYBODY = Caller(None, "CODE", b"s")
STAFF = Caller(Actor("p1", "property", "demo-property"), None, b"s")
KEY = "0b9f6f2e-4c1d-4f7a-9b1e-2f6a4c1d7e85"


def test_a_uuid_is_one_key_in_either_case() -> None:
    assert uuid_key(f" {KEY.upper()} ") == KEY


@pytest.mark.parametrize("sent", [None, "", "  "])
def test_without_a_key_there_is_no_report_and_no_command(sent: str | None) -> None:
    with pytest.raises(KeyMissing):
        uuid_key(sent)
    with pytest.raises(KeyMissing):
        command_key(sent, STAFF)


@pytest.mark.parametrize("sent", ["1", "urn:uuid:" + KEY, KEY.replace("-", ""), "{" + KEY + "}", KEY + "x"])
def test_a_report_needs_a_uuid(sent: str) -> None:
    with pytest.raises(Invalid):
        uuid_key(sent)


def test_whoever_shows_no_token_needs_a_uuid_for_commands_too() -> None:
    assert command_key("retry-7", STAFF) == "retry-7"
    with pytest.raises(Invalid):
        command_key("retry-7", ANYBODY)


@pytest.mark.parametrize("sent", ["a b", "x" * 129, "钥匙", "a\x00"])
def test_a_key_is_one_plain_word(sent: str) -> None:
    with pytest.raises(Invalid):
        command_key(sent, STAFF)


@pytest.mark.parametrize(("sent", "version"), [(None, None), ("*", None), ('"3"', 3), (' "12" ', 12)])
def test_an_etag_names_a_version(sent: str | None, version: int | None) -> None:
    assert expected_version(sent) == version


@pytest.mark.parametrize("sent", ["3", '"abc"', 'W/"3"', '"1", "2"', '"' + "9" * 30 + '"'])
def test_what_names_no_version_of_ours_fits_none(sent: str) -> None:
    with pytest.raises(Stale, match="If-Match names no version of this issue"):
        expected_version(sent)
