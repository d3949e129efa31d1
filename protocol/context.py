"""Facts about the request that is being answered, readable in every function that takes part in the answer."""

from contextvars import ContextVar
from typing import Final

ADDRESS: Final[ContextVar[str]] = ContextVar("address", default="")
"""The network address from which the request comes."""
