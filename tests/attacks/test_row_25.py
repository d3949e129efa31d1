"""Row 25: a webhook to loopback, link-local or private addresses, by redirect or DNS rebinding, is refused at connect."""

import ssl

import pytest

from runtime.egress import EgressError, EgressGuard
from support.receiver import NAME, Names, receiver

INSIDE = [
    "127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "10.0.0.1", "172.16.0.1",
    "192.168.1.1", "100.64.0.1", "0.0.0.0", "fd00::1", "64:ff9b::7f00:1",
]  # fmt: skip
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def test_row_25_an_address_inside_is_refused_at_connect():
    async with receiver() as victim:
        for address in INSIDE:
            caller = EgressGuard([f"{NAME}:{victim.port}"], resolve=Names([address]), tls=TLS)
            with pytest.raises(EgressError, match="not of the public internet"):
                await caller.post(f"https://{NAME}:{victim.port}/", b"{}", {})
        assert victim.connections == 0


async def test_row_25_an_inside_address_written_into_the_url_is_refused():
    async with receiver() as victim:
        # Even where an operator has listed it by mistake.
        hosts = [f"127.0.0.1:{victim.port}", f"localhost:{victim.port}", f"2130706433:{victim.port}"]
        for host in hosts:
            with pytest.raises(EgressError):
                await EgressGuard(hosts, tls=TLS).post(f"https://{host}/", b"{}", {})
        assert victim.connections == 0


async def test_row_25_a_name_that_leads_inside_among_others_is_refused():
    async with receiver() as victim:
        caller = EgressGuard([f"{NAME}:{victim.port}"], resolve=Names(["127.0.0.1", "8.8.8.8"]), tls=TLS)
        with pytest.raises(EgressError, match="not of the public internet"):
            await caller.post(f"https://{NAME}:{victim.port}/", b"{}", {})
        assert victim.connections == 0


async def test_row_25_rebinding_finds_no_second_look():
    """The name leads somewhere else at every look: only the first counts, and the connection goes there."""
    async with receiver() as meant:
        names = Names(["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"])
        caller = EgressGuard([f"{NAME}:{meant.port}"], local=True, resolve=names, tls=TLS)
        assert await caller.post(f"http://{NAME}:{meant.port}/", b"{}", {}) == 200
        assert (names.asked, meant.connections) == ([NAME], 1)
        with pytest.raises(EgressError, match="not of the public internet"):
            await caller.post(f"http://{NAME}:{meant.port}/", b"{}", {})


async def test_row_25_a_redirect_is_not_followed():
    async with receiver() as victim, receiver() as listed:
        for status in (301, 302, 303, 307, 308):
            where = f"http://127.0.0.1:{victim.port}/"
            listed.answer = f"HTTP/1.1 {status} Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
            hosts = [f"127.0.0.1:{each.port}" for each in (victim, listed)]
            with pytest.raises(EgressError, match=f"status {status}"):
                await EgressGuard(hosts, local=True, tls=TLS).post(f"http://127.0.0.1:{listed.port}/", b"{}", {})
        assert (listed.connections, victim.connections) == (5, 0)
