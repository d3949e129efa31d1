"""Errors of subcommands, printed as one line for people."""

from collections.abc import Generator
from contextlib import contextmanager


class Failure(Exception):
    """An error whose cause the user can repair; the message is one line."""


def _expected() -> tuple[type[Exception], ...]:
    """Classes of errors whose cause an operator or an auditor can repair; `one_line` turns these into a Failure.

    Imported once there is an error: a command that needs no database is not to load what opens one.
    """
    from sqlalchemy.exc import SQLAlchemyError
    from temporalio.service import RPCError

    from audit.archive import ArchiveError
    from audit.bundle import BundleError
    from audit.heads import LogAlteredError
    from audit.held import HeldHeadsError, KeptHeadError
    from audit.holdings import NotYetError, UnknownError
    from audit.log_check import LogMismatchError
    from audit.log_keys import LogKeysError
    from audit.notes import NoteError
    from audit.refold import RefoldError
    from audit.replaying import ReplayError
    from audit.restore import RestoreError
    from audit.selection import SelectionError
    from audit.timeline import MomentError
    from audit.verify_all import ResumeError
    from calendars import CalendarError
    from db.pinned import MissingError
    from policies.loader import PolicyError
    from runtime.devserver import EmbeddedError
    from runtime.home import HomeBusy
    from runtime.manifest import BackupError
    from runtime.settings import SettingsError
    from security.credentials import CredentialsError
    from security.keystore import KeyStoreDown
    from security.master import MasterError
    from security.namespace import NamespaceError

    return (
        SettingsError, EmbeddedError, HomeBusy, RPCError, SQLAlchemyError, MissingError, OSError,
        CredentialsError, MasterError, NamespaceError, CalendarError, PolicyError,
        UnknownError, NotYetError, BundleError, ArchiveError, RefoldError, LogKeysError, NoteError, ResumeError,
        SelectionError, MomentError, LogAlteredError, RestoreError, LogMismatchError, KeyStoreDown,
        ReplayError, HeldHeadsError, KeptHeadError, BackupError,
    )  # fmt: skip


@contextmanager
def one_line() -> Generator[None]:
    """A context in which errors of the classes `_expected` become a Failure."""
    try:
        yield
    except Failure:
        raise
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        raise Failure(_line(error)) from None


def _line(error: Exception) -> str:
    from security.keystore import KeyStoreDown

    if isinstance(error, KeyStoreDown):
        return f"{error.detail}: {error}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
