"""Sends texts (SMS) to phones: by a gateway, or in trials into a file. The log never holds a text."""

import asyncio
import contextlib
import json
import os
import tempfile
import uuid
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from domain.wire import canonical, format_time
from runtime.egress import SIGNATURE, EgressError, EgressGuard, signature
from runtime.settings import Settings, SettingsError

KEPT: Final = 20
"""How many texts `SmsLog` keeps."""


class SmsError(Exception):
    """The text was probably not sent. The error's message holds neither the number nor the text."""


class Sms(Protocol):
    """Sends texts to phones; numbers are in the form ``+8613800000000``."""

    async def send(self, phone: str, text: str, message: str = "") -> None:
        """Sends a text to one phone. Raises SmsError if it was probably not sent.

        Who tries again gives the same id (`message`) each time, by which a gateway drops repeats.
        """
        ...


class SmsLog:
    """For trials: sends nothing and keeps the last texts in a file of mode 0600."""

    def __init__(self, file: Path) -> None:
        self.file: Final = file
        self._turn = asyncio.Lock()

    async def send(self, phone: str, text: str, message: str = "") -> None:
        async with self._turn:
            try:
                await asyncio.to_thread(self._add, {"at": format_time(datetime.now(UTC)), "phone": phone, "text": text})
            except OSError as error:
                raise SmsError(type(error).__name__) from None

    def _add(self, line: dict[str, str]) -> None:
        lines: deque[str] = deque(maxlen=KEPT)
        with contextlib.suppress(FileNotFoundError):
            lines.extend(self.file.read_text("utf-8").splitlines())
        lines.append(json.dumps(line, ensure_ascii=False))
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{self.file.name}-", dir=self.file.parent)  # made with mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{each}\n" for each in lines)
        Path(draft).replace(self.file)


class SmsWebhook:
    """Sends texts by an SMS gateway, or an adapter to one, that accepts ``{"id", "phone", "text"}`` as JSON.

    Each request carries the signature header that Jiesu's webhooks carry, made with `secret`.
    """

    def __init__(self, url: str, secret: bytes, outgoing: EgressGuard) -> None:
        """Raises EgressError for a URL that may not be called."""
        outgoing.check(url)
        self._url = url
        self._secret = secret
        self._outgoing = outgoing

    async def send(self, phone: str, text: str, message: str = "") -> None:
        body = canonical({"id": message or str(uuid.uuid4()), "phone": phone, "text": text})
        headers = {"Content-Type": "application/json", SIGNATURE: signature(self._secret, body)}
        try:
            await self._outgoing.post(self._url, body, headers)
        except EgressError as error:
            raise SmsError(str(error)) from None


def open_sms(settings: Settings) -> Sms | None:
    """The means to send texts: the configured gateway; without one, a file in the embedded default, else None.

    Raises SettingsError for a gateway without a secret, or with a URL that may not be called.
    """
    url = settings.sms_url.get_secret_value()
    secret = settings.sms_secret.get_secret_value()
    if not url:
        return SmsLog(settings.home / "keys" / "sms.jsonl") if settings.embedded else None
    if not secret:
        raise SettingsError("JIESU_SMS_SECRET must be set where JIESU_SMS_URL is")
    try:
        return SmsWebhook(url, secret.encode(), EgressGuard.of(settings))
    except EgressError as error:
        raise SettingsError(f"JIESU_SMS_URL: {error}") from None
