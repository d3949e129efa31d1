"""What holds for the request that is being answered, wherever it is needed."""

from contextvars import ContextVar
from typing import Final

ADDRESS: Final[ContextVar[str]] = ContextVar("address", default="")
"""The network address from which the request comes."""
