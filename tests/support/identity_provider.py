"""An identity provider on loopback for tests: keys of each kind, real HTTP, and every kind of fault."""

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from runtime.web import Server, server

AUDIENCE = "jiesu"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """The public half as a provider shows it."""
    kinds = ((RSAAlgorithm, rsa.RSAPrivateKey), (ECAlgorithm, ec.EllipticCurvePrivateKey))
    kind = next((one for one, private in kinds if isinstance(key, private)), OKPAlgorithm)
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


def part(plain: object) -> str:
    """A part of a token made by hand."""
    return plain64(json.dumps(plain).encode())


def plain64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class StandIn:
    """What the provider answers, and how often it was asked."""

    issuer: str = ""
    keys: list[dict[str, Any]] = field(
        default_factory=lambda: [jwk(RSA_KEY, "rsa"), jwk(EC_KEY, "ec"), jwk(ED_KEY, "ed")]
    )
    asked: dict[str, int] = field(default_factory=dict[str, int])
    discovery: dict[str, Any] = field(default_factory=dict[str, Any])
    """What its discovery document says otherwise."""
    answers: dict[str, Response] = field(default_factory=dict[str, Response])
    """Other answers than the right ones, by path."""
    delay: float = 0.0
    forms: list[tuple[dict[str, str], str | None]] = field(default_factory=list[tuple[dict[str, str], "str | None"]])
    """What was sent to its token endpoint, with the credentials of the client."""

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Good claims with some changed; None leaves one out."""
        now = datetime.now(UTC)
        good = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": "p1", "iat": now, "exp": now + timedelta(minutes=5),
        }  # fmt: skip
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(
        self,
        kid: str = "rsa",
        algorithm: str = "",
        key: Any = None,
        header: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A token, good unless something is changed."""
        known = {"rsa": (RSA_KEY, "RS256"), "ec": (EC_KEY, "ES256"), "ed": (ED_KEY, "EdDSA")}
        own, usual = known.get(kid, known["rsa"])
        return jwt.encode(
            self.claims(**changed), key or own, algorithm or usual, headers={"kid": kid, **(header or {})}
        )

    def app(self) -> FastAPI:
        app = FastAPI()

        async def answer(path: str, good: dict[str, Any]) -> Response:
            self.asked[path] = self.asked.get(path, 0) + 1
            await asyncio.sleep(self.delay)
            return self.answers.get(path) or JSONResponse(good)

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> Response:
            good = {
                "issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", "token_endpoint": f"{self.issuer}/token",
                "authorization_endpoint": f"{self.issuer}/authorize",
            }  # fmt: skip
            return await answer("discovery", {**good, **self.discovery})

        @app.get("/jwks")
        async def jwks() -> Response:
            return await answer("jwks", {"keys": self.keys})

        @app.post("/token")
        async def token(request: Request) -> Response:
            sent = dict(parse_qsl((await request.body()).decode()))
            self.forms.append((sent, request.headers.get("authorization")))
            return await answer("token", {})

        @app.get("/elsewhere")
        async def elsewhere() -> Response:
            return await answer("elsewhere", {"keys": self.keys})

        return app


def loopback() -> socket.socket:
    """A port of this machine, taken already, so that its number can be told before anybody serves it."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


@contextlib.asynccontextmanager
async def serving(app: FastAPI, taken: socket.socket) -> AsyncIterator[Server]:
    """An app, served on a port for as long as this lasts."""
    running = server(app, "127.0.0.1", 0)
    task = asyncio.create_task(running.serve(sockets=[taken]))
    while not running.started:
        await asyncio.sleep(0.01)
    try:
        yield running
    finally:
        running.stop()
        await task
        taken.close()


@contextlib.asynccontextmanager
async def identity_provider() -> AsyncIterator[StandIn]:
    """A provider that behaves, until a test says otherwise."""
    taken = loopback()
    found = StandIn(f"http://127.0.0.1:{taken.getsockname()[1]}")
    async with serving(found.app(), taken):
        yield found
