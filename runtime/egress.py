"""The egress guard: allows outgoing calls only to hosts that the operator has listed, on the public internet.

The name of the host is resolved once, the address is checked, and the connection goes to that address, so DNS rebinding
has no effect. The server's certificate must be for the name of the host. Redirects are not followed.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Self

import httpx

from runtime.settings import Settings

CALL_TIMEOUT: Final = 8.0
"""How many seconds a call may take, from the name lookup to the status of the response."""
LOOKUP_TIMEOUT: Final = 3.0
"""How many of the seconds of a call the name lookup may take."""
SIGNATURE: Final = "X-Jiesu-Signature"
_PORTS: Final = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A function that returns the addresses of a host and port, in order of preference. Raises OSError."""

_LOOKUPS: Final = ThreadPoolExecutor(4, "lookup")
"""Threads for name lookups only: a lookup that hangs blocks its thread, and would use up the shared threads."""

# From IANA's registries of special-purpose addresses.
_SPECIAL_4: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # a public address that a cloud uses internally, like 169.254.169.254
    )
)  # fmt: skip
_GLOBAL_6: Final = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses of the internet, without loopback, link-local, unique local, multicast, IPv4-mapped and NAT64."""
_SPECIAL_6: Final = tuple(
    ipaddress.ip_network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class EgressError(Exception):
    """The call failed; the message holds no path and no secret. `sent` says whether the request may have arrived."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent: Final = sent


def is_public(address: Address) -> bool:
    """Whether the address is on the public internet, not in a private or special-purpose network."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    return address in _GLOBAL_6 and not any(address in network for network in _SPECIAL_6)


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host from the system's resolver. Raises OSError."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, ask)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class EgressGuard:
    """Sends POST requests to the given `hosts` and to no other host.

    A host is a name, with the port if that is not 443. `local` also allows hosts on loopback, with or without TLS, for
    trials and tests.
    """

    def __init__(
        self, hosts: Iterable[str], *, local: bool = False, resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None, lookup: float = LOOKUP_TIMEOUT,
    ) -> None:  # fmt: skip
        self._hosts = frozenset(host.lower() for host in hosts)
        self._local = local
        self._resolve = resolve
        self._lookup = lookup
        self._tls = tls or httpx.create_ssl_context()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.outgoing, local=settings.outgoing_local)

    def check(self, url: str) -> None:
        """Raises EgressError if calls to this URL are not allowed. Looks up no name."""
        self._parse(url)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Sends the body and returns the status of the response, whose body is not read.

        Raises EgressError if the call is not allowed or fails, or the status is 300 or more.
        """
        target = self._parse(url)
        end = asyncio.get_running_loop().time() + CALL_TIMEOUT
        address = await self._address(target)
        try:
            async with asyncio.timeout_at(end):
                return await self._send(target, address, body, headers)
        except TimeoutError:
            raise EgressError("no answer in time", sent=True) from None

    def _parse(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            target = httpx.URL()
        port = _PORTS.get(target.scheme)
        if port is None or not target.host or target.userinfo or (target.scheme == "http" and not self._local):
            raise EgressError("no https address that could be called", sent=False)
        name = target.raw_host.decode("ascii").lower()
        named = name if target.port in (None, port) and port == _PORTS["https"] else f"{name}:{target.port or port}"
        if named not in self._hosts:
            raise EgressError("the host is not among those that may be called (JIESU_OUTGOING_HOSTS)", sent=False)
        return target

    async def _address(self, target: httpx.URL) -> Address:
        """The address to connect to. Raises EgressError if the host has none, or one that is not allowed."""
        host = target.raw_host.decode("ascii")
        try:
            async with asyncio.timeout(self._lookup):
                found = await self._resolve(host, target.port or _PORTS[target.scheme])
            addresses = [ipaddress.ip_address(each) for each in found]
        except TimeoutError:
            raise EgressError("the host's address was not found in time", sent=False) from None
        except (OSError, ValueError):
            addresses = []
        if not addresses:
            raise EgressError("the host has no address", sent=False)
        is_local = self._local and all(each.is_loopback for each in addresses)
        if not is_local and (target.scheme == "http" or not all(map(is_public, addresses))):
            raise EgressError("the host's address is not of the public internet", sent=False)
        return addresses[0]

    async def _send(self, target: httpx.URL, address: Address, body: bytes, headers: Mapping[str, str]) -> int:
        there = target.copy_with(host=str(address))
        sent = {**headers, "Host": target.netloc.decode("ascii")}
        name = {"sni_hostname": target.raw_host.decode("ascii")}
        # No proxy of the environment, which would resolve the name again.
        client = httpx.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=CALL_TIMEOUT)
        try:
            async with client, client.stream("POST", there, content=body, headers=sent, extensions=name) as answer:
                status = answer.status_code
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EgressError(type(error).__name__, sent=False) from None
        except httpx.HTTPError as error:
            raise EgressError(type(error).__name__, sent=True) from None
        if status >= 300:
            raise EgressError(f"status {status}", sent=False)
        return status


def signature(secret: bytes, body: bytes, at: float | None = None) -> str:
    """The value of the SIGNATURE header: ``t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>." + body>``."""
    moment = str(int(time.time() if at is None else at))
    return f"t={moment},v1={hmac.new(secret, moment.encode() + b'.' + body, hashlib.sha256).hexdigest()}"
