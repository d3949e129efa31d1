"""Whose a request is: what is believed, from whom, and for which network it is counted."""

import pytest

from runtime.proxies import Proxies, network_of

FRONT = "10.1.2.3"
TRUSTED = Proxies("10.0.0.0/8, 2001:db8:f::/48")


def origin(peer: str = FRONT, **headers: str) -> str:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return TRUSTED.origin(peer, named)[0]


def test_what_a_named_proxy_says_is_believed() -> None:
    assert origin(x_forwarded_for="192.0.2.7") == "192.0.2.7"
    assert origin(x_forwarded_for="192.0.2.7:4711") == "192.0.2.7"
    assert origin(x_forwarded_for="2001:db8::7") == "2001:db8::7"
    assert origin(forwarded='for="[2001:db8::7]:4711";proto=https;by=10.1.2.3') == "2001:db8::7"
    assert origin(forwarded="proto=http;For=192.0.2.7") == "192.0.2.7"
    assert origin("2001:db8:f::1", x_forwarded_for="192.0.2.7") == "192.0.2.7"
    assert origin("::ffff:10.1.2.3", x_forwarded_for="192.0.2.7") == "192.0.2.7"


@pytest.mark.attack(35)
def test_what_anybody_else_says_is_not_believed() -> None:
    for peer in ("192.0.2.9", "2001:db8::9", "127.0.0.1", "", "unix"):
        assert origin(peer, x_forwarded_for="192.0.2.7", forwarded="for=192.0.2.7") == peer
    assert TRUSTED.origin("192.0.2.9", [(b"x-forwarded-proto", b"https")]) == ("192.0.2.9", None)
    assert Proxies("").origin("127.0.0.1", [(b"x-forwarded-for", b"192.0.2.7")]) == ("127.0.0.1", None)


@pytest.mark.attack(35)
def test_what_the_caller_wrote_before_the_proxy_is_not_believed() -> None:
    assert origin(x_forwarded_for="1.1.1.1, 192.0.2.7") == "192.0.2.7"
    assert origin(x_forwarded_for="1.1.1.1, 192.0.2.7, 10.9.9.9") == "192.0.2.7", "through two proxies of ours"
    assert origin(forwarded="for=1.1.1.1, for=192.0.2.7") == "192.0.2.7"
    twice = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"192.0.2.7")]
    assert TRUSTED.origin(FRONT, twice)[0] == "192.0.2.7"
    assert origin(x_forwarded_for="10.7.7.7") == "10.7.7.7", "somebody within the trusted network"


@pytest.mark.attack(35)
def test_where_two_headers_disagree_or_nothing_can_be_read_it_is_the_proxy() -> None:
    assert origin(x_forwarded_for="1.1.1.1", forwarded="for=192.0.2.7") == FRONT
    assert origin(x_forwarded_for="192.0.2.7", forwarded="for=192.0.2.7") == "192.0.2.7"
    for nonsense in ("", "unknown", "_hidden", "192.0.2.7, nobody", "a" * 5000, ",,,"):
        assert origin(x_forwarded_for=nonsense) == FRONT
    assert origin(forwarded="for=unknown") == FRONT
    assert origin() == FRONT


def test_a_proxy_says_how_it_was_asked() -> None:
    assert TRUSTED.origin(FRONT, [(b"x-forwarded-proto", b"https")]) == (FRONT, "https")
    assert TRUSTED.origin(FRONT, [(b"x-forwarded-proto", b"http, https")])[1] == "https"
    assert TRUSTED.origin(FRONT, [(b"forwarded", b"for=192.0.2.7;proto=https")]) == ("192.0.2.7", "https")
    assert TRUSTED.origin(FRONT, [(b"x-forwarded-proto", b"gopher")])[1] is None


@pytest.mark.attack(35)
def test_addresses_of_one_subscriber_are_one_caller() -> None:
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::2") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("testclient") == "testclient"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Proxies(text)
