"""Codes that were sent to phones: one for a number, for a while, for few tries, once."""

import hmac
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.tables import PhoneCodeRow
from db.upsert import upsert

TRIES: Final = 5


def put(session: Session, phone: str, code: str, now: datetime, until: datetime) -> None:
    """Notes the code sent to a phone, both as keyed hashes; one that was sent before is worth nothing any more."""
    session.execute(delete(PhoneCodeRow).where(PhoneCodeRow.until <= now))
    upsert(session, PhoneCodeRow, [{"phone": phone, "code": code, "tries": TRIES, "until": until}])


def use(session: Session, phone: str, code: str, now: datetime) -> bool:
    """Whether this is the code; it is used up then, and after TRIES wrong ones."""
    row = session.scalar(select(PhoneCodeRow).where(PhoneCodeRow.phone == phone).with_for_update())
    if row is None or row.until <= now:
        return False
    is_right = hmac.compare_digest(row.code, code)
    row.tries -= 1
    if is_right or not row.tries:
        session.delete(row)
    session.flush()
    return is_right
