"""Reads plain HTML forms, and makes sure that a page of ours has sent them."""

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import Request

from protocol.errors import Forbidden
from protocol.form_rules import fields_in


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of the form in the body. Raises Invalid."""
    return fields_in(await request.body())


def by_script(request: Request) -> bool:
    """Whether the outbox of a browser has sent this, which wants a status and not a page."""
    return request.headers.get("accept", "").startswith("application/json")


def token_of(secret: bytes, code: str) -> str:
    """The token in the forms of a page that was opened by this tracking code: no other page knows it."""
    return hmac.new(secret, b"jiesu/1/form\0" + code.encode(), hashlib.sha256).hexdigest()


def check_ours(request: Request, sent: str, expected: str) -> None:
    """Raises Forbidden unless the form was sent by a page of this origin and bears its token."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_ours = (
        hmac.compare_digest(sent.encode(), expected.encode())
        and site in (None, "same-origin")
        and (
            origin is None
            or urlsplit(origin).netloc == request.url.netloc
            or (origin == "null" and site == "same-origin")
        )
    )
    if not is_ours:
        raise Forbidden("foreign-form")
