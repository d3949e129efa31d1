"""Column types that behave alike on SQLite and PostgreSQL: times, texts, and JSON values kept byte for byte."""

import json
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import BigInteger, Dialect, Integer, String, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator

from domain.wire import canonical, format_time, parse_time, truncate

FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""A time later than every deadline. Not `datetime.max`: a session's time zone could move that beyond the year 9999."""

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""An id that the database generates. On SQLite the type is INTEGER, since SQLite generates ids for no other type."""


class UTCDateTime(TypeDecorator[datetime]):
    """A time in UTC with millisecond precision. A time without a time zone is refused; SQLite alone would accept it."""

    impl = String(24).with_variant(TIMESTAMP(timezone=True, precision=3), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        moment = truncate(value)
        return moment if dialect.name == "postgresql" else format_time(moment)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return cast("datetime", value).astimezone(UTC) if dialect.name == "postgresql" else parse_time(value)


class Words(TypeDecorator[str]):
    """Text that SQLite and PostgreSQL both compare by its bytes, so that cursors and prefixes work alike on both.

    The character NUL is stored as U+FFFD: PostgreSQL refuses NUL, so a forged signal could stop the projector with it.
    """

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else value.replace("\x00", "\ufffd")


class Plain(TypeDecorator[Any]):
    """A plain JSON value as the exact text that was hashed.

    It is a text column. The type JSONB would rewrite numbers and refuse an escaped NUL, so a stored value would not
    always keep its digest. No query looks inside these values.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)
