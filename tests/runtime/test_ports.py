"""An unusable port fails with one line that names its variable."""

import socket

import pytest

from runtime.ports import check_ports, free_port
from runtime.settings import SettingsError


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            check_ports([("127.0.0.1", free_port(), "JIESU_A"), ("127.0.0.1", port, "JIESU_B")])
        assert f"port {port} " in str(caught.value)
        assert "JIESU_B" in str(caught.value)
        assert "\n" not in str(caught.value)
        # One that listens everywhere takes the port as well.
        with pytest.raises(SettingsError):
            check_ports([("0.0.0.0", port, "JIESU_B")])
    check_ports([("127.0.0.1", port, "JIESU_B")])


def test_a_host_that_is_not_ours_is_named_too() -> None:
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(SettingsError, match=rf"^{host} is no address of this machine \(.*: set JIESU_API_HOST to"):
            check_ports([(host, 1024, "JIESU_API_PORT")])


def test_a_port_with_closing_connections_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = server.getsockname()
        with socket.create_connection(address):
            connection, _ = server.accept()
            # Whoever closes first keeps the address in TIME_WAIT.
            connection.close()
    check_ports([("127.0.0.1", address[1], "JIESU_B")])
