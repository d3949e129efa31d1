"""Connections to SQLite that could only be opened for reading are not kept, so writing works again once the disk does."""

import sqlite3

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExceptionContext


def reopen_read_only(engine: Engine) -> None:
    """Drops the engine's connections as soon as one was too read-only for a statement.

    SQLite opens a file on a read-only disk for reading, and for good: only another connection can write to it later.
    """

    def on_error(context: ExceptionContext) -> None:
        if is_read_only(context.original_exception):
            context.is_disconnect = True

    event.listen(engine, "handle_error", on_error)


def is_read_only(error: BaseException | None) -> bool:
    """Whether this error of SQLite says that it may only read the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY
