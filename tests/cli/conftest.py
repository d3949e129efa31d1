"""What an auditor finds, for the commands that audit it; and a log that no other test has left behind."""

import logging

import pytest

from support.installation import installation

__all__ = ["installation"]


@pytest.fixture(autouse=True)
def log_of_its_own() -> None:
    """Another test in this process may have sent the log to a stream that is closed by now: each line would be a traceback."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each) is logging.StreamHandler]:
        root.removeHandler(handler)
