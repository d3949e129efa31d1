"""Sends notices to organisations by webhook: issue, event and due time, never a text that people wrote.

`JIESU_WEBHOOKS` names a JSON file: ``{"<code of an organisation>": {"url": "https://...", "secret": "..."}}``. Each call
is signed with the receiver's secret (`runtime.egress.signature`) and carries the notice's id, by which the receiver
deduplicates.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import structlog

from activities.notices import Channel, NotTriedError, TableChannel, UndeliveredError
from db.engine import Database
from db.outbox import Entry
from domain.wire import canonical
from runtime.breaker import Breaker
from runtime.egress import SIGNATURE, EgressError, EgressGuard, signature
from runtime.settings import SettingsError

NOTICE_ID: Final = "X-Jiesu-Notice"
REST_SECONDS: Final = 30.0
"""How long no call is made to a receiver that failed, so that one that hangs does not delay notices to others."""
_SHORTEST_SECRET: Final = 32

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Receiver:
    """The webhook of an organisation, and the secret that signs calls to it."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)


class WebhookChannel:
    """Delivers every notice by the channel `others`, and by webhook as well if the addressee has a webhook."""

    def __init__(
        self, others: Channel, receivers: Mapping[str, Receiver], guard: EgressGuard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._others = others
        self._receivers = receivers
        self._guard = guard
        self._breakers = {
            receiver.url: Breaker(
                REST_SECONDS, opened="webhook_does_not_answer", closed="webhook_answers_again", clock=clock
            )
            for receiver in receivers.values()
        }

    @property
    def repeatable(self) -> bool:
        return self._others.repeatable

    async def keep(self, notice: Entry) -> None:
        await self._others.deliver(notice)

    async def deliver(self, notice: Entry) -> None:
        await self.keep(notice)
        receiver = self._receivers.get(notice.to_org or "")
        if receiver is None:
            return
        body = canonical(_content(notice))
        headers = {
            "Content-Type": "application/json", NOTICE_ID: str(notice.id), SIGNATURE: signature(receiver.secret, body)
        }  # fmt: skip
        breaker = self._breakers[receiver.url]
        with breaker.attempt() as allowed:
            if not allowed:
                raise NotTriedError("the receiver failed a moment ago", timedelta(seconds=REST_SECONDS))
            try:
                await self._guard.post(receiver.url, body, headers)
            except EgressError as error:
                breaker.trip(error)
                # A retry is safe even if it arrived: the receiver deduplicates by the id.
                raise UndeliveredError(f"webhook: {error}") from None
            breaker.close()


def _content(notice: Entry) -> dict[str, Any]:
    head = {"id": notice.id, "kind": notice.template, "issue": notice.issue, "seq": notice.seq, "org": notice.to_org}
    return {**notice.payload, **head}


def open_channel(database: Database, file: Path | None, guard: EgressGuard) -> Channel:
    """The channel of this installation: the table, and the webhooks in the file. Raises SettingsError."""
    table = TableChannel(database)
    if file is None:
        return table
    receivers = read_receivers(file, guard)
    log.info("webhooks_ready", orgs=sorted(receivers))
    return WebhookChannel(table, receivers, guard)


def read_receivers(file: Path, guard: EgressGuard) -> Mapping[str, Receiver]:
    """The receivers in the file, by the code of their organisation.

    Raises SettingsError if the file is invalid; its message is one line and shows no secret.
    """
    try:
        found: object = json.loads(file.read_bytes())
    except OSError as error:
        raise _invalid(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _invalid(f"{file} is no JSON") from None
    if not isinstance(found, dict):
        raise _invalid(f"{file} must be an object: organisations by their codes")
    return {org: _receiver(org, entry, guard) for org, entry in cast("dict[str, object]", found).items()}


def _receiver(org: str, entry: object, guard: EgressGuard) -> Receiver:
    parts = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    url, secret = parts.get("url"), parts.get("secret")
    if set(parts) != {"url", "secret"} or not isinstance(url, str) or not isinstance(secret, str):
        raise _invalid(f"{org!r} needs a url and a secret, and nothing else")
    if len(secret) < _SHORTEST_SECRET:
        raise _invalid(f"the secret of {org!r} needs at least {_SHORTEST_SECRET} characters")
    try:
        guard.check(url)
    except EgressError as error:
        raise _invalid(f"the url of {org!r}: {error}") from None
    return Receiver(url, secret.encode())


def _invalid(reason: str) -> SettingsError:
    return SettingsError(f"JIESU_WEBHOOKS: {reason}")
