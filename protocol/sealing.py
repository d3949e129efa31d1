"""Turns errors that occur while a caller's texts are sealed into errors of the protocol."""

from collections.abc import Generator
from contextlib import contextmanager

from domain.personal import Sealed
from protocol.errors import Invalid, Refused, Unavailable, why
from security.keystore import KeyStoreDown
from texts.catalogue import Wrong


@contextmanager
def sealing() -> Generator[None]:
    """A context in which the vault's errors become errors of the protocol.

    KeyStoreDown becomes Unavailable; the ValueError for a text that is sealed already becomes Invalid.
    """
    try:
        yield
    except KeyStoreDown as error:
        raise Unavailable("send-again", why=why("key-store", error.cause)) from None
    except ValueError as error:
        place, _, _ = str(error).partition(":")
        raise Invalid((place or "body", Wrong("sealed", mark=Sealed.MARK))) from None


def content_erased() -> Refused:
    """The refusal of a command or picture that cannot be sealed, since the key of its issue was destroyed."""
    return Refused("erased")
