"""Tells organisations by webhook what concerns them: which issue, what happened, by when; nothing that anybody wrote.

`JIESU_WEBHOOKS` names a JSON file: ``{"<code of an organisation>": {"url": "https://...", "secret": "..."}}``. Each call
is signed with the receiver's secret (`outgoing.signature`) and bears the notice's id, by which a repeat is known.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import structlog

from activities.notices import Gateway, TableGateway, UndeliveredError
from db.engine import Database
from db.outbox import Entry
from domain.wire import canonical
from runtime.breaker import Breaker
from runtime.egress import SIGNATURE, Outgoing, OutgoingError, signature
from runtime.settings import SettingsError

NOTICE_ID: Final = "X-Jiesu-Notice"
REST_SECONDS: Final = 30.0
"""How long a receiver that failed is not called, so that one that hangs does not delay the others' notices."""
_SHORTEST_SECRET: Final = 32

log: Final = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Receiver:
    """Where an organisation is told, and what its calls are signed with."""

    url: str = field(repr=False)
    secret: bytes = field(repr=False)


class WebhookGateway:
    """Tells everybody by `others` and, of those that have a webhook, each by its own as well."""

    def __init__(
        self, others: Gateway, receivers: Mapping[str, Receiver], outgoing: Outgoing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._others = others
        self._receivers = receivers
        self._outgoing = outgoing
        self._breakers = {
            receiver.url: Breaker(
                REST_SECONDS, opened="webhook_does_not_answer", closed="webhook_answers_again", clock=clock
            )
            for receiver in receivers.values()
        }

    @property
    def repeatable(self) -> bool:
        return self._others.repeatable

    async def deliver(self, notice: Entry) -> None:
        await self._others.deliver(notice)
        receiver = self._receivers.get(notice.to_org or "")
        if receiver is None:
            return
        breaker = self._breakers[receiver.url]
        if not breaker.allows():
            raise UndeliveredError("the receiver failed a moment ago")
        body = canonical(_told(notice))
        headers = {
            "Content-Type": "application/json", NOTICE_ID: str(notice.id), SIGNATURE: signature(receiver.secret, body)
        }  # fmt: skip
        try:
            await self._outgoing.post(receiver.url, body, headers)
        except OutgoingError as error:
            breaker.trip(error)
            # Whether or not it arrived, it may come again: the receiver knows it by its id.
            raise UndeliveredError(f"webhook: {error}") from None
        breaker.close()


def _told(notice: Entry) -> dict[str, Any]:
    head = {"id": notice.id, "kind": notice.template, "issue": notice.issue, "seq": notice.seq, "org": notice.to_org}
    return {**notice.payload, **head}


def open_gateway(database: Database, file: Path | None, outgoing: Outgoing) -> Gateway:
    """How notices are delivered here: to the table, and to the webhooks of the file. Raises SettingsError."""
    table = TableGateway(database)
    if file is None:
        return table
    receivers = read_receivers(file, outgoing)
    log.info("webhooks_ready", orgs=sorted(receivers))
    return WebhookGateway(table, receivers, outgoing)


def read_receivers(file: Path, outgoing: Outgoing) -> Mapping[str, Receiver]:
    """Organisation -> its receiver. Raises SettingsError, in one line without any secret, for a file that is unfit."""
    try:
        found: object = json.loads(file.read_bytes())
    except OSError as error:
        raise _unfit(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise _unfit(f"{file} is no JSON") from None
    if not isinstance(found, dict):
        raise _unfit(f"{file} must be an object: organisations by their codes")
    return {org: _receiver(org, entry, outgoing) for org, entry in cast("dict[str, object]", found).items()}


def _receiver(org: str, entry: object, outgoing: Outgoing) -> Receiver:
    parts = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    url, secret = parts.get("url"), parts.get("secret")
    if set(parts) != {"url", "secret"} or not isinstance(url, str) or not isinstance(secret, str):
        raise _unfit(f"{org!r} needs a url and a secret, and nothing else")
    if len(secret) < _SHORTEST_SECRET:
        raise _unfit(f"the secret of {org!r} needs at least {_SHORTEST_SECRET} characters")
    try:
        outgoing.check(url)
    except OutgoingError as error:
        raise _unfit(f"the url of {org!r}: {error}") from None
    return Receiver(url, secret.encode())


def _unfit(reason: str) -> SettingsError:
    return SettingsError(f"JIESU_WEBHOOKS: {reason}")
