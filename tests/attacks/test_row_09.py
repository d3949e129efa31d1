"""Ids cannot be guessed: 128 bits under the server's secret, and none leads from one issue to another."""

import base64
import uuid

from protocol import ids

SECRET = b"a secret of tests, at least thirty-two bytes long"
KEYS = [str(uuid.UUID(int=number)) for number in range(2000)]


def bits(issue: str) -> bytes:
    return base64.b32decode(issue.upper() + "=" * (-len(issue) % 8))


def test_row_09_an_id_has_128_bits_of_which_each_is_as_often_set_as_not() -> None:
    found = [bits(ids.issue_id(SECRET, "anonymous", key)) for key in KEYS]
    assert {len(each) for each in found} == {16}
    assert len(set(found)) == len(KEYS)
    for bit in range(128):
        share = sum(int.from_bytes(each, "big") >> bit & 1 for each in found) / len(found)
        assert 0.4 < share < 0.6, f"bit {bit}"


def test_row_09_without_the_secret_nobody_works_out_an_id() -> None:
    other = b"another secret, of at least thirty-two bytes as well"
    for key in KEYS[:100]:
        assert ids.issue_id(SECRET, "anonymous", key) != ids.issue_id(other, "anonymous", key)


def test_row_09_a_tracking_code_has_a_hundred_bits_and_opens_one_issue() -> None:
    found = [ids.tracking_code(SECRET, str(number), 0).replace("-", "") for number in range(2000)]
    assert {len(each) for each in found} == {20}
    assert len(set(found)) == 2000
    for place in range(20):
        assert len({each[place] for each in found}) == 32
