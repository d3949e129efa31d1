"""Facts about the request that is being answered, readable in every function that takes part in the answer."""

from contextvars import ContextVar
from typing import Final

from runtime.proxies import network_of
from texts.catalogue import Language

ADDRESS: Final[ContextVar[str]] = ContextVar("address", default="")
"""The network address from which the request comes."""

LANGUAGE: Final[ContextVar[Language]] = ContextVar("language", default="en")
"""The language in which the caller wants texts for people. A program that asks for none gets English."""


def caller_network() -> str:
    """The network for which a request without a person's name is counted."""
    return network_of(ADDRESS.get())
