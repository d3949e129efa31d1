"""What is done with tracking codes: issues are found by them, and that of a report which staff took in is sent to its resident.

Nobody else is told the code: whoever took the report in could otherwise speak for the resident.
"""

import uuid
from typing import Final

from activities.notices import UndeliveredError
from activities.sms import Sms, SmsError
from db import queries
from db.engine import Database
from db.outbox import Entry
from domain.events import Reported
from domain.followers import voices
from domain.issue import Issue
from security import ids
from security.phone_numbers import read
from security.vault import Vault

TEXT: Final = "【接诉】您的诉求 {number} 已登记,查询码 {code}。凭此码查看进展、评价、要求重办。请勿告诉他人。"
_MESSAGES: Final = uuid.UUID("b0a4c0f2-3d57-4c0e-9a53-5b1f0d7e6c21")
"""The name space of the ids of texts. It may never change, or a gateway would not know a repeat."""


def hashes(secret: bytes, issue: Issue) -> list[str]:
    """The hashes of the codes of those who speak in the issue; codes of issues merged into it are theirs."""
    codes = (ids.voice_code(secret, voice) for voice in voices(issue) if voice.issue == issue.id)
    return [ids.tracking_hash(code) for code in codes]


class CodeJobs:
    """The job ``send_code``, which is retried until the text was sent; and the codes by which issues are found."""

    def __init__(self, database: Database, vault: Vault, secret: bytes, sms: Sms | None) -> None:
        self._database = database
        self._vault = vault
        self._secret = secret
        self._sms = sms

    def hashes(self, issue: Issue) -> list[str]:
        """See `hashes`."""
        return hashes(self._secret, issue)

    async def send_code(self, job: Entry) -> None:
        """Sends the current code of the issue to the phone in its report, unless the report was erased."""
        async with self._database.read() as session:
            first = await queries.event(session, job.payload["issue"], 1)
            issue = await queries.issue(session, job.payload["issue"])
        if first is None or issue is None:
            raise UndeliveredError("the report is not on record yet")
        body = (await self._vault.open_body(issue.id, first)).body
        assert isinstance(body, Reported)
        if (phone := read(str(body.contact.phone))) is None:
            return  # the words of the report were erased, and the phone with them
        if self._sms is None:
            raise UndeliveredError("this worker has no SMS gateway (JIESU_SMS_URL)")
        code = ids.tracking_code(self._secret, issue.id, issue.generation)
        message = str(uuid.uuid5(_MESSAGES, f"{issue.id} {job.seq} {job.template}"))
        try:
            await self._sms.send(phone.number, TEXT.format(number=issue.number, code=code), message)
        except SmsError as error:
            raise UndeliveredError(str(error)) from None
