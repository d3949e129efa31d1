"""Errors of subcommands, printed as one line for people."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from audit.archive import ArchiveError
from audit.bundle import BundleError
from audit.heads import LogAlteredError
from audit.holdings import UnknownError
from audit.log_check import LogMismatchError
from audit.log_keys import LogKeysError
from audit.notes import NoteError
from audit.refold import RefoldError
from audit.restore import RestoreError
from audit.selection import SelectionError
from audit.service import NotYetError
from audit.timeline import MomentError
from audit.verify_all import ResumeError
from calendars import CalendarError
from db.pinned import MissingError
from runtime.devserver import EmbeddedError
from runtime.home import HomeBusy
from runtime.settings import SettingsError
from security.credentials import CredentialsError
from security.keystore import KeyStoreDown
from security.master import MasterError
from security.namespace import NamespaceError

_EXPECTED = (
    SettingsError, EmbeddedError, HomeBusy, RPCError, SQLAlchemyError, MissingError, OSError,
    CredentialsError, MasterError, NamespaceError, CalendarError,
    UnknownError, NotYetError, BundleError, ArchiveError, RefoldError, LogKeysError, NoteError, ResumeError,
    SelectionError, MomentError, LogAlteredError, RestoreError, LogMismatchError,
)  # fmt: skip
"""Classes of errors whose cause an operator or an auditor can repair; `one_line` turns these into a Failure."""


class Failure(Exception):
    """An error whose cause the user can repair; the message is one line."""


@contextmanager
def one_line() -> Generator[None]:
    """A context in which errors of the classes `_EXPECTED`, and a key store that is down, become a Failure."""
    try:
        yield
    except KeyStoreDown as error:
        raise Failure(f"the key store does not answer: {error}") from None
    except _EXPECTED as error:
        if isinstance(error, OSError) and error.filename:
            raise Failure(f"{error.filename}: {error.strerror}") from None
        raise Failure(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__) from None
