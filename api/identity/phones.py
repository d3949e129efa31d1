"""Sign-in by phone: a resident enters a code that was sent to the phone, and gets a token.

The token opens every issue that was reported with a token for the same phone.

The number and the code are stored only as keyed hashes, the code for five minutes. The answers are the same for all
numbers, so they do not tell whether a number is known.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from activities.sms import Sms, SmsError, SmsLog
from db import phones
from db.engine import Database
from protocol.clock import Now
from protocol.context import caller_network
from protocol.errors import Invalid, TooMany, Unavailable
from protocol.limits import Quotas
from security.ids import phone_hash, phone_subject
from security.phone_numbers import read
from texts.catalogue import Wrong

log: Final = structlog.stdlib.get_logger(__name__)

VALID: Final = timedelta(minutes=5)
TEXT: Final = "【接诉】验证码 {code}，五分钟内有效。请勿告诉他人。"
_DATABASE_TIMEOUT: Final = 2.0
"""How many seconds one use of the database may take."""
Mint = Callable[[str], str]
"""A function that makes a resident's token for a subject."""


def normalised(phone: str) -> str:
    """A Chinese mobile number in the form ``+8613800000000``. Raises Invalid for any other number."""
    if (found := read(phone)) is None:
        raise Invalid(("phone", Wrong("no-mobile")))
    return found.number


class Phones:
    """Sends codes to phones, and checks the codes that residents enter."""

    def __init__(
        self, *, sms: Sms, mint: Mint, database: Database, quotas: Quotas, secret: bytes, now: Now
    ) -> None:  # fmt: skip
        self._sms = sms
        self.file: Final = sms.file if isinstance(sms, SmsLog) else None
        """Where the texts are written that nobody is sent, in a trial."""
        self._mint = mint
        self._database = database
        self._quotas = quotas
        self._secret = secret
        self._now = now

    async def admit(self) -> None:
        """Counts a request for a code for the caller's network address. Raises TooMany beyond the rate."""
        await self._quotas.spend("code", f"phones {caller_network()}")

    async def send(self, phone: str) -> None:
        """Sends a code to a `normalised` number.

        Failures go to the log only, so that callers learn nothing about the number.
        """
        who = self._hash("phone", phone)
        try:
            await self._quotas.spend("phone", who)
            await self._quotas.spend("sms", "all")
            code = f"{secrets.randbelow(1_000_000):06}"
            hashed, now = self._hash("code", phone, code), self._now()
            async with asyncio.timeout(_DATABASE_TIMEOUT):
                await self._database.transact(lambda session: phones.put(session, who, hashed, now, now + VALID))
            await self._sms.send(phone, TEXT.format(code=code))
        except TooMany:
            log.info("phone.code_withheld")
        except SmsError as error:
            log.warning("phone.code_not_sent", error=str(error))
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("phone.code_not_sent", error=type(error).__name__)

    def token(self, subject: str) -> str:
        """A token for the owner of a proven number."""
        return self._mint(subject)

    async def prove(self, phone: str, code: str) -> str | None:
        """The subject of the owner of this number; None for a code that is wrong, used or expired.

        Raises TooMany after too many attempts for this number, Unavailable if the database does not answer.
        """
        who, hashed = self._hash("phone", phone), self._hash("code", phone, code)
        await self._quotas.spend("phone", f"try {who}")
        try:
            async with asyncio.timeout(_DATABASE_TIMEOUT):
                is_right = await self._database.transact(lambda session: phones.use(session, who, hashed, self._now()))
        except (SQLAlchemyError, OSError, TimeoutError):
            raise Unavailable("codes-away") from None
        return phone_subject(self._secret, phone) if is_right else None

    def _hash(self, *parts: str) -> str:
        return phone_hash(self._secret, *parts)
