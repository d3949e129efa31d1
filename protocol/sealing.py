"""What errors of the vault mean to a caller whose texts are sealed."""

from collections.abc import Generator
from contextlib import contextmanager

from protocol.errors import Invalid, Refused, Unavailable
from security.keystore import KeyStoreDown


@contextmanager
def sealing() -> Generator[None]:
    """Raises Unavailable for KeyStoreDown, Invalid for a text that is sealed already."""
    try:
        yield
    except KeyStoreDown:
        raise Unavailable("the key store does not answer; send the same again, with the same key") from None
    except ValueError as error:
        place, _, _ = str(error).partition(":")
        raise Invalid((place or "body", "a text may not begin with `sealed:`")) from None


def content_erased() -> Refused:
    """The refusal of anything that would be sealed with a destroyed key."""
    return Refused("closed", "the content of this issue was erased; nothing can be added to it")
