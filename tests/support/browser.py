"""A browser as far as sign-in needs one: it keeps cookies and follows redirects, one step at a time."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import httpx
from fastapi import FastAPI

import support.system
from api.identity.embedded_provider import CLIENT, EmbeddedProvider
from api.identity.oidc import Provider
from api.identity.session import SessionParts
from runtime.web import Server, server
from support.again import SECONDS, Again
from support.ports import free_port
from support.system import System


@dataclass
class Site:
    """An API at a known origin, with a way to sign in."""

    origin: str
    session: SessionParts
    app: FastAPI

    def browser(self) -> "Browser":
        return Browser(self, Again(base_url=self.origin, timeout=SECONDS))


@dataclass
class Browser:
    """See the module."""

    site: Site
    http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def begin(self, onwards: str = "/next") -> dict[str, str]:
        """Goes to sign in; the question with which it is sent to the provider."""
        answer = await self.http.get("/session/login", params={"next": onwards})
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def choose(self, asked: dict[str, str], person: str, role: str, org: str = "") -> httpx.Response:
        """Says to the embedded provider who one is."""
        return await self.http.get("/oidc/authorize/as", params={**asked, "person": person, "role": role, "org": org})

    async def sign_in(self, person: str, role: str, org: str = "") -> httpx.Response:
        """The whole way by the embedded provider; the answer that sends the browser on."""
        back = await self.choose(await self.begin(), person, role, org)
        assert back.status_code == 303, back.text
        return await self.http.get(back.headers["location"])

    async def csrf(self) -> dict[str, str]:
        """The header that our own page can send, and no other."""
        return {"X-CSRF-Token": (await self.http.get("/session")).json()["csrf_token"]}


@contextlib.asynccontextmanager
async def site(
    system: System, provider: Provider | None = None, client_secret: str = "", **parts: Any
) -> AsyncIterator[Site]:
    """An API with the embedded provider, or with the one that is given."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    embedded = None if provider else EmbeddedProvider(system.home, origin)
    found = provider or Provider(f"{origin}/oidc", plain_loopback=True)
    session = SessionParts(
        found, CLIENT if embedded else "pages", origin, client_secret, trusts_roles=embedded is not None
    )
    apps: list[FastAPI] = []

    def at_port(app: FastAPI, host: str, _: int, **others: Any) -> Server:
        apps.append(app)
        return server(app, host, port, **others)

    with mock.patch.object(support.system, "server", at_port):
        running = system.api_on(system.temporal, session=session, embedded_provider=embedded, **parts)
        await running.__aenter__()
    try:
        yield Site(origin, session, apps[0])
    finally:
        await running.__aexit__(None, None, None)
