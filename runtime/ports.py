"""Finds free ports of this machine, and checks whether given ports can be used."""

import errno
import socket
from collections.abc import Iterable
from typing import cast

from runtime.settings import LOOPBACK, SettingsError


def free_port(host: str = LOOPBACK) -> int:
    """The number of a port of `host` that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return cast(int, probe.getsockname()[1])


def check_ports(wanted: Iterable[tuple[str, int, str]]) -> None:
    """Raises SettingsError for the first of the ports that cannot be used.

    `wanted` holds a host, a port and the variable that sets the port; the message names the variable to change.
    """
    for host, port, variable in wanted:
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family) as probe:
                # As servers do: a port with connections in TIME_WAIT only is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
        except OSError as error:
            why = error.strerror or type(error).__name__
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                other = f"{variable.removesuffix('PORT')}HOST"
                raise SettingsError(f"{host} is no address of this machine ({why}): set {other} to another") from None
            raise SettingsError(f"port {port} on {host} cannot be used ({why}): set {variable} to another") from None


def reachable(host: str) -> str:
    """The host to connect to, on this machine, for a server that listens on `host`."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - this is where such a host is avoided
