"""Codes sent to phones: one per number, valid for a while, for TRIES attempts and one use."""

import hmac
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.tables import PhoneCodeRow
from db.upsert import upsert

TRIES: Final = 5


def put(session: Session, phone: str, code: str, now: datetime, until: datetime) -> None:
    """Stores the code sent to a phone, both as keyed hashes, in the place of an earlier code."""
    session.execute(delete(PhoneCodeRow).where(PhoneCodeRow.until <= now))
    upsert(session, PhoneCodeRow, [{"phone": phone, "code": code, "tries": TRIES, "until": until}])


def use(session: Session, phone: str, code: str, now: datetime) -> bool:
    """Whether the code is right. A right one is deleted, as is one after TRIES attempts."""
    row = session.scalar(select(PhoneCodeRow).where(PhoneCodeRow.phone == phone).with_for_update())
    if row is None or row.until <= now:
        return False
    is_right = hmac.compare_digest(row.code, code)
    row.tries -= 1
    if is_right or not row.tries:
        session.delete(row)
    session.flush()
    return is_right
