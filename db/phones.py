"""Codes sent to phones, by which people prove their numbers.

A number has one code at a time. A code is valid for a while, for TRIES attempts, and for one use.
"""

import hmac
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.tables import PhoneCodeRow
from db.upsert import upsert

TRIES: Final = 5


def put(session: Session, phone: str, code: str, now: datetime, until: datetime) -> None:
    """Stores the code that was sent to a phone, in place of an earlier code.

    Phone and code are given as keyed hashes.
    """
    session.execute(delete(PhoneCodeRow).where(PhoneCodeRow.until <= now))
    upsert(session, PhoneCodeRow, [{"phone": phone, "code": code, "tries": TRIES, "until": until}])


def use(session: Session, phone: str, code: str, now: datetime) -> bool:
    """Whether this is the code of the phone. The stored code is deleted once it was given, or after TRIES attempts."""
    row = session.scalar(select(PhoneCodeRow).where(PhoneCodeRow.phone == phone).with_for_update())
    if row is None or row.until <= now:
        return False
    is_right = hmac.compare_digest(row.code, code)
    row.tries -= 1
    if is_right or not row.tries:
        session.delete(row)
    session.flush()
    return is_right
