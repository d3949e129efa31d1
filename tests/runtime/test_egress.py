"""The egress guard calls only listed hosts, at the address that was checked."""

import asyncio
import ipaddress
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.egress import CALL_TIMEOUT, LOOKUP_TIMEOUT, EgressError, EgressGuard, is_public, resolve, signature
from runtime.settings import SettingsError, load_settings
from support.receiver import NAME, Names, certificate, receiver


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
        "100.100.100.200", "169.254.169.254", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.7",
        "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1", "168.63.129.16",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
        "64:ff9b:1::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2002:7f00:1::1",
        "2001::1", "3fff::1", "100::1", "5f00::1",
    ],
)  # fmt: skip
def test_private_and_reserved_addresses_are_not_public(address: str):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "114.114.114.114", "172.15.0.1", "2400:3200::1", "2606:4700::1111"])
def test_ordinary_addresses_are_public(address: str):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/", "https://other.example/", "https://hooks.example.evil.example/", "ftp://hooks.example/",
        "https://hooks.example@evil.example/", "https://user:word@hooks.example/", "https://hooks.example:8443/",
        "https:///x", "hooks.example", "", "https://hooks.example\\@evil.example/", "https://xhooks.example/",
        "https://hooks.example\n/", "file:///etc/passwd", "https://[::1/", "https://hooks.example:99999/",
    ],
)  # fmt: skip
async def test_only_listed_hosts_are_called_and_only_by_https(url: str):
    names = Names(["8.8.8.8"])
    with pytest.raises(EgressError) as caught:
        await EgressGuard([NAME], resolve=names).post(url, b"", {})
    assert not caught.value.sent
    assert names.asked == []


async def test_without_hosts_nobody_is_called():
    with pytest.raises(EgressError, match="JIESU_OUTGOING_HOSTS"):
        EgressGuard([]).check("https://hooks.example/")


@pytest.mark.attack(25)
@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["8.8.8.8", "::1"],
        [],
        ["no address"],
        ["fe80::1%eth0"],
    ],
)
async def test_a_host_that_leads_inside_is_not_called(addresses: list[str]):
    with pytest.raises(EgressError, match=r"address") as caught:
        await EgressGuard([NAME], resolve=Names(addresses)).post(f"https://{NAME}/", b"", {})
    assert not caught.value.sent


async def test_a_name_that_does_not_resolve_is_said_to_have_no_address():
    with pytest.raises(EgressError, match="has no address"):
        await EgressGuard(["nowhere.invalid"]).post("https://nowhere.invalid/", b"", {})


async def test_a_lookup_timeout_counts_as_not_sent():
    async def hangs(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(EgressError, match="not found in time") as caught:
        await EgressGuard([NAME], resolve=hangs, lookup=0.05).post(f"https://{NAME}/", b"", {})
    assert not caught.value.sent
    assert LOOKUP_TIMEOUT < CALL_TIMEOUT


async def test_a_resolver_that_hangs_keeps_nobody_elses_thread(monkeypatch: pytest.MonkeyPatch):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    go = threading.Event()

    def hangs(*_: object, **__: object) -> list[object]:
        go.wait()
        return []

    monkeypatch.setattr("socket.getaddrinfo", hangs)
    hanging = [asyncio.create_task(resolve("nowhere.invalid", 443)) for _ in range(3)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(90):
            assert await asyncio.to_thread(threading.current_thread) is not threading.current_thread()
        assert not any(task.done() for task in hanging)
    finally:
        go.set()
    assert await asyncio.gather(*hanging) == [[]] * 3


@pytest.mark.attack(25)
async def test_the_certificate_is_that_of_the_name_and_the_connection_goes_where_was_checked():
    server, client = certificate(NAME)
    async with receiver(server) as other, receiver(server) as found:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        hosts = [f"{NAME}:{found.port}", f"other.example:{found.port}"]
        caller = EgressGuard(hosts, local=True, resolve=names, tls=client)
        assert await caller.post(f"https://{NAME}:{found.port}/hook?a=b", b"{}", {"X-Id": "7"}) == 200
        assert names.asked == [NAME]
        head = found.got[0].decode().lower()
        assert head.startswith("post /hook?a=b http/1.1\r\n")
        assert f"host: {NAME}:{found.port}\r\n" in head
        assert "x-id: 7\r\n" in head
        assert found.got[0].endswith(b"\r\n\r\n{}")
        caller = EgressGuard(hosts, local=True, resolve=Names(["127.0.0.1"]), tls=client)
        with pytest.raises(EgressError, match="ConnectError"):
            await caller.post(f"https://other.example:{found.port}/hook", b"{}", {})
        assert (len(found.got), other.connections) == (1, 0)


@pytest.mark.attack(25)
async def test_loopback_without_tls_is_for_those_who_say_so():
    async with receiver() as found:
        url = f"http://127.0.0.1:{found.port}/"
        with pytest.raises(EgressError):
            await EgressGuard([f"127.0.0.1:{found.port}"]).post(url, b"", {})
        assert await EgressGuard([f"127.0.0.1:{found.port}"], local=True).post(url, b"x", {}) == 200
        for inside in ("10.0.0.1", "192.168.0.1", "8.8.8.8"):
            caller = EgressGuard([f"{NAME}:{found.port}"], local=True, resolve=Names([inside]))
            with pytest.raises(EgressError, match="not of the public internet"):
                await caller.post(f"http://{NAME}:{found.port}/", b"", {})
        assert len(found.got) == 1


@pytest.mark.attack(25)
@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect", b"400 Bad Request", b"503 Unavailable"])
async def test_a_redirect_is_not_followed_and_no_answer_but_2xx_is_good(status: bytes):
    async with receiver() as inner, receiver() as found:
        where = f"http://127.0.0.1:{inner.port}/".encode()
        found.answer = b"HTTP/1.1 " + status + b"\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
        hosts = [f"127.0.0.1:{each.port}" for each in (inner, found)]
        with pytest.raises(EgressError, match=status[:3].decode()) as caught:
            await EgressGuard(hosts, local=True).post(f"http://127.0.0.1:{found.port}/", b"", {})
        assert not caught.value.sent
        assert inner.connections == 0


@pytest.mark.attack(25)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
async def test_an_address_inside_is_refused_even_where_it_is_listed(host: str):
    async with receiver() as victim:
        with pytest.raises(EgressError):
            await EgressGuard([f"{host}:{victim.port}"]).post(f"https://{host}:{victim.port}/", b"{}", {})
        assert victim.connections == 0


async def test_no_more_is_read_of_an_answer_than_its_status():
    async with receiver() as found:
        found.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 100_000
        assert await EgressGuard([f"127.0.0.1:{found.port}"], local=True).post(
            f"http://127.0.0.1:{found.port}/", b"", {}
        ) == 200  # fmt: skip


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000])
async def test_a_malformed_answer_counts_as_possibly_sent(answer: bytes):
    async with receiver() as found:
        found.answer = answer
        with pytest.raises(EgressError) as caught:
            await EgressGuard([f"127.0.0.1:{found.port}"], local=True).post(f"http://127.0.0.1:{found.port}/", b"", {})
        assert caught.value.sent


async def test_a_refused_connection_counts_as_not_sent():
    async with receiver() as found:
        port = found.port
    with pytest.raises(EgressError, match="ConnectError") as caught:
        await EgressGuard([f"127.0.0.1:{port}"], local=True).post(f"http://127.0.0.1:{port}/", b"", {})
    assert not caught.value.sent


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch):
    async with receiver() as proxy, receiver() as found:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await EgressGuard([f"127.0.0.1:{found.port}"], local=True).post(f"http://127.0.0.1:{found.port}/", b"", {})
        assert (proxy.connections, len(found.got)) == (0, 1)


def test_the_signature_is_over_time_and_body():
    # echo -n '1700000000.{"id":1}' | openssl dgst -sha256 -hmac secret
    assert signature(b"secret", b'{"id":1}', 1_700_000_000.9) == (
        "t=1700000000,v1=3dd1b9aef568d75f6790a84bd2e5dfa1f44409eef3cbdbd3f10b837376100c11"
    )


def test_settings_name_the_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("JIESU_HOME", str(tmp_path))
    monkeypatch.setenv("JIESU_OUTGOING_HOSTS", "hooks.example, sms.example:8443,hooks.example")
    assert load_settings().outgoing == ("hooks.example", "sms.example:8443")
    monkeypatch.setenv("JIESU_OUTGOING_HOSTS", "https://hooks.example")
    with pytest.raises(SettingsError, match="JIESU_OUTGOING_HOSTS: must be names of hosts"):
        load_settings()
    monkeypatch.delenv("JIESU_OUTGOING_HOSTS")
    monkeypatch.setenv("JIESU_OUTGOING_LOCAL", "true")
    assert load_settings().outgoing_local
    monkeypatch.setenv("JIESU_TEMPORAL_ADDRESS", "temporal.example:7233")
    with pytest.raises(SettingsError, match="JIESU_OUTGOING_LOCAL is for the embedded default only"):
        load_settings()
