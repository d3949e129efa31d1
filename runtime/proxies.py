"""From which address a request really comes: what trusted proxies say of it, and the network for which it is counted.

A front server, such as a proxy or the backend of a mini-program, sends the requests of many people from one address. It
says whose they are in `X-Forwarded-For` or `Forwarded` (RFC 7239); both are believed from the named networks only.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

LOOPBACK: Final = "127.0.0.0/8,::1"
_IPV6_PREFIX: Final = 64
"""A subscriber gets at least this network, so its addresses are one caller."""
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=("[^"]*"|[^\s;,"]*)\s*')

Address = IPv4Address | IPv6Address


class Proxies:
    """The networks whose word about the origin of a request is believed, such as ``10.0.0.0/8,2001:db8::1``."""

    def __init__(self, networks: str = LOOPBACK) -> None:
        """Raises ValueError for what is no network."""
        self._networks = [ip_network(each.strip()) for each in networks.split(",") if each.strip()]

    def origin(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str | None]:
        """The address from which a request comes that `peer` sent, and its scheme if a trusted proxy gives it.

        The nearest address that is no trusted proxy. If proxies say nothing or contradict each other, it is `peer`:
        then all its requests are of one caller, and nobody can pass for somebody else.
        """
        if not self._trusts(_address(peer)):
            return peer, None
        found: dict[str, str] = {}
        for name, value in headers:
            if name in (b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"):
                key = name.decode()
                found[key] = ",".join(filter(None, (found.get(key), value.decode("latin-1"))))
        hops = _elements(found.get("forwarded", ""))
        said = [
            self._nearest(chain)
            for chain in (found.get("x-forwarded-for", "").split(","), [hop.get("for", "") for hop in hops])
            if any(chain)
        ]
        agreed = said[0] if said and all(each == said[0] for each in said) else None
        scheme = found.get("x-forwarded-proto", "").rpartition(",")[2].strip() or (
            hops[-1].get("proto") if hops else ""
        )
        return str(agreed) if agreed else peer, scheme if scheme in ("http", "https") else None

    def _nearest(self, chain: list[str]) -> Address | None:
        """The last address of the chain that is no trusted proxy, or its first; None if one before it cannot be read."""
        address = None
        for hop in reversed(chain):
            address = _address(hop)
            if address is None or not self._trusts(address):
                break
        return address

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def network_of(address: str) -> str:
    """The network for which requests from this address are counted: the /64 of IPv6, else the address itself."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((int(found), _IPV6_PREFIX), strict=False))
    return address if found is None else str(found)


def _elements(forwarded: str) -> list[dict[str, str]]:
    """The elements of a header `Forwarded`, each with its parameters. Not within quotes: a comma, a semicolon."""
    return [
        {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
        for element in forwarded.split(",")
        if forwarded
    ]


def _address(text: str) -> Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``; None if there is none.

    An IPv4 address that is written as an IPv6 one is the IPv4 address.
    """
    text = text.strip().strip('"')
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
