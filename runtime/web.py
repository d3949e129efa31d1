"""The web server: uvicorn with a bound on connections, and without those that send no request."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.setting_types import MOST_CONNECTIONS

HEAD_SECONDS: Final = 30.0
"""How long a connection may take for the head of a request, from the connect or the last answer on."""
_SPARE: Final = 200
"""How many connections beyond the bound are still told so; further ones are cut without a word."""
CROWDED: Final = "crowded"
"""The name in the state of a request under which stands whether there are more connections than the bound."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process before the database is closed.

    `on_stop` ends the answers that would last as long as their callers stay.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self) -> None:
        """Stops the server: the first call lets running requests finish, the second call cuts them off."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_stop()

    @property
    def port(self) -> int:
        """The port on which the server listens. It is known only once the server has `started`."""
        return self.servers[0].sockets[0].getsockname()[1]


class Connection(H11Protocol):
    """A connection that is cut if no whole head of a request comes in time, and that marks requests of a crowd.

    Without that, somebody could hold every connection by sending nothing, or one letter a second.
    """

    most = MOST_CONNECTIONS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self.most + _SPARE:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._got_head()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        self.app_state[CROWDED] = len(self.connections) > self.most
        super().handle_events()
        if self._is_answering:
            self._got_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering and not self.transport.is_closing():
            self._await_head()

    @property
    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._got_head()
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _got_head(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server(
    app: Any, host: str, port: int, most: int = MOST_CONNECTIONS, *, on_stop: Callable[[], None] = lambda: None
) -> Server:
    """A web server for this app, whose answers have no `Server` header and so do not reveal its software.

    With more than `most` connections at a time it sets CROWDED in the state of each request.
    """
    bounded = type("Bounded", (Connection,), {"most": most})
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=5, timeout_keep_alive=30, http=bounded, ws="none", proxy_headers=False,
    )  # fmt: skip
    return Server(config, on_stop)
